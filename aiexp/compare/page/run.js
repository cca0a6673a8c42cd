"use strict";
// One run: what it is and says of itself, in a drawer; and what people say of it.

const TABS = [
  ["overview", "Overview"],
  ["pictures", "Pictures"],
  ["tables", "Tables"],
  ["config", "Config"],
  ["log", "Log"],
  ["environment", "Environment"],
  ["diff", "Git diff"],
  ["load", "System load"],
];
const LOAD_SECONDS = 2;
let openRun = null; // its key
let openTab = "overview";
let loadTimer = 0;

function runOf(key) {
  return runs.key.indexOf(key);
}

function showRun(run, tab = openTab) {
  openRun = runs.key[run];
  openTab = tab;
  byId("run-title").textContent = runTitle(run);
  byId("run-where").textContent =
    `${runs.path[run]} \u00b7 ${runs.state[run]}` + (isUnderWay(run) ? `, ${progressText(run)}` : "");
  const there = TABS.filter(([name]) => hasTab(name, run));
  if (!there.some(([name]) => name === openTab)) openTab = "overview";
  const hadFocus = byId("run-tabs").contains(document.activeElement);
  byId("run-tabs").replaceChildren(
    ...there.map(([name, title]) =>
      element(
        "button",
        {
          type: "button",
          role: "tab",
          "aria-selected": String(name === openTab),
          onclick: () => showRun(runOf(openRun), name), // its place may be another one by then
        },
        title,
      ),
    ),
  );
  if (hadFocus) byId("run-tabs").querySelector("[aria-selected=true]").focus();
  if (!byId("run").open) byId("run").showModal();
  showTab(run, openTab);
  writeView();
}

/** Whether there is something behind a tab: in a page that is one file only what is in it. */
function hasTab(name, run) {
  if (name === "overview") return true;
  if (name === "pictures") return content.pictures.some((picture) => picture.run === run);
  if (name === "load") return Boolean(content.live) && isUnderWay(run);
  return content.live ? true : Boolean(content.details[run]?.[name]);
}

async function showTab(run, tab) {
  clearTimeout(loadTimer);
  const body = byId("run-body"),
    key = runs.key[run],
    held = `${key} ${tab}`;
  const isShown = body.dataset.held === held; // its text stays until there is a new one
  body.dataset.held = held;
  if (tab === "overview") return body.replaceChildren(...overviewOf(run));
  if (tab === "pictures") return body.replaceChildren(runPictures(run));
  if (tab === "load") return showLoad(run);
  if (content.live && !isShown) body.replaceChildren(element("p", { class: "muted" }, "\u2026"));
  const value = content.live ? await fetchPart(run, tab) : content.details[run][tab];
  if (openRun !== key || openTab !== tab) return; // somebody has gone on
  const isAtEnd = !isShown || body.scrollTop + body.clientHeight >= body.scrollHeight - 4;
  const top = body.scrollTop;
  if (!value || !value.length) {
    const why = value === null ? "The board does not answer." : "There is none.";
    body.replaceChildren(element("p", { class: "muted" }, why));
  } else body.replaceChildren(...(tab === "tables" ? value.map(tableOf) : [textOf(value, tab)]));
  if (tab === "log") body.scrollTop = isAtEnd ? body.scrollHeight : top;
}

/** A text with its comments, or the lines of a diff, in other colours. */
function textOf(text, kind) {
  const box = element("pre", {});
  for (const line of text.split("\n")) {
    const comment = kind === "config" ? line.match(/^(.*?)(\s+# .*)$/) : null;
    const sign = kind === "diff" ? { "+": "good", "-": "bad", "@": "muted" }[line[0]] : undefined;
    if (comment) box.append(comment[1], element("span", { class: "muted" }, comment[2]), "\n");
    else if (sign) box.append(element("span", { class: sign }, line), "\n");
    else box.append(`${line}\n`);
  }
  return box;
}

function tableOf(table) {
  const isNumeric = table.columns.map((_, i) =>
    table.rows.every((row) => row[i] === "" || !Number.isNaN(asNumber(row[i] ?? ""))),
  );
  const decimals = table.columns.map((_, i) =>
    decimalsOf(table.rows.map((row) => asNumber(row[i] ?? "")).filter((value) => !Number.isNaN(value))),
  );
  const cell = (text, i) =>
    isNumeric[i] && text !== ""
      ? element("td", { class: "number" }, formatFixed(asNumber(text), decimals[i]))
      : element("td", { class: "wide" }, text ?? "");
  const head = table.columns.map((name, i) =>
    element("th", { scope: "col", class: isNumeric[i] ? "number" : "" }, name),
  );
  const rest = table.numRows - table.rows.length;
  return element(
    "div",
    {},
    element("h3", {}, table.name, element("span", { class: "muted" }, table.step ? ` step ${table.step}` : "")),
    element(
      "div",
      { class: "scroll" },
      element(
        "table",
        {},
        element("thead", {}, element("tr", {}, ...head)),
        element("tbody", {}, ...table.rows.map((row) => element("tr", {}, ...row.map(cell)))),
      ),
    ),
    ...(rest > 0 ? [element("p", { class: "muted" }, `and ${plural(rest, "row")} more, in figures/`)] : []),
  );
}

function overviewOf(run) {
  const facts = [
    ["state", runs.state[run] + (isUnderWay(run) ? `, ${progressText(run)}` : "")],
    ["problem", runs.problem[run]],
    ["group", groupLabel(grouping.of[run])],
    ["step", runs.total[run] ? `${runs.step[run]} of ${runs.total[run]}` : runs.step[run] || ""],
    ["time", formatSeconds(runs.seconds[run])],
    ["memory", formatBytes(runs.memory[run])],
    ["begun", runs.started[run]],
    ["task", runs.task[run]],
  ].filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const names = Object.keys(content.metrics).filter((name) => content.metrics[name][run] !== null);
  const list = element("dl", {}, ...facts.flatMap(([name, text]) => [
    element("dt", { class: "muted" }, name),
    element("dd", {}, String(text)),
  ]));
  const metrics = element(
    "table",
    { "aria-label": "Metrics" },
    element(
      "tbody",
      {},
      ...names.map((name) =>
        element(
          "tr",
          {},
          element("td", {}, name),
          element("td", { class: "number" }, formatNumber(content.metrics[name][run])),
        ),
      ),
    ),
  );
  const found = [notesOf(run), element("div", { class: "split" }, list, metrics)];
  return content.live ? found : found.filter((part) => part !== null);
}

/** What people say of a run: to be read, and at the board to be written. */
function notesOf(run) {
  if (!content.live) {
    const tags = runs.tags[run].map((tag) => element("span", { class: "tag" }, tag));
    if (!tags.length && !runs.note[run]) return element("div", {});
    return element("div", { class: "said" }, ...tags, element("p", {}, runs.note[run]));
  }
  const title = element("input", { type: "text", maxlength: "200", placeholder: runs.name[run] });
  const tags = element("input", { type: "text", placeholder: "words with spaces between" });
  const note = element("textarea", { rows: "3", maxlength: "20000" });
  const hidden = element("input", { type: "checkbox" });
  const said = element("span", { class: "muted", role: "status" });
  [title.value, tags.value, note.value] = [runs.title[run], runs.tags[run].join(" "), runs.note[run]];
  hidden.checked = runs.hidden[run];
  const key = runs.key[run];
  const save = async (event) => {
    event.preventDefault();
    const words = tags.value.split(/[\s,]+/).filter(Boolean);
    const made = { title: title.value, tags: words, note: note.value, hidden: hidden.checked };
    said.textContent = "\u2026";
    said.textContent = (await writeNotes(key, made)) ?? "kept in the run's notes.json";
  };
  return element(
    "form",
    { class: "said", onsubmit: save },
    element("label", {}, "Title ", title),
    element("label", {}, "Tags ", tags),
    element("label", { class: "whole" }, "Note ", note),
    element("label", {}, hidden, " hide this run"),
    element("span", {}, element("button", { type: "submit" }, "Save"), " ", said),
  );
}

/** A run's pictures by kind; a slider goes through the steps of all of them. */
function runPictures(run) {
  const key = runs.key[run];
  const own = () => content.pictures.filter((picture) => picture.run === runOf(key));
  const steps = stepsOf(own());
  const gallery = element("div", { class: "gallery" });
  const slider = element("input", { type: "range", min: "0", max: String(steps.length - 1), step: "1" });
  const shown = element("output", {});
  const draw = () => {
    const step = steps[Number(slider.value)];
    shown.textContent = String(step);
    const list = own().map((picture) => ({ picture, i: newestAt(picture, step) })).filter(({ i }) => i >= 0);
    gallery.replaceChildren(
      ...figuresOf(list).map((figure, place) => {
        figure.querySelector("figcaption").textContent = list[place].picture.name;
        return figure;
      }),
    );
  };
  slider.value = String(steps.length - 1);
  slider.addEventListener("input", draw);
  draw();
  const control = element("label", {}, "Step ", slider, shown);
  return element(
    "div",
    {},
    ...(steps.length > 1 ? [element("div", { class: "controls" }, control)] : []),
    gallery,
  );
}

/** What the run's processes take of the machine, while somebody looks. */
async function showLoad(run) {
  if (run < 0) return; // it is gone
  const key = runs.key[run];
  const found = await fetchLoad(run);
  if (openRun !== key || openTab !== "load" || !byId("run").open) return;
  const body = byId("run-body");
  if (!body.querySelector("#load-cores")) {
    body.replaceChildren(
      element("p", { class: "muted", id: "load-now" }, "\u2026"),
      element("div", { id: "load-cores", class: "chart small" }),
      element("div", { id: "load-memory", class: "chart small" }),
    );
  }
  const samples = found?.samples ?? [];
  byId("load-now").textContent = loadText(found, samples.at(-1));
  if (samples.length) {
    const x = samples.map((sample) => new Date(sample.time * 1000));
    const line = (name, y, color) => ({ type: "scatter", mode: "lines", x, y, name, line: { color } });
    startPlotly();
    const draw = (id, title, traces) =>
      Plotly.react(id, traces, layout({ height: SMALL, yaxis: { title: { text: title }, rangemode: "tozero" } }), CONFIG);
    const gib = (name) => samples.map((sample) => (sample[name] === null ? null : sample[name] / 2 ** 30));
    const all = samples.map((sample) => sample.machine * found.numCores);
    draw("load-cores", "cores busy", [
      line("this run", samples.map((sample) => sample.cores), COLORS[0]),
      line("the machine", all, GREY),
    ]);
    draw("load-memory", "memory (GiB)", [
      line("this run", gib("memory"), COLORS[0]),
      line("the machine", gib("machineMemory"), GREY),
    ]);
  }
  loadTimer = setTimeout(() => showLoad(runOf(key)), LOAD_SECONDS * 1000);
}

function loadText(found, last) {
  if (!found) return "The board does not answer.";
  if (found.why) return `${found.why[0].toUpperCase()}${found.why.slice(1)}.`;
  if (!last) return "\u2026";
  const processes = `${last.processes} process${last.processes === 1 ? "" : "es"}`;
  return `${last.cores.toFixed(1)} of ${found.numCores} cores, ${formatBytes(last.memory)} in ${processes}`;
}

/** The run before or after in the table, as it is sorted and filtered. */
function moveRun(step) {
  const order = [...byId("table").querySelectorAll("tbody tr:not([hidden])")].map((row) => row.dataset.key);
  const place = order.indexOf(openRun);
  if (order.length) showRun(runOf(order[(place + step + order.length) % order.length]));
}

function startRun() {
  byId("run").addEventListener("close", () => {
    clearTimeout(loadTimer);
    openRun = null;
    writeView();
  });
  byId("run-before").addEventListener("click", () => moveRun(-1));
  byId("run-after").addEventListener("click", () => moveRun(1));
  document.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const isElsewhere = !byId("run").open || byId("zoom").open || event.target.matches("input, textarea");
    if (!move || isElsewhere) return;
    event.preventDefault();
    moveRun(move);
  });
}
