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
  parameters: () => {
    drawParallel();
    drawImportance();
  },
  scatter: drawScatter,
};
const inView = new Set();
const stale = new Set(Object.keys(DRAW));

function drawInView() {
  if (!hasPlotly) return;
  for (const id of inView) if (stale.delete(id)) DRAW[id]();
}

function redraw(ids = Object.keys(DRAW)) {
  ids.forEach((id) => stale.add(id));
  requestAnimationFrame(drawInView);
}

function fillSelect(id, names, chosen, titles = names) {
  const kept = byId(id).value;
  byId(id).replaceChildren(
    ...names.map((name, i) => element("option", { value: name }, shorten(titles[i], 60))),
  );
  const wanted = names.includes(kept) && kept ? kept : chosen;
  if (names.includes(wanted)) byId(id).value = wanted;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  redraw();
  redrawPanels();
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
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    if (event.target === byId("panel-filter")) return;
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

/** Hides the selected runs, or shows them again where all of them are hidden: here, not in their notes. */
function hideSelected() {
  const chosen = runs.name.map((_, run) => run).filter(isSelected);
  const isBack = chosen.every((run) => state.hidden.has(runs.key[run]));
  for (const run of chosen) state.hidden[isBack ? "delete" : "add"](runs.key[run]);
  state.selected.clear();
  refilter();
  changed();
}

function showSections() {
  byId("pictures").hidden = !content.pictures.length;
  byId("parameters").hidden = !content.keys.length || numRuns < 2;
  byId("scatter").hidden = numRuns < 2;
  byId("config").hidden = !numRuns;
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

/** Fills what there is to choose from, which follows the content. */
function fillControls() {
  const names = [...axes().keys()];
  const keys = groupKeys();
  fillSelect("by", ["", ...keys], "", ["as compared", ...keys]);
  fillSelect("scatter-x", names, content.columns[0]?.[0] ?? "time (s)");
  fillSelect("scatter-y", names, metricName);
  fillSelect("picture-name", [...new Set(content.pictures.map((picture) => picture.name))]);
  rememberControls();
}

/** Everything anew: the content, or the address, is another one. */
function renewAll() {
  fillControls();
  setControl("by", state.by);
  regroup();
  refilter();
  showSections();
  showFindings();
  buildTable();
  buildColumnMenu();
  buildPanels();
  showConfig();
  showPictures();
  redraw();
}

function onGroupChange() {
  state.by = byId("by").value;
  regroup();
  refilter();
  showFindings();
  buildTable();
  redraw(["findings"]);
  changed();
}

function listen() {
  onChange(showRows);
  onChange(showConfig);
  onChange(showPictures);
  onChange(() => redraw(["parameters", "scatter"]));
  onChange(() => redrawPanels());
  onChange(writeView);
  const on = (ids, kind, act) => ids.forEach((id) => byId(id).addEventListener(kind, act));
  on(["curve-x", "curve-view", "curve-log"], "change", () => redrawPanels());
  on(["smoothing"], "input", () => {
    byId("smoothing-value").textContent = byId("smoothing").value;
    redrawPanels();
  });
  on(["panel-filter"], "input", buildPanels);
  on(["scatter-x", "scatter-y", "scatter-log"], "change", () => redraw(["scatter"]));
  on(["config-all"], "change", showConfig);
  on(["by"], "change", onGroupChange);
  on(Object.values(CONTROLS), "change", writeView);
  on(["panel-filter"], "input", writeView);
  let wait = 0;
  on(["filter"], "input", () => {
    clearTimeout(wait);
    wait = setTimeout(() => applyFilter(byId("filter").value), 120);
  });
  on(["theme"], "click", toggleTheme);
  on(["help"], "click", () => byId("shortcuts").showModal());
  on(["clear"], "click", clearSelection);
  on(["hide"], "click", hideSelected);
  on(["hidden-shown"], "change", () => {
    state.showsHidden = byId("hidden-shown").checked;
    refilter();
    changed();
  });
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", () => {
    if (!location.hash.includes("=") && location.hash) return; // a place in the page
    readView();
    renewAll();
    openFromView();
  });
}

/** Opens the run that the address names. */
function openFromView() {
  const run = openRun === null ? -1 : runOf(openRun);
  if (run >= 0) showRun(run, openTab);
  else if (byId("run").open) byId("run").close();
}

/** Paper has no view: everything is drawn, in light colours and as wide as a page. */
function preparePrint() {
  startPlotly();
  showAllRows();
  const theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  document.documentElement.classList.add("paper");
  for (const fold of byId("panels").querySelectorAll("details")) fold.open = true;
  Object.values(DRAW).forEach((draw) => draw());
  content.curves.names.forEach((metric) => stalePanels.add(metric));
  drawPanels(true);
  for (const image of document.querySelectorAll(".gallery img")) image.loading = "eager";
  for (const chart of document.querySelectorAll(".js-plotly-plot"))
    if (chart.offsetParent) Plotly.Plots.resize(chart);
  addEventListener(
    "afterprint",
    () => {
      document.documentElement.classList.remove("paper");
      setTheme(theme);
    },
    { once: true },
  );
}

function start() {
  adopt(JSON.parse(byId("content").textContent));
  addCurves(content.curves);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
  regroup();
  refilter();
  fillControls();
  readView();
  startPictures();
  startRun();
  startTable();
  renewAll();
  listen();
  addEventListener("beforeprint", preparePrint);
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) inView[entry.isIntersecting ? "add" : "delete"](entry.target.id);
      drawInView();
    },
    { rootMargin: "200px" },
  );
  Object.keys(DRAW).forEach((id) => observer.observe(byId(id)));
  openFromView();
  startLive();
  const startCharts = () => {
    performance.mark("readable");
    startPlotly();
    drawInView();
    drawPanels();
  };
  // Once the table is there to be read, and plotly's script, which the parser takes in pieces, is whole.
  addEventListener("DOMContentLoaded", () => requestAnimationFrame(() => setTimeout(startCharts)));
}

start();
