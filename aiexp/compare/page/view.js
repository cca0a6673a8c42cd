"use strict";
// The view in the address of the page: what is filtered, drawn, selected, open. A bookmark is a saved view.

// Controls by their names in the address; what is as it was at first is left out.
const CONTROLS = {
  x: "curve-x",
  show: "curve-view",
  smooth: "smoothing",
  log: "curve-log",
  metrics: "panel-filter",
  sx: "scatter-x",
  sy: "scatter-y",
  slog: "scatter-log",
  equal: "config-all",
  picture: "picture-name",
};
const atFirst = {};
let isReading = false;

function controlValue(id) {
  const control = byId(id);
  return control.type === "checkbox" ? (control.checked ? "1" : "") : control.value;
}

function setControl(id, value) {
  const control = byId(id);
  if (control.type === "checkbox") control.checked = value === "1";
  else if (control.tagName !== "SELECT" || [...control.options].some((option) => option.value === value))
    control.value = value;
}

/** Remembers what the controls say before anybody has touched them. */
function rememberControls() {
  for (const id of Object.values(CONTROLS)) atFirst[id] ??= controlValue(id);
}

function writeView() {
  if (isReading) return;
  const found = new URLSearchParams();
  const put = (name, value) => value && found.set(name, value);
  put("filter", state.filter.trim());
  put("by", state.by);
  for (const [name, id] of Object.entries(CONTROLS))
    if (controlValue(id) !== atFirst[id]) found.set(name, controlValue(id));
  for (const key of state.selected) found.append("select", key);
  for (const key of state.hidden) found.append("hide", key);
  put("all", state.showsHidden ? "1" : "");
  put("sort", sorted.title ? (sorted.isDescending ? "-" : "") + sorted.title : "");
  for (const metric of largePanels) found.append("large", metric);
  put("run", openRun === null ? "" : openRun);
  put("tab", openRun === null || openTab === "overview" ? "" : openTab);
  const hash = found.size ? `#${found}` : "";
  if (hash !== location.hash) history.replaceState(null, "", hash || location.pathname + location.search);
}

/** Brings the page to what its address says. */
function readView() {
  const found = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  isReading = true;
  state.filter = found.get("filter") ?? "";
  byId("filter").value = state.filter;
  state.by = found.get("by") ?? "";
  setControl("by", state.by);
  for (const [name, id] of Object.entries(CONTROLS)) setControl(id, found.get(name) ?? atFirst[id]);
  byId("smoothing-value").textContent = byId("smoothing").value;
  state.selected = new Set(found.getAll("select"));
  state.hidden = new Set(found.getAll("hide"));
  state.showsHidden = found.get("all") === "1";
  byId("hidden-shown").checked = state.showsHidden;
  const sort = found.get("sort") ?? "";
  sorted = { title: sort.replace(/^-/, ""), isDescending: sort.startsWith("-") };
  largePanels = new Set(found.getAll("large"));
  openRun = found.get("run");
  openTab = found.get("tab") ?? "overview";
  isReading = false;
}
