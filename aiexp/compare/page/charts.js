"use strict";
// The charts, all by plotly. Each is drawn when it comes into view and again when something has changed.

const CONFIG = {
  displaylogo: false,
  responsive: true,
  showLink: false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
};

function cssColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function layout(more) {
  const axis = {
    gridcolor: cssColor("--grid"),
    zerolinecolor: cssColor("--grid"),
    linecolor: cssColor("--line"),
    automargin: true,
  };
  const base = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    colorway: COLORS,
    font: { color: cssColor("--text"), size: 12, family: getComputedStyle(document.body).fontFamily },
    margin: { l: 56, r: 16, t: 12, b: 44 },
    hovermode: "closest",
    hoverlabel: {
      bgcolor: cssColor("--card"),
      bordercolor: cssColor("--line"),
      font: { color: cssColor("--text") },
    },
    legend: { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom" },
  };
  return { ...base, ...more, xaxis: { ...axis, ...more.xaxis }, yaxis: { ...axis, ...more.yaxis } };
}

/** A colour of ours with an opacity. */
function faint(color, opacity) {
  const parts = [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
  return `rgba(${parts.join(",")},${opacity})`;
}

function drawIntervals() {
  const groups = content.groups.slice(0, 20);
  const hasInterval = groups.some((group) => group.low !== null);
  byId("intervals").hidden = groups.length < 2;
  if (groups.length < 2) return;
  const labels = groups.map((group, i) => `${plain(shorten(group.name, 36))}${"\u200b".repeat(i)}`);
  const trace = {
    type: "scatter",
    mode: "markers",
    x: groups.map((group) => group.center),
    y: labels,
    marker: { size: 9, color: groups.map((_, i) => dotColor(i)) },
    error_x: {
      type: "data",
      symmetric: false,
      thickness: 1.5,
      width: 4,
      color: cssColor("--muted"),
      visible: hasInterval,
      array: groups.map((group) => (group.high ?? group.center) - group.center),
      arrayminus: groups.map((group) => group.center - (group.low ?? group.center)),
    },
    text: groups.map((group) => `${plain(group.label)}<br>${formatNumber(group.center)}, n = ${group.count}`),
    hovertemplate: "%{text}<extra></extra>",
  };
  Plotly.react(
    "intervals",
    [trace],
    layout({
      height: 100 + 24 * groups.length,
      showlegend: false,
      margin: { l: 56, r: 16, t: 8, b: 60 },
      xaxis: {
        title: {
          text: plain(
            `${metricName}, ${content.metric.statistic}${hasInterval ? " with 95 % interval" : ""}`,
          ),
        },
      },
      yaxis: { autorange: "reversed", type: "category", dtick: 1, tickfont: { size: 11 } },
    }),
    CONFIG,
  );
}

function drawImportance() {
  const shares = content.importances.slice(0, 15).reverse();
  byId("importance").hidden = byId("importance-title").hidden = !shares.length;
  if (!shares.length) return;
  Plotly.react(
    "importance",
    [
      {
        type: "bar",
        orientation: "h",
        y: shares.map(([key]) => plain(shorten(key, 40))),
        x: shares.map(([, share]) => share),
        marker: { color: COLORS[0] },
        hovertemplate: "%{y}: %{x:.1%}<extra></extra>",
      },
    ],
    layout({
      height: 90 + 24 * shares.length,
      showlegend: false,
      xaxis: {
        title: { text: "share of the variation explained (fANOVA)" },
        tickformat: ".0%",
        rangemode: "tozero",
      },
    }),
    CONFIG,
  );
}

/** An axis of the parallel coordinates: numbers, their logarithms, or texts by number. */
function dimension(name, values) {
  const label = plain(shorten(shortKey(name), 24));
  const known = values.filter((value) => value !== null);
  if (known.every((value) => typeof value === "number")) {
    const low = Math.min(...known),
      high = Math.max(...known),
      middle = (low + high) / 2;
    const unique = [...new Set(known)].sort((a, b) => a - b);
    const isLog = low > 0 && high / low >= 8 && name !== metricName;
    const scale = isLog ? Math.log10 : (value) => value;
    const made = {
      label,
      values: values.map((value) => (value === null ? scale(isLog ? low : middle) : scale(value))),
    };
    const ticks = unique.length <= 8 ? unique : isLog ? [low, Math.sqrt(low * high), high] : null;
    return ticks ? { ...made, tickvals: ticks.map(scale), ticktext: ticks.map(formatNumber) } : made;
  }
  const texts = [...new Set(values.map((value) => String(value ?? "-")))];
  const step = Math.ceil(texts.length / 20); // more labels would overlap
  const ticks = [...texts.keys()].filter((i) => i % step === 0);
  return {
    label,
    values: values.map((value) => texts.indexOf(String(value ?? "-"))),
    tickvals: ticks,
    ticktext: ticks.map((i) => plain(shorten(texts[i], 22))),
    range: [-0.3, texts.length - 0.7],
  };
}

/** Values of an axis with few of them spread a little, by the golden ratio, so that many runs do not hide each other. */
function spread({ values, ...rest }) {
  const size = Math.max(...values) - Math.min(...values);
  if (size === 0 || values.length < 60 || new Set(values).size > 20) return { values, ...rest };
  return { values: values.map((value, i) => value + size * 0.03 * (((i * 0.618034) % 1) - 0.5)), ...rest };
}

function drawParallel() {
  const table = axes();
  const chosen = chartedRuns().filter((run) => content.metrics[metricName][run] !== null);
  const keys = content.keys.map((column) => column.key);
  const names = [
    ...content.columns.map(([key]) => key),
    ...keys.filter((key) => !shortNames.has(key) && !/(^|\.)seed$/.test(key)),
  ];
  const used = [...new Set(names)].filter((name) => table.has(name)).slice(0, 9);
  byId("parallel").parentElement.hidden = !used.length || chosen.length < 2;
  if (byId("parallel").parentElement.hidden) return;
  const pick = (name) => chosen.map((run) => table.get(name)[run]);
  const dimensions = used.map((name) => spread(dimension(name, pick(name))));
  dimensions.push(dimension(metricName, pick(metricName)));
  Plotly.react(
    "parallel",
    [
      {
        type: "parcoords",
        dimensions,
        labelfont: { size: 12 },
        tickfont: { color: cssColor("--muted"), size: 11 },
        rangefont: { color: cssColor("--muted") },
        line: {
          color: pick(metricName),
          colorscale: "Viridis",
          reversescale: !content.metric.isHigherBetter,
          showscale: true,
          colorbar: { title: { text: plain(shorten(metricName, 24)), side: "right" }, thickness: 12 },
        },
        unselected: { line: { color: cssColor("--line"), opacity: 0.25 } },
      },
    ],
    layout({ height: 440, margin: { l: 80, r: 70, t: 56, b: 30 } }),
    CONFIG,
  );
}

function drawScatter() {
  const table = axes();
  const xName = byId("scatter-x").value,
    yName = byId("scatter-y").value;
  const x = table.get(xName),
    y = table.get(yName);
  const label = (value) => (typeof value === "number" ? value : plain(value));
  const byGroup = new Map();
  for (const run of [...Array(numRuns).keys()].filter(
    (i) => state.isVisible[i] && x[i] !== null && y[i] !== null,
  )) {
    const group = runs.group[run] !== null && runs.group[run] < MOST_GROUPS ? runs.group[run] : null;
    byGroup.set(group, [...(byGroup.get(group) ?? []), run]);
  }
  const others = content.groups.length > MOST_GROUPS ? "other groups" : "in no group";
  const traces = [...byGroup]
    .sort(([a], [b]) => (b === null) - (a === null) || a - b)
    .map(([group, chosen]) => ({
      type: "scatter",
      mode: "markers",
      x: chosen.map((run) => label(x[run])),
      y: chosen.map((run) => label(y[run])),
      customdata: chosen,
      name: group === null ? others : plain(shorten(groupTitle(group), 60)),
      legendrank: group === null ? 2000 : 1000,
      marker: {
        color: groupColor(group),
        size: 8,
        opacity: group === null ? 0.45 : 0.85,
        line: { width: chosen.map((run) => (state.selected.has(run) ? 3 : 0)), color: cssColor("--text") },
      },
      text: chosen.map((run) => plain(shorten(runs.name[run], 70))),
      hovertemplate: "%{text}<br>%{x}, %{y:.5~g}<extra></extra>",
    }));
  const chart = byId("scatter-chart");
  Plotly.react(
    chart,
    traces,
    layout({
      height: 440,
      showlegend: traces.length > 1,
      yaxis: { title: { text: plain(yName) } },
      xaxis: {
        title: { text: plain(xName) },
        type: x.every((v) => v === null || typeof v === "number")
          ? byId("scatter-log").checked
            ? "log"
            : "linear"
          : "category",
      },
    }),
    CONFIG,
  );
  if (!chart.dataset.listens) {
    chart.dataset.listens = "yes";
    chart.on("plotly_click", (event) => toggleSelected(event.points[0].customdata));
  }
}
