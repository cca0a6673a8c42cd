"use strict";
// The curves over the steps: one of each run, or the mean of each group with its interval.

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
function meanCurve(curves) {
  const steps = curves.reduce((a, b) => (b.steps.length > a.steps.length ? b : a)).steps;
  const samplers = curves.map((curve) => sampler(curve.steps, curve.values));
  const result = { steps: [], mean: [], low: [], high: [] };
  for (const step of steps) {
    const values = samplers.map((at) => at(step)).filter((value) => value !== null);
    if (!values.length) continue;
    const n = values.length,
      mean = values.reduce((a, b) => a + b, 0) / n;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(n - 1, 1);
    const quantile = content.curves.student[Math.min(n - 1, content.curves.student.length) - 1];
    const half = n > 1 ? quantile * Math.sqrt(variance / n) : 0;
    result.steps.push(step);
    result.mean.push(mean);
    result.low.push(mean - half);
    result.high.push(mean + half);
  }
  return result;
}

function runCurve(metric, run, weight) {
  const row = content.curves.metrics[metric][run];
  return row && { run, steps: content.curves.steps[row[0]], values: smooth(row[1], weight) };
}

function drawCurves() {
  const metric = byId("curve-metric").value;
  if (!metric) return;
  const weight = Number(byId("smoothing").value),
    isEach = byId("curve-view").value === "each";
  const byGroup = new Map();
  for (const run of chartedRuns()) {
    const curve = runCurve(metric, run, weight);
    if (!curve) continue;
    const group = runs.group[run];
    if (group === null && !isEach && !state.selected.size) continue;
    byGroup.set(group, [...(byGroup.get(group) ?? []), curve]);
  }
  const groups = [...byGroup].slice(0, MOST_GROUPS);
  const traces = groups.flatMap(([group, curves]) =>
    isEach ? eachTrace(group, curves) : meanTraces(group, curves),
  );
  const hidden = byGroup.size - groups.length;
  byId("curve-note").textContent = [
    hidden ? `The best ${groups.length} of ${byGroup.size} groups; filter or select runs to see others.` : "",
    !isEach ? "Shaded: 95 % interval of the mean (Student), where a group has two runs or more." : "",
    content.curves.isThinned ? "Of long curves only every so many points are in this page." : "",
  ]
    .filter(Boolean)
    .join(" ");
  Plotly.react(
    "curve-chart",
    traces,
    layout({
      height: 440,
      xaxis: { title: { text: "step" } },
      yaxis: { title: { text: plain(metric) }, type: byId("curve-log").checked ? "log" : "linear" },
    }),
    CONFIG,
  );
}

function curveName(group, count) {
  return plain(shorten(group === null ? "in no group" : groupTitle(group), 60)) + ` (${count})`;
}

function meanTraces(group, curves) {
  const { steps, mean, low, high } = meanCurve(curves);
  const color = groupColor(group),
    name = curveName(group, curves.length);
  const line = {
    type: "scatter",
    mode: steps.length < 2 ? "markers" : "lines",
    x: steps,
    y: mean,
    name,
    legendgroup: name,
    line: { color, width: 2 },
    marker: { color },
    hovertemplate: `step %{x}: %{y:.4~g}<extra>${name}</extra>`,
  };
  if (curves.length < 2) return [line];
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

function eachTrace(group, curves) {
  const x = [],
    y = [],
    text = [];
  for (const curve of curves) {
    x.push(...curve.steps, null);
    y.push(...curve.values, null);
    text.push(...new Array(curve.steps.length + 1).fill(plain(shorten(runs.name[curve.run], 60))));
  }
  const color = groupColor(group);
  return [
    {
      type: "scatter",
      mode: "lines",
      x,
      y,
      text,
      name: curveName(group, curves.length),
      opacity: curves.length > 30 ? 0.45 : 0.9,
      line: { color, width: curves.length > 30 ? 0.8 : 1.4 },
      hovertemplate: "%{text}<br>step %{x}: %{y:.4~g}<extra></extra>",
    },
  ];
}
