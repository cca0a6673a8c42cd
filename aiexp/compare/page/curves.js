"use strict";
// Curves as numbers: where they come from, smoothing, means of groups, and steps as epochs, examples or time.

const EPOCH = "train/epoch",
  STEP_SECONDS = "time/step_seconds",
  EXAMPLES = "time/examples_per_second";
const NEEDED = { step: [], epoch: [EPOCH], examples: [EXAMPLES, STEP_SECONDS], time: [STEP_SECONDS] };
const X_TITLES = { step: "step", epoch: "epoch", examples: "examples", time: "training time (s)" };

// Metric to run (by its number, which outlives its place) to steps and values.
const curves = new Map();

/** Takes curves over as they come: lists of steps, and rows of run, list and values. */
function addCurves(packed) {
  for (const [metric, found] of Object.entries(packed.metrics)) {
    if (!curves.has(metric)) curves.set(metric, new Map());
    for (const [number, list, values] of found)
      curves.get(metric).set(number, { steps: packed.steps[list], values });
  }
}

function curveOf(metric, run) {
  return curves.get(metric)?.get(runs.number[run]);
}

/** Debiased exponential mean: 0 leaves the values as they are. */
function smooth(values, weight) {
  if (!weight) return values;
  let mean = 0,
    norm = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return mean / norm;
  });
}

function lastValue(curve) {
  if (!curve) return null;
  for (let i = curve.values.length - 1; i >= 0; i--)
    if (curve.values[i] !== null) return { step: curve.steps[i], value: curve.values[i] };
  return null;
}

/** A function from a run's steps to the axis wanted; null where the run does not say enough. */
function stepsAs(axis, run) {
  if (axis === "step") return (step) => step;
  if (axis === "epoch") {
    const last = lastValue(curveOf(EPOCH, run));
    return last && last.step ? (step) => (step * last.value) / last.step : null;
  }
  const seconds = curveOf(STEP_SECONDS, run);
  if (axis === "examples") {
    const last = lastValue(curveOf(EXAMPLES, run)),
      each = lastValue(seconds);
    return last && each ? (step) => step * Math.round(last.value * each.value * 1e4) * 1e-4 : null;
  }
  return seconds && seconds.steps.length ? elapsed(seconds) : null;
}

/** Seconds of training until a step: the time of a step, summed up over the lines that say it. */
function elapsed({ steps, values }) {
  const knots = [[0, 0]];
  let sum = 0;
  steps.forEach((step, i) => {
    sum += (values[i] ?? 0) * (step - knots.at(-1)[0]);
    knots.push([step, sum]);
  });
  let i = 1;
  return (step) => {
    if (i > 1 && step < knots[i - 1][0]) i = 1;
    while (i < knots.length - 1 && knots[i][0] < step) i++;
    const [[x0, y0], [x1, y1]] = [knots[i - 1], knots[i]];
    return x1 === x0 ? y1 : y0 + ((y1 - y0) * (step - x0)) / (x1 - x0);
  };
}

/** A run's curve of a metric over an axis, smoothed; null where there is none. */
function runCurve(metric, run, weight, axis) {
  const curve = curveOf(metric, run);
  const convert = curve && stepsAs(axis, run);
  if (!convert) return null;
  return {
    run,
    steps: axis === "step" ? curve.steps : curve.steps.map(convert),
    values: smooth(curve.values, weight),
  };
}

/** A curve's value at a step, on the line between its neighbours; null outside it. */
function sampler(steps, values) {
  let i = 0;
  return (step) => {
    if (step < steps[0] || step > steps[steps.length - 1]) return null;
    while (i < steps.length - 1 && steps[i + 1] <= step) i++;
    if (steps[i] === step || i === steps.length - 1) return values[i];
    if (values[i] === null || values[i + 1] === null) return null;
    return values[i] + ((values[i + 1] - values[i]) * (step - steps[i])) / (steps[i + 1] - steps[i]);
  };
}

/** Mean of several curves and its 95 % interval at each step of the longest of them. */
function meanCurve(members) {
  const steps = members.reduce((a, b) => (b.steps.length > a.steps.length ? b : a)).steps;
  const samplers = members.map((curve) => sampler(curve.steps, curve.values));
  const result = { steps: [], mean: [], low: [], high: [] };
  for (const step of steps) {
    const values = samplers.map((at) => at(step)).filter((value) => value !== null);
    if (!values.length) continue;
    const { center, low, high } = statisticsOf(values);
    result.steps.push(step);
    result.mean.push(center);
    result.low.push(low ?? center);
    result.high.push(high ?? center);
  }
  return result;
}

/** The curves of a metric by group, the first groups; and how many runs cannot be put on the axis. */
function curvesByGroup(metric, axis, weight, isEach) {
  const byGroup = new Map();
  let numWithout = 0;
  for (const run of chartedRuns()) {
    if (!curveOf(metric, run)) continue;
    const curve = runCurve(metric, run, weight, axis);
    if (!curve) {
      numWithout++;
      continue;
    }
    const group = grouping.of[run];
    if (group === null && !isEach && !state.selected.size) continue;
    byGroup.set(group, [...(byGroup.get(group) ?? []), curve]);
  }
  const inOrder = [...byGroup].sort(([a], [b]) => (a ?? Infinity) - (b ?? Infinity));
  return { shown: inOrder.slice(0, MOST_GROUPS), numWithout };
}

function curveName(group, count) {
  return plain(shorten(group === null ? "in no group" : groupTitle(group), 60)) + ` (${count})`;
}

function meanTraces(group, members, axis) {
  const { steps, mean, low, high } = meanCurve(members);
  const color = groupColor(group),
    name = curveName(group, members.length);
  const line = {
    type: "scatter",
    mode: steps.length < 2 ? "markers" : "lines",
    x: steps,
    y: mean,
    name,
    legendgroup: name,
    line: { color, width: 2 },
    marker: { color },
    hovertemplate: `${axis} %{x:.6~g}: %{y:.4~g}<extra>${name}</extra>`,
  };
  if (members.length < 2) return [line];
  const edge = {
    type: "scatter",
    mode: "lines",
    x: steps,
    legendgroup: name,
    showlegend: false,
    hoverinfo: "skip",
    line: { width: 0, color },
  };
  return [{ ...edge, y: low }, { ...edge, y: high, fill: "tonexty", fillcolor: faint(color, 0.16) }, line];
}

function eachTrace(group, members, axis) {
  const x = [],
    y = [],
    text = [];
  for (const curve of members) {
    x.push(...curve.steps, null);
    y.push(...curve.values, null);
    text.push(...new Array(curve.steps.length + 1).fill(plain(shorten(runTitle(curve.run), 60))));
  }
  const color = groupColor(group);
  const isPoint = members.every((curve) => curve.steps.length < 2);
  return [
    {
      type: "scatter",
      mode: isPoint ? "markers" : "lines",
      x,
      y,
      text,
      name: curveName(group, members.length),
      opacity: members.length > 30 ? 0.45 : 0.9,
      line: { color, width: members.length > 30 ? 0.8 : 1.4 },
      marker: { color },
      hovertemplate: `%{text}<br>${axis} %{x:.6~g}: %{y:.4~g}<extra></extra>`,
    },
  ];
}
