"use strict";
// Findings, the table of groups, config side by side, pictures side by side.

const MOST_SIDE_BY_SIDE = 8;

function showFindings() {
  const numGroups = content.groups.length;
  const better = content.metric.isHigherBetter ? "more is better" : "less is better";
  byId("summary").textContent =
    `${numRuns} runs in ${numGroups} group${numGroups === 1 ? "" : "s"}, compared by ${metricName} (${better}); made ${content.made}`;
  document.title = `aiexp compare: ${metricName}, ${numRuns} runs`;
  byId("sentences").replaceChildren(...content.sentences.map((sentence) => element("li", {}, sentence)));
  const notes = byId("notes");
  notes.hidden = !content.notes.length;
  notes.open = content.notes.length <= 3;
  notes.querySelector("summary").textContent =
    `${content.notes.length} note${content.notes.length === 1 ? "" : "s"}`;
  notes.querySelector("ul").replaceChildren(...content.notes.map((note) => element("li", {}, note)));
  showGroups();
}

function showGroups() {
  const names = content.columns.map(([, name]) => name);
  const head = [
    "",
    ...(names.length ? names : ["group"]),
    content.unit,
    content.metric.statistic,
    "95 % interval",
    "std",
    "time",
    "memory",
  ];
  const numeric = new Set([content.unit, content.metric.statistic, "std", "time", "memory"]);
  const lines = content.groups.map((group, i) => {
    const dot = element("span", { class: "dot", "aria-hidden": "true" });
    dot.style.background = dotColor(i);
    const interval =
      group.low === null
        ? "one run: no interval"
        : `${formatNumber(group.low)} to ${formatNumber(group.high)}`;
    const lost = group.lost ? ` (+${group.lost} without a result)` : "";
    return element(
      "tr",
      {},
      element("td", {}, dot, group.name === group.label ? String(i + 1) : group.name),
      ...(names.length ? group.values : [group.label]).map((value) => element("td", {}, value)),
      element("td", { class: "number" }, `${group.count}${lost}`),
      element("td", { class: i === 0 ? "number best" : "number" }, formatNumber(group.center)),
      element("td", {}, interval),
      ...[formatNumber(group.deviation), formatSeconds(group.seconds), formatBytes(group.memory)].map(
        (text) => element("td", { class: "number" }, text),
      ),
    );
  });
  const table = element(
    "table",
    { "aria-label": "Groups" },
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        ...head.map((name) =>
          element("th", { scope: "col", class: numeric.has(name) ? "number" : "" }, name),
        ),
      ),
    ),
    element("tbody", {}, ...lines),
  );
  byId("groups").classList.toggle("tall", lines.length > 15);
  byId("groups").replaceChildren(table);
}

/** The selected runs, or the first run of each of the best groups. */
function sideBySide() {
  if (state.selected.size) return [...state.selected].slice(0, MOST_SIDE_BY_SIDE);
  const first = new Map();
  runs.group.forEach((group, run) => {
    if (group !== null && !first.has(group) && state.isVisible[run]) first.set(group, run);
  });
  if (first.size < 2) return [...Array(numRuns).keys()].filter((run) => state.isVisible[run]).slice(0, 4);
  return [...first.values()].slice(0, 4);
}

function showConfig() {
  const chosen = sideBySide();
  byId("config-note").textContent = state.selected.size
    ? `the selected runs${state.selected.size > chosen.length ? `, the first ${chosen.length}` : ""}`
    : (content.groups.length > 1 ? "one run of each of the best groups" : "the first runs") +
      "; select runs in the table to compare others";
  const isAll = byId("config-all").checked;
  const keys = [...content.keys.map((column) => column.key), ...(isAll ? Object.keys(content.common) : [])];
  const lines = keys
    .map((key) => ({ key, texts: chosen.map((run) => keyText(key, run)) }))
    .filter(({ texts }) => isAll || new Set(texts).size > 1)
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const cell = (text, texts) =>
    element("td", { class: text !== texts[0] ? "wide differs" : "wide" }, text === "" ? "\u2013" : text);
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, "key"),
    ...chosen.map((run) =>
      element(
        "th",
        { scope: "col", title: runs.name[run] },
        shorten(
          (content.groups.length > 1 && runs.group[run] !== null && groupTitle(runs.group[run])) ||
            runTitle(run),
          40,
        ),
      ),
    ),
  );
  const body = lines.length
    ? lines.map(({ key, texts }) =>
        element(
          "tr",
          {},
          element("td", {}, element("code", {}, key)),
          ...texts.map((text) => cell(text, texts)),
        ),
      )
    : [
        element(
          "tr",
          {},
          element(
            "td",
            { class: "muted" },
            chosen.length < 2 ? "one run: nothing to compare" : "no difference",
          ),
        ),
      ];
  byId("config-table").replaceChildren(
    element("table", { "aria-label": "Config" }, element("thead", {}, head), element("tbody", {}, ...body)),
  );
}

function showPictures() {
  const name = byId("picture-name").value;
  const there = content.pictures.filter((picture) => picture.name === name && state.isVisible[picture.run]);
  const selected = there.filter((picture) => state.selected.has(picture.run));
  const shown = selected.length ? selected : there;
  const numRunsShown = new Set(content.pictures.map((picture) => picture.run)).size;
  byId("picture-note").textContent = `the newest of each of ${numRunsShown} runs; click to enlarge`;
  byId("gallery").replaceChildren(
    ...shown.map((picture) => {
      const alt = `${name} of ${runs.name[picture.run]}`;
      const image = element("img", { src: picture.source, alt, loading: "lazy" });
      const open = () => {
        byId("zoomed").src = picture.source;
        byId("zoomed").alt = alt;
        byId("zoom").showModal();
      };
      const caption = element(
        "figcaption",
        {},
        element("strong", {}, content.groups.length > 1 ? groupLabel(runs.group[picture.run]) : ""),
        " ",
        element("span", { class: "muted" }, runTitle(picture.run)),
      );
      return element("figure", {}, element("button", { type: "button", onclick: open }, image), caption);
    }),
  );
}
