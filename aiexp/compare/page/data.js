"use strict";
// The content, what of it is shown, and how values are written. Text from runs only ever becomes text nodes.

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
const UNDER_WAY = new Set(["starting", "running"]);

let content, runs, numRuns, metricName, keyColumns, shortNames, searchable;
// Runs are remembered by their keys: their places change when the content does.
const state = {
  filter: "",
  by: "",
  selected: new Set(),
  hidden: new Set(),
  showsHidden: false,
  isVisible: [],
};
const listeners = [];

/** Takes new content over from where it came. */
function adopt(made) {
  content = made;
  runs = content.runs;
  numRuns = runs.name.length;
  metricName = content.metric.name;
  keyColumns = new Map(content.keys.map((column) => [column.key, column]));
  shortNames = new Map(content.columns);
  searchable = [];
}

/** Calls `listener` whenever the filter, the selection, the grouping or the theme has changed. */
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

/** The same for a text whose end tells it from others. */
function cutMiddle(text, most) {
  return text.length > most ? `${text.slice(0, most - 12)}\u2026${text.slice(-11)}` : text;
}

function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** A number alone, in four digits. */
function formatNumber(value) {
  return value === null || value === undefined ? "" : formatFixed(value, decimalsOf([value]));
}

/** The same without zeros at the end, for a scale that nothing has to be aligned with. */
function formatTick(value) {
  return String(Number(value.toPrecision(4)));
}

/** Decimals at which the largest of some values has four digits; whole numbers have none. */
function decimalsOf(values) {
  const known = values.filter((value) => typeof value === "number" && Number.isFinite(value));
  if (known.every(Number.isInteger)) return 0;
  const largest = known.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0) return 0;
  return Math.min(Math.max(3 - Math.floor(Math.log10(largest)), 0), 8);
}

/** A number with so many decimals, so that a column of them is aligned; very large and small ones as powers. */
function formatFixed(value, decimals) {
  if (value === null || value === undefined) return "";
  if (value === 0) return value.toFixed(decimals);
  const size = Math.abs(value);
  if (Number.isInteger(value) && decimals === 0 && size < 1e9) return String(value);
  return size >= 1e7 || size < 10 ** -Math.min(decimals, 5)
    ? value.toExponential(2).replace(/\.?0+e/, "e")
    : value.toFixed(decimals);
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

/** A run's title, else its name without the time in front of it. */
function runTitle(run) {
  return runs.title[run] || runs.name[run].replace(/^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_/, "");
}

function isUnderWay(run) {
  return UNDER_WAY.has(runs.state[run]);
}
function isSelected(run) {
  return state.selected.has(runs.key[run]);
}
function isHidden(run) {
  return runs.hidden[run] || state.hidden.has(runs.key[run]);
}

/** A config key's value in a run, as text. */
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

function toggleSelected(run) {
  if (!state.selected.delete(runs.key[run])) state.selected.add(runs.key[run]);
  changed();
}

/** The runs that the filter leaves, in order. */
function visibleRuns() {
  return [...Array(numRuns).keys()].filter((run) => state.isVisible[run]);
}

/** The runs to chart, in order: the selected ones of those the filter leaves, or all of those. */
function chartedRuns() {
  const visible = visibleRuns();
  const selected = visible.filter(isSelected);
  return selected.length ? selected : visible;
}
