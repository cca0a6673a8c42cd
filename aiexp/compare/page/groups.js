"use strict";
// The groups of runs: those of the comparison, or by any key, then with means and intervals of this page.

let grouping;

function groupColor(group) {
  return group === null ? GREY : COLORS[group % COLORS.length];
}
/** The same, grey for those that no chart shows at first. */
function dotColor(group) {
  return group === null || group >= MOST_GROUPS ? GREY : groupColor(group);
}
function groupLabel(group) {
  return group === null || !grouping ? "" : grouping.list[group].label;
}

/** A group's label, behind the letter that sentences call it by where labels are long. */
function groupTitle(group) {
  const { name, label } = grouping.list[group];
  return name === label ? label : `${name}: ${label}`;
}

/** What runs can be grouped by, beside what they are compared by. */
function groupKeys() {
  const keys = content.keys.map((column) => column.key);
  const tags = runs.tags.some((tags) => tags.length) ? ["tag"] : [];
  return [...new Set(["run", "state", ...tags, ...content.columns.map(([key]) => key), "seed", ...keys])];
}

/** The value that puts a run into its group. */
function groupText(key, run) {
  if (key === "run") return runTitle(run);
  if (key === "state") return runs.state[run];
  if (key === "tag") return runs.tags[run].join(" ") || "without";
  if (key === "seed" && !keyColumns.has("seed")) return String(runs.seed[run] ?? "");
  return keyText(key, run);
}

/** Mean, its 95 % interval (Student) and deviation of some numbers. */
function statisticsOf(values) {
  const n = values.length;
  if (!n) return { center: null, low: null, high: null, deviation: null };
  const center = values.reduce((a, b) => a + b, 0) / n;
  if (n < 2) return { center, low: null, high: null, deviation: null };
  const deviation = Math.sqrt(values.reduce((a, b) => a + (b - center) ** 2, 0) / (n - 1));
  const student = content.curves.student;
  const half = (student[Math.min(n - 1, student.length) - 1] * deviation) / Math.sqrt(n);
  return { center, low: center - half, high: center + half, deviation };
}

/** Sorts the runs into groups anew. */
function regroup() {
  searchable = [];
  if (!state.by || !(groupKeys().includes(state.by) || Object.hasOwn(content.common, state.by))) {
    grouping = {
      isOwn: false,
      of: runs.group,
      list: content.groups,
      columns: content.columns.map(([, name]) => name),
      statistic: content.metric.statistic,
      unit: content.unit,
    };
    return;
  }
  const members = new Map();
  for (let run = 0; run < numRuns; run++) {
    const text = groupText(state.by, run);
    if (!members.has(text)) members.set(text, []);
    members.get(text).push(run);
  }
  const sign = content.metric.isHigherBetter ? -1 : 1;
  const made = [...members].map(([text, chosen]) => makeGroup(text, chosen));
  made.sort(
    (a, b) => (a.center === null) - (b.center === null) || sign * ((a.center ?? 0) - (b.center ?? 0)),
  );
  const of = new Array(numRuns).fill(null);
  made.forEach((group, i) => group.members.forEach((run) => (of[run] = i)));
  const name = shortKey(state.by);
  grouping = { isOwn: true, of, list: made, columns: [name], statistic: "mean", unit: "runs" };
}

function makeGroup(text, chosen) {
  const ended = chosen.filter((run) => runs.state[run] === "finished");
  const scores = ended.map((run) => content.metrics[metricName][run]).filter((value) => value !== null);
  const seconds = ended.map((run) => runs.seconds[run]).filter((value) => value !== null);
  const label = state.by === "run" ? text : `${shortKey(state.by)}=${text}`;
  return {
    label,
    name: label,
    values: [text],
    members: chosen,
    count: scores.length,
    lost: chosen.filter((run) => !isUnderWay(run)).length - scores.length,
    ...statisticsOf(scores),
    seconds: seconds.length ? seconds.reduce((a, b) => a + b, 0) / seconds.length : null,
    memory: Math.max(...ended.map((run) => runs.memory[run] ?? 0), 0) || null,
  };
}
