"use strict";
// Puts the page together: sections, theme, keyboard, and drawing what is in view.

const SECTIONS = [
  ["findings", "Findings"],
  ["runs", "Runs"],
  ["curves", "Curves"],
  ["parameters", "Hyper-parameters"],
  ["scatter", "Scatter"],
  ["config", "Config"],
  ["pictures", "Pictures"],
];
const DRAW = {
  findings: drawIntervals,
  curves: drawCurves,
  parameters: () => {
    drawParallel();
    drawImportance();
  },
  scatter: drawScatter,
};
const inView = new Set();
const stale = new Set(Object.keys(DRAW));

function drawInView() {
  for (const id of inView) if (stale.delete(id)) DRAW[id]();
}

function redraw(ids = Object.keys(DRAW)) {
  ids.forEach((id) => stale.add(id));
  requestAnimationFrame(drawInView);
}

function fillSelect(id, names, chosen) {
  byId(id).replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  if (names.includes(chosen)) byId(id).value = chosen;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  redraw();
}

function toggleTheme() {
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
}

function goTo(id) {
  const section = byId(id);
  if (section.hidden) return;
  section.scrollIntoView();
  section.focus({ preventScroll: true });
}

function onKey(event) {
  const isTyping = event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (state.filter) {
      byId("filter").value = "";
      applyFilter("");
    } else if (state.selected.size) clearSelection();
    byId("filter").blur();
    return;
  }
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const section = SECTIONS[Number(event.key) - 1];
  if (section) goTo(section[0]);
  else if (event.key === "/") {
    event.preventDefault();
    byId("filter").focus();
    byId("filter").select();
  } else if (event.key === "t") toggleTheme();
  else if (event.key === "?") byId("shortcuts").showModal();
}

function clearSelection() {
  state.selected.clear();
  changed();
}

function hideEmpty() {
  byId("curves").hidden = !Object.keys(content.curves.metrics).length;
  byId("pictures").hidden = !content.pictures.length;
  byId("parameters").hidden = !content.keys.length || numRuns < 2;
  byId("config").hidden = numRuns < 2;
  const shown = SECTIONS.filter(([id]) => !byId(id).hidden);
  byId("sections").replaceChildren(
    ...shown.map(([id, title]) =>
      element(
        "a",
        {
          href: `#${id}`,
          onclick: (event) => {
            event.preventDefault();
            goTo(id);
          },
        },
        title,
      ),
    ),
  );
}

function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
  const names = [...axes().keys()];
  fillSelect("curve-metric", Object.keys(content.curves.metrics));
  fillSelect("scatter-x", names, content.columns[0]?.[0] ?? "time (s)");
  fillSelect("scatter-y", names, metricName);
  fillSelect("picture-name", [...new Set(content.pictures.map((picture) => picture.name))]);
  hideEmpty();
  showFindings();
  buildColumnMenu();
  buildTable();
  showConfig();
  showPictures();
  onChange(showRows);
  onChange(showConfig);
  onChange(showPictures);
  onChange(() => redraw(["curves", "parameters", "scatter"]));
  for (const id of ["curve-metric", "curve-view", "curve-log"])
    byId(id).addEventListener("change", () => redraw(["curves"]));
  byId("smoothing").addEventListener("input", () => {
    byId("smoothing-value").textContent = byId("smoothing").value;
    redraw(["curves"]);
  });
  for (const id of ["scatter-x", "scatter-y", "scatter-log"])
    byId(id).addEventListener("change", () => redraw(["scatter"]));
  byId("config-all").addEventListener("change", showConfig);
  byId("picture-name").addEventListener("change", showPictures);
  let wait = 0;
  byId("filter").addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(() => applyFilter(byId("filter").value), 120);
  });
  byId("theme").addEventListener("click", toggleTheme);
  byId("help").addEventListener("click", () => byId("shortcuts").showModal());
  byId("clear").addEventListener("click", clearSelection);
  document.addEventListener("keydown", onKey);
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) inView[entry.isIntersecting ? "add" : "delete"](entry.target.id);
      drawInView();
    },
    { rootMargin: "200px" },
  );
  Object.keys(DRAW).forEach((id) => observer.observe(byId(id)));
}

start();
