"use strict";
// The table of runs: sorting, filtering, selecting, choosing columns.

const MOST_COLUMNS = 14; // shown at first
const LONGEST_NAME = 46; // characters
const ROWS = 100; // drawn at first, and again whenever the end of them comes into view

let tableColumns = [];
let sorted = { title: "", isDescending: false };
const chosenColumns = new Map(); // title to whether it is shown, where somebody has said it
let rows = []; // all of them; those that have not been in view yet have no cells
let numDrawn = ROWS; // at most
let best; // of the metric

function makeColumns() {
  const list = [
    { title: "run", kind: "text", values: runs.name.map((_, run) => runTitle(run)), cell: nameCell },
    { title: "state", kind: "text", values: runs.state, cell: stateCell },
    ...(new Set(runs.task).size > 1 && content.columns.every(([key]) => key !== "task")
      ? [{ title: "task", kind: "text", values: runs.task }]
      : []),
    ...(grouping.list.length > 1
      ? [{ title: "group", kind: "text", values: grouping.of.map(groupLabel), isOff: true }]
      : []),
    ...(runs.tags.some((tags) => tags.length)
      ? [{ title: "tags", kind: "text", values: runs.tags.map((tags) => tags.join(" ")), cell: tagsCell }]
      : []),
    { title: metricName, kind: "number", values: content.metrics[metricName], isBest: true },
    ...content.columns.map(([key, name]) => keyColumn(key, name)),
    ...(runs.seed.some((seed) => seed !== null)
      ? [{ title: "seed", kind: "number", values: runs.seed, format: String }]
      : []),
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
    { title: "note", kind: "text", values: runs.note, isOff: !runs.note.some(Boolean) },
  ];
  list.forEach((column, i) => {
    column.isShown = chosenColumns.get(column.title) ?? (!column.isOff && i < MOST_COLUMNS);
    if (column.kind === "number" && !column.format) {
      const decimals = decimalsOf(column.values);
      column.format = (value) => formatFixed(value, decimals);
    }
  });
  return list;
}

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
  dot.style.background = dotColor(grouping.of[run]);
  const open = element(
    "button",
    { type: "button", class: "link", tabindex: "-1", onclick: () => showRun(run) },
    cutMiddle(runTitle(run), LONGEST_NAME),
  );
  cell.append(dot, open);
  if (isHidden(run)) cell.append(element("span", { class: "muted" }, " (hidden)"));
  return cell;
}

function stateCell(run) {
  const known = ["finished", "failed", "damaged", "died", "running"].includes(runs.state[run]);
  const cell = element("td", { class: known ? `state-${runs.state[run]}` : "", title: runs.problem[run] });
  if (!isUnderWay(run) || !runs.total[run]) {
    cell.append(runs.state[run]);
    return cell;
  }
  const bar = element("progress", { max: "1", value: String(runs.step[run] / runs.total[run]) });
  bar.setAttribute("aria-label", `${runs.step[run]} of ${runs.total[run]} steps`);
  cell.append(bar, element("span", {}, progressText(run)));
  return cell;
}

/** `45 %, 3.2 min left`. */
function progressText(run) {
  if (!runs.total[run]) return runs.state[run];
  const share = Math.floor((100 * runs.step[run]) / runs.total[run]);
  const left = runs.left[run] === null ? "" : `, ${formatSeconds(runs.left[run])} left`;
  return `${share} %${left}`;
}

function tagsCell(run) {
  return element("td", {}, ...runs.tags[run].map((tag) => element("span", { class: "tag" }, tag)));
}

function valueCell(column, run) {
  const value = column.values[run];
  if (column.kind === "text") return element("td", {}, shorten(value ?? "", 60));
  const isBest = column.isBest && value !== null && value === best && runs.state[run] === "finished";
  return element(
    "td",
    { class: isBest ? "number best" : "number" },
    value === null ? "" : (column.format(value, run) ?? ""),
  );
}

function bestValue(values) {
  const numbers = values.filter((value, run) => value !== null && runs.state[run] === "finished");
  return numbers.reduce((a, b) => (content.metric.isHigherBetter === a > b ? a : b), numbers[0]);
}

function fillRow(run) {
  const shown = tableColumns.filter((column) => column.isShown);
  const box = element("input", { type: "checkbox", tabindex: "-1", "aria-label": `Select ${runs.name[run]}` });
  rows[run].replaceChildren(
    element("td", {}, box),
    ...shown.map((column) => (column.cell ? column.cell(run) : valueCell(column, run))),
  );
}

function buildTable() {
  tableColumns = makeColumns();
  const focused = document.activeElement?.closest?.("#table tr[data-run]")?.dataset.key;
  const shown = tableColumns.filter((column) => column.isShown);
  best = bestValue(content.metrics[metricName]);
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, element("span", { class: "skip" }, "select")),
    ...shown.map((column) => headCell(column)),
  );
  rows = runs.name.map((_, run) => {
    const about = { tabindex: run === 0 ? "0" : "-1", "data-run": String(run), "data-key": runs.key[run] };
    return element("tr", about);
  });
  const body = element("tbody", {}, ...rows);
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !event.target.closest("button") && !String(getSelection()))
      toggleSelected(Number(row.dataset.run));
  });
  body.addEventListener("keydown", moveInTable);
  byId("table").replaceChildren(element("table", { "aria-label": "Runs" }, element("thead", {}, head), body));
  sortRows();
  showRows();
  if (focused !== undefined) rows.find((row) => row.dataset.key === focused)?.focus();
}

/** Writes the rows of some runs anew, where their numbers have changed. */
function renewRows(changedRuns) {
  const before = tableColumns.map((column) => column.title + column.isShown).join();
  tableColumns = makeColumns();
  if (tableColumns.map((column) => column.title + column.isShown).join() !== before) {
    buildTable(); // such as the first tags of all: there is a column more
    buildColumnMenu();
    return;
  }
  best = bestValue(content.metrics[metricName]);
  for (const run of changedRuns) if (rows[run].firstChild) fillRow(run);
  showRows();
}

function headCell(column) {
  const cell = element(
    "th",
    { scope: "col", class: column.kind === "number" ? "number" : "" },
    element("button", { type: "button", onclick: () => sortBy(column) }, column.title),
  );
  if (sorted.title === column.title)
    cell.setAttribute("aria-sort", sorted.isDescending ? "descending" : "ascending");
  cell.dataset.title = column.title;
  return cell;
}

/** Sorts by a column; a second time the other way round. The metric's best comes first. */
function sortBy(column) {
  const startsDown = column.isBest && content.metric.isHigherBetter;
  const isDescending = sorted.title === column.title ? !sorted.isDescending : Boolean(startsDown);
  sorted = { title: column.title, isDescending };
  for (const head of byId("table").querySelectorAll("th[data-title]")) {
    if (head.dataset.title !== column.title) head.removeAttribute("aria-sort");
    else head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  }
  sortRows();
  showRows();
  writeView();
}

/** Rows in the order of the column chosen; without one those that are under way come first. */
function sortRows() {
  const column = tableColumns.find(({ title }) => title === sorted.title);
  if (!column) {
    const working = rows.filter((_, run) => isUnderWay(run));
    byId("table").querySelector("tbody").prepend(...working);
    return;
  }
  const { isDescending } = sorted;
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

/** Shows the rows that the filter leaves, as far down as somebody has looked. */
function showRows() {
  let visible = 0;
  for (const row of byId("table").querySelector("tbody").rows) {
    const run = Number(row.dataset.run);
    visible += state.isVisible[run];
    row.hidden = !state.isVisible[run] || visible > numDrawn;
    row.setAttribute("aria-selected", String(isSelected(run)));
    if (!row.hidden && !row.firstChild) fillRow(run);
    if (row.firstChild) row.firstChild.firstChild.checked = isSelected(run);
  }
  byId("more-rows").hidden = visible <= numDrawn;
  byId("more-rows").textContent = `${visible - numDrawn} more`;
  const numHidden = runs.name.filter((_, run) => isHidden(run)).length;
  const selected = runs.name.filter((_, run) => isSelected(run)).length;
  byId("shown").textContent =
    `${visible} of ${plural(numRuns, "run")}${selected ? `, ${selected} selected` : ""}`;
  byId("clear").hidden = byId("hide").hidden = !selected;
  byId("hidden-label").hidden = !numHidden;
  byId("hidden-label").querySelector("span").textContent = `show ${numHidden} hidden`;
}

function showMoreRows() {
  numDrawn += ROWS;
  showRows();
}

function showAllRows() {
  numDrawn = numRuns;
  showRows();
}

/** More rows as the end of those drawn comes near. */
function startTable() {
  byId("more-rows").addEventListener("click", showMoreRows);
  const watch = (entries) => entries.some((entry) => entry.isIntersecting) && showMoreRows();
  new IntersectionObserver(watch, { root: byId("table-frame"), rootMargin: "300px" }).observe(byId("more-rows"));
}

function moveInTable(event) {
  const row = event.target.closest("tr");
  if (event.key === " ") {
    event.preventDefault();
    toggleSelected(Number(row.dataset.run));
  } else if (event.key === "Enter") {
    event.preventDefault();
    showRun(Number(row.dataset.run));
  }
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  if (!step) return;
  event.preventDefault();
  if (event.key === "ArrowDown" && row.nextElementSibling?.hidden) showMoreRows();
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
        chosenColumns.set(column.title, box.checked);
        buildTable();
      });
      return element("label", {}, box, column.title);
    }),
  );
}
