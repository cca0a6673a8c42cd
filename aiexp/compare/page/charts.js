"use strict";
// The charts, all by plotly. Each is drawn when it comes into view and again when something has changed.

// Where nothing hovers the bar would stand there always, over the data.
const CONFIG = {
  displaylogo: false,
  responsive: true,
  showLink: false,
  displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "sendChartToCloud"],
};
// From bad to good, each readable on its background.
const SCALES = {
  light: [
    [0, "#d9a400"],
    [0.35, "#4f9d69"],
    [0.7, "#1f6f8b"],
    [1, "#3b1f6b"],
  ],
  dark: [
    [0, "#6f7fd6"],
    [0.4, "#3fb8c9"],
    [0.75, "#8fdc7c"],
    [1, "#ffe66b"],
  ],
};

let hasPlotly = false;

/** Has the browser start plotly, which takes a second: what can be read is drawn before. */
function startPlotly() {
  if (hasPlotly) return;
  byId("plotly").replaceWith(element("script", {}, byId("plotly").textContent));
  hasPlotly = true;
}

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
    uirevision: "kept", // a zoom, when new data come
    font: { color: cssColor("--text"), size: 12, family: getComputedStyle(document.body).fontFamily },
    margin: { l: 56, r: 16, t: 28, b: 44 }, // its bar stands above the data
    modebar: {
      bgcolor: "rgba(0,0,0,0)",
      color: cssColor("--muted"),
      activecolor: cssColor("--accent"),
    },
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

/** Draws, or says why there is nothing to draw: axes without data would look like data. */
function drawOrSay(id, traces, made, why) {
  const chart = byId(id);
  if (traces.length) {
    chart.querySelector(":scope > .nothing")?.remove();
    return Plotly.react(chart, traces, made, CONFIG);
  }
  Plotly.purge(chart);
  chart.replaceChildren(element("p", { class: "nothing muted" }, why));
}

function nothingBecause() {
  return state.isVisible.some(Boolean) ? "Nothing to draw of these runs." : "The filter leaves no run.";
}

function drawIntervals() {
  const groups = grouping.list.map((group, i) => ({ ...group, i })).filter((group) => group.center !== null);
  const shown = groups.slice(0, 20);
  const hasInterval = shown.some((group) => group.low !== null);
  byId("intervals").hidden = shown.length < 2;
  if (shown.length < 2) return;
  const labels = shown.map((group, i) => `${plain(shorten(group.name, 36))}${"\u200b".repeat(i)}`);
  const decimals = decimalsOf(shown.map((group) => group.center));
  const trace = {
    type: "scatter",
    mode: "markers",
    x: shown.map((group) => group.center),
    y: labels,
    marker: { size: 9, color: shown.map((group) => dotColor(group.i)) },
    error_x: {
      type: "data",
      symmetric: false,
      thickness: 1.5,
      width: 4,
      color: cssColor("--muted"),
      visible: hasInterval,
      array: shown.map((group) => (group.high ?? group.center) - group.center),
      arrayminus: shown.map((group) => group.center - (group.low ?? group.center)),
    },
    text: shown.map(
      (group) => `${plain(group.label)}<br>${formatFixed(group.center, decimals)}, n = ${group.count}`,
    ),
    hovertemplate: "%{text}<extra></extra>",
  };
  Plotly.react(
    "intervals",
    [trace],
    layout({
      height: 110 + 24 * shown.length,
      showlegend: false,
      margin: { l: 56, r: 16, t: 28, b: 60 },
      xaxis: {
        title: {
          text: plain(
            `${metricName}, ${grouping.statistic}${hasInterval ? " with 95 % interval" : ""}`,
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
    return ticks ? { ...made, tickvals: ticks.map(scale), ticktext: ticks.map(formatTick) } : made;
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
  if (!used.length || chosen.length < 2) {
    const why = chosen.length < 2 ? "It takes two runs with a result." : "These runs differ in nothing but the seed.";
    return drawOrSay("parallel", [], null, state.isVisible.some(Boolean) ? why : nothingBecause());
  }
  const pick = (name) => chosen.map((run) => table.get(name)[run]);
  const dimensions = used.map((name) => spread(dimension(name, pick(name))));
  dimensions.push(dimension(metricName, pick(metricName)));
  drawOrSay(
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
          colorscale: SCALES[document.documentElement.dataset.theme] ?? SCALES.light,
          reversescale: !content.metric.isHigherBetter,
          showscale: true,
          colorbar: { title: { text: plain(shorten(metricName, 24)), side: "right" }, thickness: 12 },
        },
        unselected: { line: { color: cssColor("--line"), opacity: 0.25 } },
      },
    ],
    layout({ height: 440, margin: { l: 80, r: 70, t: 56, b: 30 } }),
    "",
  );
}

function drawScatter() {
  const table = axes();
  const xName = byId("scatter-x").value,
    yName = byId("scatter-y").value;
  const x = table.get(xName) ?? [],
    y = table.get(yName) ?? [];
  const label = (value) => (typeof value === "number" ? value : plain(value));
  const byGroup = new Map();
  const isThere = (value) => value !== null && value !== undefined;
  for (const run of visibleRuns().filter((i) => isThere(x[i]) && isThere(y[i]))) {
    const of = grouping.of[run];
    const group = of !== null && of < MOST_GROUPS ? of : null;
    byGroup.set(group, [...(byGroup.get(group) ?? []), run]);
  }
  const others = grouping.list.length > MOST_GROUPS ? "other groups" : "in no group";
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
        line: { width: chosen.map((run) => (isSelected(run) ? 3 : 0)), color: cssColor("--text") },
      },
      text: chosen.map((run) => plain(shorten(runTitle(run), 70))),
      hovertemplate: "%{text}<br>%{x}, %{y:.5~g}<extra></extra>",
    }));
  const chart = byId("scatter-chart");
  drawOrSay(
    "scatter-chart",
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
    nothingBecause(),
  );
  if (traces.length && !chart.dataset.listens) {
    chart.dataset.listens = "yes";
    chart.on("plotly_click", (event) => toggleSelected(event.points[0].customdata));
  } else if (!traces.length) delete chart.dataset.listens; // purged
}
