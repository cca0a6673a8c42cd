"use strict";
// The board: asks its server what has changed, and brings the page up to date. A page that is one file asks nothing.

const POLL_SECONDS = 2;
const ALL_OF = 200; // so many runs have all their curves fetched; of more, those that panels show
const versions = new Map(); // of the curves that are here, by metric
let covered = new Set(); // numbers of the runs whose curves are here; null: of all
let version = 0;
let isAsking = false;
let pollTimer = 0;

/** The runs that panels may show, by their numbers: of each task the first groups; null for all. */
function neededRuns() {
  if (numRuns <= ALL_OF) return null;
  const byTask = new Map();
  for (const run of chartedRuns()) {
    const task = runs.task[run];
    if (!byTask.has(task)) byTask.set(task, new Map());
    const groups = byTask.get(task),
      group = grouping.of[run] ?? Infinity;
    groups.set(group, [...(groups.get(group) ?? []), runs.number[run]]);
  }
  const first = (groups) => [...groups].sort(([a], [b]) => a - b).slice(0, MOST_GROUPS);
  return new Set([...byTask.values()].flatMap((groups) => first(groups).flatMap(([, numbers]) => numbers)));
}

function isCovered(needed) {
  return covered === null || (needed !== null && [...needed].every((number) => covered.has(number)));
}

/** Whether the curves of all these metrics are here; what is missing is asked for. */
function hasCurves(metrics) {
  if (!content.live) return true;
  if (isCovered(neededRuns()) && metrics.every((metric) => versions.has(metric))) return true;
  ask();
  return false;
}

async function fetchJson(address, options = {}) {
  try {
    const answer = await fetch(address, { cache: "no-store", ...options });
    const found = await answer.json();
    return answer.ok ? found : { error: found.error ?? `the board answered ${answer.status}` };
  } catch {
    return null; // it has ended, or the network has
  }
}

async function fetchPart(run, part) {
  const found = await fetchJson(`part?run=${runs.number[run]}&part=${part}`);
  return found?.error ?? found;
}

function fetchLoad(run) {
  return fetchJson(`load?run=${runs.number[run]}`);
}

/** Has notes of a run written down; why that failed, or null. */
async function writeNotes(key, notes) {
  const run = runOf(key);
  if (run < 0) return "this run is gone";
  const found = await fetchJson("notes", {
    method: "POST",
    headers: { "content-type": "application/json", "x-aiexp-token": content.live.token },
    body: JSON.stringify({ run: runs.number[run], ...notes }),
  });
  if (!found || found.error) return found?.error ?? "the board does not answer";
  [runs.title[run], runs.note[run], runs.tags[run], runs.hidden[run]] = found.notes;
  renewAll();
  return null;
}

/** Asks what has changed, for the panels in view. */
async function ask() {
  if (isAsking) return;
  isAsking = true;
  clearTimeout(pollTimer);
  const wanted = wantedMetrics();
  const needed = neededRuns();
  if (!isCovered(needed)) {
    covered = needed === null ? null : new Set([...covered, ...needed]);
    versions.clear();
  }
  const asked = new URLSearchParams({ since: version });
  if (covered !== null) asked.set("only", [...covered].join(","));
  for (const metric of wanted) asked.append("curve", `${versions.get(metric) ?? 0}:${metric}`);
  const found = await fetchJson(`changes?${asked}`);
  isAsking = false;
  showLive(found);
  try {
    if (found && !found.error) await take(found, wanted);
  } finally {
    // Whatever went wrong with one answer: the next may be better.
    clearTimeout(pollTimer);
    pollTimer = setTimeout(poll, POLL_SECONDS * 1000);
  }
  if (!hasCurvesNow()) ask();
}

/** Whether the panels that came into view meanwhile have their curves. */
function hasCurvesNow() {
  if (byId("live").classList.contains("bad")) return true; // it is asked again later
  return isCovered(neededRuns()) && wantedMetrics().every((metric) => versions.has(metric));
}

async function take(found, wanted) {
  if (found.board !== content.live.board) return location.reload(); // it was started anew
  addCurves(found.curves);
  content.curves.isThinned = found.curves.isThinned;
  const isNew = wanted.filter((metric) => !versions.has(metric));
  wanted.forEach((metric) => versions.set(metric, found.version));
  version = found.version;
  if (found.structure !== content.live.structure) {
    const made = await fetchJson("content");
    if (made && !made.error) {
      made.curves.isThinned = found.curves.isThinned;
      adopt(made);
      version = made.live.version; // what has changed since it was made comes with the next answer
      renewAll();
    }
    return;
  }
  patch(found.runs);
  const touched = [...new Set([...isNew, ...Object.keys(found.curves.metrics)])];
  const isAxis = touched.some((metric) => NEEDED[byId("curve-x").value].includes(metric));
  if (touched.length) redrawPanels(isAxis ? content.curves.names : touched);
  else drawPanels();
}

/** Numbers of runs that have gone on. */
function patch(changes) {
  const places = new Map(runs.number.map((number, run) => [number, run]));
  const touched = [];
  for (const [number, values, metrics] of changes) {
    const run = places.get(number);
    if (run === undefined) continue;
    for (const [name, value] of Object.entries(values)) runs[name][run] = value;
    for (const [name, value] of Object.entries(metrics))
      if (content.metrics[name]) content.metrics[name][run] = value;
    searchable[run] = undefined;
    touched.push(run);
  }
  if (!touched.length) return;
  refilter();
  renewRows(touched);
  redraw(["scatter"]);
  const run = openRun === null ? -1 : runOf(openRun);
  if (touched.includes(run) && byId("run").open) {
    byId("run-where").textContent = `${runs.path[run]} \u00b7 ${runs.state[run]}, ${progressText(run)}`;
    if (openTab === "log") showTab(run, "log");
  }
}

function poll() {
  if (document.hidden) return; // nobody looks: the board has nothing to do
  ask();
}

/** Says whether what is shown is still so. */
function showLive(found) {
  const isGood = Boolean(found) && !found.error;
  const line = byId("live");
  line.hidden = false;
  line.classList.toggle("bad", !isGood);
  const working = runs.state.filter((name) => UNDER_WAY.has(name)).length;
  line.textContent = isGood ? (working ? `${working} running` : "live") : (found?.error ?? "the board has ended");
}

function startLive() {
  if (!content.live) return;
  version = content.live.version;
  byId("kind").textContent = "board";
  document.addEventListener("visibilitychange", () => document.hidden || ask());
  ask();
}
