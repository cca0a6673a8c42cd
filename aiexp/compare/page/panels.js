"use strict";
// A panel for each metric, in a grid, by the part of its name before the slash; drawn when it comes into view.

const SMALL = 230,
  LARGE = 440; // pixels
const FOLDED = ["time"]; // at first
let largePanels = new Set();
const folds = new Map(); // prefix to whether it is open, where somebody has said it
const inViewPanels = new Set();
const stalePanels = new Set();
let panelObserver = null;
let builtPanels = ""; // what the grid was made from

function panelId(metric) {
  return `panel-${content.curves.names.indexOf(metric)}`;
}

/** The metrics whose names hold every word of the field. */
function shownMetrics() {
  const words = byId("panel-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  return content.curves.names.filter((name) => words.every((word) => name.toLowerCase().includes(word)));
}

/** Metrics of panels that are in view and of the axis: what a board is asked for. */
function wantedMetrics() {
  const shown = [...inViewPanels].filter((metric) => byId(panelId(metric)));
  return shown.length ? [...new Set([...shown, ...NEEDED[byId("curve-x").value]])] : [];
}

/** Makes the grid, unless it is there already: then what is in it is drawn anew, and a zoom stays. */
function buildPanels() {
  const names = shownMetrics();
  const wanted = JSON.stringify([names, content.curves.names, [...largePanels]]);
  byId("curves").hidden = !content.curves.names.length;
  if (wanted === builtPanels) return redrawPanels();
  builtPanels = wanted;
  const byPrefix = new Map();
  for (const name of names) {
    const prefix = name.includes("/") ? name.split("/")[0] : "other";
    byPrefix.set(prefix, [...(byPrefix.get(prefix) ?? []), name]);
  }
  panelObserver ??= new IntersectionObserver(watchPanels, { rootMargin: "150px" });
  panelObserver.disconnect();
  inViewPanels.clear();
  if (hasPlotly) for (const chart of byId("panels").querySelectorAll(".chart")) Plotly.purge(chart);
  byId("panels").replaceChildren(...[...byPrefix].map(([prefix, group]) => makeFold(prefix, group)));
  if (!names.length) byId("panels").append(element("p", { class: "muted" }, "No metric has these words."));
  names.forEach((name) => stalePanels.add(name));
  for (const panel of byId("panels").querySelectorAll(".panel")) panelObserver.observe(panel);
}

function makeFold(prefix, names) {
  const fold = element(
    "details",
    { open: folds.get(prefix) ?? !FOLDED.includes(prefix) },
    element("summary", {}, `${prefix} `, element("span", { class: "muted" }, String(names.length))),
    element("div", { class: "grid" }, ...names.map(makePanel)),
  );
  fold.addEventListener("toggle", () => folds.set(prefix, fold.open));
  return fold;
}

function makePanel(metric) {
  const isLarge = largePanels.has(metric) || content.curves.names.length === 1;
  const enlarge = element(
    "button",
    {
      type: "button",
      class: "plain",
      "aria-label": `${isLarge ? "Smaller" : "Larger"}: ${metric}`,
      onclick: () => {
        if (!largePanels.delete(metric)) largePanels.add(metric);
        buildPanels();
        writeView();
      },
    },
    isLarge ? "\u2921" : "\u2922",
  );
  return element(
    "figure",
    { class: isLarge ? "panel large" : "panel", "data-metric": metric },
    element("figcaption", {}, element("strong", { title: metric }, metric), enlarge),
    element("div", { id: panelId(metric), class: isLarge ? "chart high" : "chart small" }),
  );
}

function watchPanels(entries) {
  for (const entry of entries)
    inViewPanels[entry.isIntersecting ? "add" : "delete"](entry.target.dataset.metric);
  drawPanels();
}

/** Draws the panels in view that are not as they should be; asks for what is missing of them. */
function drawPanels(isAll = false) {
  const wanted = isAll ? shownMetrics() : wantedMetrics();
  if ((!isAll && !hasCurves(wanted)) || !hasPlotly) return;
  if (wanted.length) showLegend();
  for (const metric of isAll ? wanted : inViewPanels)
    if (byId(panelId(metric)) && stalePanels.delete(metric)) drawPanel(metric);
}

function redrawPanels(metrics = content.curves.names) {
  metrics.forEach((metric) => stalePanels.add(metric));
  requestAnimationFrame(() => drawPanels());
}

function drawPanel(metric) {
  const axis = byId("curve-x").value,
    isEach = byId("curve-view").value === "each";
  const weight = Number(byId("smoothing").value);
  const { shown, numWithout } = curvesByGroup(metric, axis, weight, isEach);
  const traces = shown.flatMap(([group, members]) =>
    isEach ? eachTrace(group, members, axis) : meanTraces(group, members, axis),
  );
  const isLarge = byId(panelId(metric)).classList.contains("high");
  const why = numWithout ? `These runs do not say their ${X_TITLES[axis]}.` : nothingBecause();
  drawOrSay(
    panelId(metric),
    traces,
    layout({
      height: isLarge ? LARGE : SMALL,
      showlegend: false,
      uirevision: `${axis} ${byId("curve-log").checked}`,
      margin: { l: 46, r: 10, t: 26, b: 36 },
      font: { ...layout({}).font, size: isLarge ? 12 : 11 },
      xaxis: { title: { text: X_TITLES[axis], standoff: 4 }, nticks: isLarge ? 10 : 5 },
      yaxis: byId("curve-log").checked
        ? { type: "log", nticks: isLarge ? 8 : 5 }
        : { type: "linear", nticks: isLarge ? 8 : 5, ...rangeOf(traces) },
    }),
    why,
  );
}

/** An axis by the lines; bands, which with two seeds go beyond everything, may widen it by a third a side. */
function rangeOf(traces) {
  const extent = (chosen) => {
    const all = chosen.flatMap((trace) => trace.y).filter((value) => value !== null);
    return [all.reduce((a, b) => Math.min(a, b), Infinity), all.reduce((a, b) => Math.max(a, b), -Infinity)];
  };
  const [low, high] = extent(traces.filter((trace) => trace.hoverinfo !== "skip"));
  const [lowest, highest] = extent(traces);
  const room = (high - low) / 3;
  if (!(room > 0) || (lowest >= low - room && highest <= high + room)) return {};
  const edge = (high - low) / 20;
  return { range: [Math.max(lowest, low - room) - edge, Math.min(highest, high + room) + edge] };
}

/** The groups in the colours of the panels, and what the panels do not show. */
function showLegend() {
  const isEach = byId("curve-view").value === "each";
  const axis = byId("curve-x").value;
  const counts = new Map();
  let numWithout = 0;
  for (const run of chartedRuns()) {
    const group = grouping.of[run];
    if (axis !== "step" && !stepsAs(axis, run)) numWithout++;
    else if (group !== null || isEach || state.selected.size) counts.set(group, (counts.get(group) ?? 0) + 1);
  }
  const inOrder = [...counts].sort(([a], [b]) => (a ?? Infinity) - (b ?? Infinity));
  const shown = inOrder.slice(0, MOST_GROUPS);
  const numHidden = inOrder.length - shown.length;
  byId("legend").replaceChildren(
    ...shown.map(([group, count]) => {
      const dot = element("span", { class: "dot", "aria-hidden": "true" });
      dot.style.background = groupColor(group);
      const text = group === null ? "in no group" : groupTitle(group);
      return element("span", { title: text }, dot, `${shorten(text, 60)} (${count})`);
    }),
  );
  byId("curve-note").textContent = [
    numHidden
      ? `The best ${shown.length} of ${inOrder.length} groups; filter or select runs to see others.`
      : "",
    numWithout ? `${plural(numWithout, "run")} without ${X_TITLES[axis]}.` : "",
    !isEach ? "Shaded: 95 % interval of the mean (Student), where a group has two runs or more." : "",
    content.curves.isThinned ? "Of long curves only every so many points are drawn." : "",
  ]
    .filter(Boolean)
    .join(" ");
}
