"use strict";
// The content, what of it is shown, and how values are written. Text from runs only ever becomes text nodes.

const content = JSON.parse(document.getElementById("content").textContent);
const runs = content.runs;
const numRuns = runs.name.length;
const metricName = content.metric.name;
const MOST_GROUPS = 10; // in one chart
// Okabe and Ito's colours, which the colour-blind can tell apart, and three more.
const COLORS = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#e69f00",
  "#56b4e9",
  "#7b5fc4",
  "#8c6d31",
  "#b0413e",
  "#5b8c5a",
];
const GREY = "#8a939d";

const state = { filter: "", selected: new Set(), isVisible: new Array(numRuns).fill(true) };
const listeners = [];

/** Calls `listener` whenever the filter, the selection or the theme has changed. */
function onChange(listener) {
  listeners.push(listener);
}
function changed() {
  for (const listener of listeners) listener();
}

function byId(id) {
  return document.getElementById(id);
}

/** An element with attributes; strings among the children become text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Text for plotly, which takes tags and entities in labels, again each time it draws: marks that look alike. */
function plain(text) {
  return String(text)
    .replace(/</g, "\u2039")
    .replace(/>/g, "\u203a")
    .replace(/&/g, "&\u200b")
    .replace(/%\{/g, "% {");
}

function shorten(text, most) {
  return text.length > most ? text.slice(0, most - 1) + "\u2026" : text;
}

function formatNumber(value) {
  if (value === null || value === undefined) return "";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return String(value);
  return size < 1e-3 || size >= 1e6
    ? value.toExponential(2).replace(/\.?0+e/, "e")
    : String(+value.toPrecision(4));
}

function formatSeconds(value) {
  if (value === null || value === undefined) return "";
  const seconds = Math.max(value, 0);
  for (const [largest, size, unit] of [
    [100, 1, "s"],
    [6000, 60, "min"],
    [172800, 3600, "h"],
  ]) {
    if (seconds < largest) return `${short(seconds / size)} ${unit}`;
  }
  return `${short(seconds / 86400)} days`;
}

function formatBytes(value) {
  if (value === null || value === undefined) return "";
  let count = value;
  for (const unit of ["B", "KiB", "MiB"]) {
    if (count < 1000) return unit === "B" ? `${count} B` : `${short(count)} ${unit}`;
    count /= 1024;
  }
  return `${short(count)} GiB`;
}

/** One decimal below 10, none above: as text/number.py writes them. */
function short(value) {
  return value.toFixed(value < 9.95 ? 1 : 0);
}

function groupColor(group) {
  return group === null ? GREY : COLORS[group % COLORS.length];
}
/** The same, grey for those that no chart shows at first. */
function dotColor(group) {
  return group === null || group >= MOST_GROUPS ? GREY : groupColor(group);
}
function groupLabel(group) {
  return group === null ? "" : content.groups[group].label;
}

/** A group's label, behind the letter that sentences call it by where labels are long. */
function groupTitle(group) {
  const { name, label } = content.groups[group];
  return name === label ? label : `${name}: ${label}`;
}

/** A run's name without the time in front of it. */
function runTitle(run) {
  return runs.name[run].replace(/^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_/, "");
}

/** A config key's value in a run, as text. */
const keyColumns = new Map(content.keys.map((column) => [column.key, column]));
const shortNames = new Map(content.columns);
function keyText(key, run) {
  const column = keyColumns.get(key);
  return column ? column.values[column.index[run]] : (content.common[key] ?? "");
}
function shortKey(key) {
  return shortNames.get(key) ?? key;
}

/** Text as a number; NaN when it is none. */
function asNumber(text) {
  return /^\s*$/.test(text) ? NaN : Number(text);
}

/** What can stand on an axis: numbers and texts of each run by name. */
function axes() {
  const found = new Map();
  found.set(metricName, content.metrics[metricName]);
  for (const column of content.keys) {
    const values = column.values.map((text) =>
      text === "" ? null : Number.isNaN(asNumber(text)) ? text : asNumber(text),
    );
    const isNumeric = values.every((value) => value === null || typeof value === "number");
    found.set(
      column.key,
      column.index.map((i) => (isNumeric ? values[i] : column.values[i] || null)),
    );
  }
  for (const [name, values] of Object.entries(content.metrics)) found.set(name, values);
  found.set("time (s)", runs.seconds);
  found.set(
    "memory (MiB)",
    runs.memory.map((bytes) => (bytes === null ? null : Math.round(bytes / 2 ** 20))),
  );
  for (const [name, values] of found) if (values.every((value) => value === null)) found.delete(name);
  return found;
}

/** The text of a run that the filter looks into, in lower case. */
const searchable = runs.name.map((name, run) =>
  [
    name,
    runs.task[run],
    runs.state[run],
    groupLabel(runs.group[run]),
    ...content.keys.map((column) => `${column.key}=${column.values[column.index[run]]}`),
  ]
    .join("\n")
    .toLowerCase(),
);

function matches(run, word) {
  const equals = word.indexOf("=");
  if (equals < 1) return searchable[run].includes(word);
  const key = word.slice(0, equals),
    value = word.slice(equals + 1);
  const builtin = { state: runs.state, task: runs.task, seed: runs.seed }[key];
  if (builtin) return String(builtin[run] ?? "").toLowerCase() === value;
  const names = [...keyColumns.keys(), ...Object.keys(content.common)].filter(
    (name) => name.toLowerCase() === key || name.toLowerCase().endsWith("." + key),
  );
  if (!names.length) return searchable[run].includes(word);
  return names.some((name) => {
    const text = keyText(name, run).toLowerCase();
    return text === value || (value !== "" && asNumber(text) === asNumber(value));
  });
}

function applyFilter(text) {
  state.filter = text;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (let run = 0; run < numRuns; run++) {
    state.isVisible[run] = words.every((word) =>
      word.length > 1 && word[0] === "-" ? !matches(run, word.slice(1)) : matches(run, word),
    );
  }
  changed();
}

function toggleSelected(run) {
  if (!state.selected.delete(run)) state.selected.add(run);
  changed();
}

/** The runs to chart, in order: the selected ones of those the filter leaves, or all of those. */
function chartedRuns() {
  const visible = [...Array(numRuns).keys()].filter((run) => state.isVisible[run]);
  const selected = visible.filter((run) => state.selected.has(run));
  return selected.length ? selected : visible;
}
