"use strict";
// Findings, the table of groups, config side by side.

const MOST_SIDE_BY_SIDE = 8;

function showFindings() {
  const better = content.metric.isHigherBetter ? "more is better" : "less is better";
  const states = new Map();
  for (const name of runs.state) states.set(name, (states.get(name) ?? 0) + 1);
  const counts = [...states].map(([name, count]) => `${count} ${name}`).join(", ");
  const groups = grouping.list.length > 1 ? ` in ${grouping.list.length} groups` : "";
  byId("summary").textContent =
    `${plural(numRuns, "run")}${groups} (${counts || "none yet"}), compared by ${metricName} (${better}); ` +
    (content.live ? `compared at ${content.made.slice(11)}` : `made ${content.made}`);
  document.title = `aiexp ${content.live ? "board" : "compare"}: ${metricName}, ${plural(numRuns, "run")}`;
  const sentences = grouping.isOwn
    ? [
        `Grouped by ${shortKey(state.by)} in this page: means with Student's intervals. ` +
          "Whether differences are sure, aiexp compare --by tells.",
      ]
    : content.sentences;
  byId("sentences").replaceChildren(...sentences.map((sentence) => element("li", {}, sentence)));
  const notes = byId("notes");
  notes.hidden = !content.notes.length || grouping.isOwn;
  notes.open = content.notes.length <= 3;
  notes.querySelector("summary").textContent = plural(content.notes.length, "note");
  notes.querySelector("ul").replaceChildren(...content.notes.map((note) => element("li", {}, note)));
  showGroups();
}

function showGroups() {
  const names = grouping.columns;
  const list = grouping.list;
  const decimals = decimalsOf(list.flatMap((group) => [group.center, group.low, group.high]));
  const number = (value) => formatFixed(value, decimals);
  const head = [
    "",
    ...(names.length ? names : ["group"]),
    grouping.unit,
    grouping.statistic,
    "95 % interval",
    "std",
    "time",
    "memory",
  ];
  const numeric = new Set([grouping.unit, grouping.statistic, "std", "time", "memory"]);
  const working = new Map();
  grouping.of.forEach((group, run) => {
    if (group !== null && isUnderWay(run)) working.set(group, (working.get(group) ?? 0) + 1);
  });
  const lines = list.map((group, i) => {
    const dot = element("span", { class: "dot", "aria-hidden": "true" });
    dot.style.background = dotColor(i);
    const interval =
      group.low !== null
        ? `${number(group.low)} to ${number(group.high)}`
        : group.count
          ? "one run: no interval"
          : "";
    const lost = group.lost > 0 ? ` (+${group.lost} without a result)` : "";
    const under = working.get(i) ? ` (+${working.get(i)} running)` : "";
    return element(
      "tr",
      {},
      element("td", {}, dot, group.name === group.label ? String(i + 1) : group.name),
      ...(names.length ? group.values : [group.label]).map((value) => element("td", {}, value)),
      element("td", { class: "number" }, `${group.count}${lost}${under}`),
      element("td", { class: i === 0 ? "number best" : "number" }, number(group.center)),
      element("td", {}, interval),
      ...[number(group.deviation), formatSeconds(group.seconds), formatBytes(group.memory)].map((text) =>
        element("td", { class: "number" }, text),
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
  byId("groups").replaceChildren(...(lines.length ? [table] : []));
}

/** The selected runs, or the first run of each of the best groups. */
function sideBySide() {
  const selected = runs.name.map((_, run) => run).filter(isSelected);
  if (selected.length) return selected.slice(0, MOST_SIDE_BY_SIDE);
  const first = new Map();
  grouping.of.forEach((group, run) => {
    if (group !== null && !first.has(group) && state.isVisible[run]) first.set(group, run);
  });
  if (first.size < 2) return visibleRuns().slice(0, 4);
  return [...first.values()].slice(0, 4);
}

function configNote(chosen) {
  if (numRuns === 1) return "the only run";
  if (state.selected.size) {
    return `the selected runs${state.selected.size > chosen.length ? `, the first ${chosen.length}` : ""}`;
  }
  const which = grouping.list.length > 1 ? "one run of each of the best groups" : "the first runs";
  return `${which}; select runs in the table to compare others`;
}

function showConfig() {
  const chosen = sideBySide();
  byId("config-note").textContent = configNote(chosen);
  byId("config-all").parentElement.hidden = numRuns === 1;
  const isAll = byId("config-all").checked || chosen.length === 1;
  const keys = [...content.keys.map((column) => column.key), ...(isAll ? Object.keys(content.common) : [])];
  const lines = keys
    .map((key) => ({ key, texts: chosen.map((run) => keyText(key, run)) }))
    .filter(({ texts }) => isAll || new Set(texts).size > 1)
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const cell = (text, texts) =>
    element("td", { class: text !== texts[0] ? "wide differs" : "wide" }, text === "" ? "\u2013" : text);
  const title = (run) =>
    (grouping.list.length > 1 && grouping.of[run] !== null && groupTitle(grouping.of[run])) || runTitle(run);
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, "key"),
    ...chosen.map((run) =>
      element("th", { scope: "col", title: runs.name[run] }, shorten(title(run), 40)),
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
          element("td", { class: "muted" }, chosen.length ? "no difference" : nothingBecause()),
        ),
      ];
  byId("config-table").classList.toggle("tall", lines.length > 24);
  byId("config-table").replaceChildren(
    element("table", { "aria-label": "Config" }, element("thead", {}, head), element("tbody", {}, ...body)),
  );
}
