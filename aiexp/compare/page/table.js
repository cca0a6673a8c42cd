"use strict";
// The table of runs: sorting, filtering, selecting, choosing columns.

const MOST_COLUMNS = 14; // shown at first

const tableColumns = [
  { title: "run", kind: "text", values: runs.name, cell: nameCell },
  { title: "state", kind: "text", values: runs.state, cell: stateCell },
  ...(new Set(runs.task).size > 1 && content.columns.every(([key]) => key !== "task")
    ? [{ title: "task", kind: "text", values: runs.task }]
    : []),
  ...(content.groups.length > 1
    ? [{ title: "group", kind: "text", values: runs.group.map(groupLabel), isOff: true }]
    : []),
  { title: metricName, kind: "number", values: content.metrics[metricName], isBest: true },
  ...content.columns.map(([key, name]) => keyColumn(key, name)),
  ...(runs.seed.some((seed) => seed !== null) ? [{ title: "seed", kind: "number", values: runs.seed }] : []),
  { title: "time", kind: "number", values: runs.seconds, format: formatSeconds },
  { title: "memory", kind: "number", values: runs.memory, format: formatBytes },
  ...Object.keys(content.metrics)
    .filter((name) => name !== metricName)
    .map((name) => ({
      title: name,
      kind: "number",
      values: content.metrics[name],
      isOff: !/^(test|eval)\//.test(name),
    })),
  ...content.keys
    .filter((column) => !shortNames.has(column.key) && column.key !== "seed")
    .map((column) => ({ ...keyColumn(column.key, column.key), isOff: true })),
];
tableColumns.forEach((column, i) => {
  column.isShown = !column.isOff && i < MOST_COLUMNS;
});
let sorted = { column: null, isDescending: false };
let rows = [];

function keyColumn(key, title) {
  const texts = runs.name.map((_, run) => keyText(key, run));
  const isNumeric = texts.every((text) => text === "" || text === "null" || !Number.isNaN(asNumber(text)));
  if (!isNumeric) return { title, kind: "text", values: texts };
  const values = texts.map((text) => (text === "" || text === "null" ? null : asNumber(text)));
  return { title, kind: "number", values, format: (_, run) => texts[run] };
}

function nameCell(run) {
  const cell = element("td", {
    class: "name",
    title: runs.path[run] + (runs.problem[run] ? `\n${runs.problem[run]}` : ""),
  });
  const dot = element("span", { class: "dot", "aria-hidden": "true" });
  dot.style.background = dotColor(runs.group[run]);
  cell.append(dot, runTitle(run));
  return cell;
}

function stateCell(run) {
  const known = ["finished", "failed", "damaged", "died"].includes(runs.state[run]);
  return element(
    "td",
    { class: known ? `state-${runs.state[run]}` : "", title: runs.problem[run] },
    runs.state[run],
  );
}

function valueCell(column, run, best) {
  const value = column.values[run];
  if (column.kind === "text") return element("td", {}, value ?? "");
  const isBest = column.isBest && value !== null && value === best;
  return element(
    "td",
    { class: isBest ? "number best" : "number" },
    (column.format ?? formatNumber)(value, run) ?? "",
  );
}

function bestValue(values) {
  const numbers = values.filter((value, run) => value !== null && runs.group[run] !== null);
  return numbers.reduce((a, b) => (content.metric.isHigherBetter === a > b ? a : b), numbers[0]);
}

function buildTable() {
  const shown = tableColumns.filter((column) => column.isShown);
  const best = bestValue(content.metrics[metricName]);
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, element("span", { class: "skip" }, "select")),
    ...shown.map((column) => headCell(column)),
  );
  rows = runs.name.map((name, run) => {
    const box = element("input", { type: "checkbox", tabindex: "-1", "aria-label": `Select ${name}` });
    const row = element(
      "tr",
      { tabindex: run === 0 ? "0" : "-1", "data-run": String(run) },
      element("td", {}, box),
      ...shown.map((column) => (column.cell ? column.cell(run) : valueCell(column, run, best))),
    );
    return row;
  });
  const body = element("tbody", {}, ...rows);
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !String(getSelection())) toggleSelected(Number(row.dataset.run));
  });
  body.addEventListener("keydown", moveInTable);
  byId("table").replaceChildren(element("table", { "aria-label": "Runs" }, element("thead", {}, head), body));
  if (sorted.column) sortRows();
  showRows();
}

function headCell(column) {
  const cell = element(
    "th",
    { scope: "col", class: column.kind === "number" ? "number" : "" },
    element("button", { type: "button", onclick: () => sortBy(column) }, column.title),
  );
  column.head = cell;
  if (sorted.column === column)
    cell.setAttribute("aria-sort", sorted.isDescending ? "descending" : "ascending");
  return cell;
}

/** Sorts by a column; a second time the other way round. The metric's best comes first. */
function sortBy(column) {
  const startsDown = column.isBest && content.metric.isHigherBetter;
  const isDescending = sorted.column === column ? !sorted.isDescending : Boolean(startsDown);
  sorted.column?.head.removeAttribute("aria-sort");
  sorted = { column, isDescending };
  column.head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  sortRows();
}

function sortRows() {
  const { column, isDescending } = sorted;
  const compare =
    column.kind === "number"
      ? (a, b) => a - b
      : (a, b) => String(a).localeCompare(String(b), "en", { numeric: true });
  const order = [...rows.keys()].sort((i, j) => {
    const a = column.values[i] ?? null,
      b = column.values[j] ?? null;
    if (a === null || b === null) return (a === null) - (b === null) || i - j; // what is missing comes last
    return (isDescending ? compare(b, a) : compare(a, b)) || i - j;
  });
  byId("table")
    .querySelector("tbody")
    .append(...order.map((run) => rows[run]));
}

function showRows() {
  let visible = 0;
  rows.forEach((row, run) => {
    row.hidden = !state.isVisible[run];
    visible += state.isVisible[run];
    const isSelected = state.selected.has(run);
    row.setAttribute("aria-selected", String(isSelected));
    row.firstChild.firstChild.checked = isSelected;
  });
  const selected = state.selected.size ? `, ${state.selected.size} selected` : "";
  byId("shown").textContent = `${visible} of ${numRuns} runs${selected}`;
  byId("clear").hidden = !state.selected.size;
}

function moveInTable(event) {
  const row = event.target.closest("tr");
  if (event.key === " " || event.key === "Enter") {
    event.preventDefault();
    toggleSelected(Number(row.dataset.run));
  }
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  if (!step) return;
  event.preventDefault();
  let next = row[step];
  while (next && next.hidden) next = next[step];
  if (!next) return;
  row.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function buildColumnMenu() {
  byId("columns").replaceChildren(
    ...tableColumns.map((column) => {
      const box = element("input", { type: "checkbox" });
      box.checked = column.isShown;
      box.addEventListener("change", () => {
        column.isShown = box.checked;
        buildTable();
      });
      return element("label", {}, box, column.title);
    }),
  );
}
