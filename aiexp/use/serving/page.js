"use strict";
// Everything that comes from the server or a file is put in as text (textContent), never as HTML.
const $ = id => document.getElementById(id);
const MOST_BARS = 10, MOST_SEEDS = 64, MOST_SHOWN = 300;
let runs = [], run = null, field = null, settings = {};

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const short = (text, most = MOST_SHOWN) => (text.length > most ? text.slice(0, most - 1) + "\u2026" : text);
const title = text => text[0].toUpperCase() + text.slice(1);
const urls = new WeakMap();
const urlOf = file => urls.get(file) ?? (urls.set(file, URL.createObjectURL(file)), urls.get(file));
const isFile = schema => schema.contentEncoding === "base64";

// ---- fields: each has `element` and `read()`, which gives [{name, value, preview}]; it throws a line for people

class Wrong extends Error {}

function textField(noun) {
  const box = make("textarea", {id: "input", rows: 5, placeholder: "Type or paste " + noun});
  const lines = make("input", {type: "checkbox", id: "lines"});
  const element = make("div", {}, make("label", {htmlFor: "input", textContent: "Text"}), box,
    make("label", {className: "check"}, lines, "each line is a text of its own"));
  box.addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
  });
  return {element, focus: box, read() {
    const texts = lines.checked ? box.value.split("\n").filter(line => line.trim()) : [box.value];
    if (!texts.length || !texts[0].trim()) throw new Wrong("type a text first");
    return texts.map((text, i) => ({name: texts.length > 1 ? "text " + (i + 1) : "the text", value: text, shown: text}));
  }};
}

function numberField(id, label, value, low, high) {
  const box = make("input", {type: "number", id, value, min: low, max: high, step: 1, inputMode: "numeric"});
  return {element: make("p", {}, make("label", {htmlFor: id, textContent: label}), box), box, read() {
    const number = Number(box.value);
    if (box.value === "" || !Number.isInteger(number) || number < low || number > high)
      throw new Wrong(`${label}: a whole number from ${low} to ${high}`);
    return number;
  }};
}

function seedField(schema, most) {
  const first = numberField("input", "Seed", 0, schema.minimum ?? 0, schema.maximum ?? 2 ** 31 - 1);
  const count = numberField("count", "How many", 1, 1, Math.min(most, MOST_SEEDS));
  return {element: make("div", {className: "pair"}, first.element, count.element), focus: first.box, read() {
    const from = first.read();
    return Array.from({length: count.read()}, (_, i) => ({name: "seed " + (from + i), value: from + i, shown: "seed " + (from + i)}));
  }};
}

function valuesField(id, label, hint) {
  const box = make("textarea", {id, rows: 4, placeholder: hint});
  return {element: make("div", {}, make("label", {htmlFor: id, textContent: label}), box), focus: box, read() {
    const lines = box.value.split("\n").filter(line => line.trim());
    if (!lines.length) throw new Wrong(label + ": one value a line, such as " + hint);
    return lines.map((line, i) => {
      try {
        return {name: "line " + (i + 1), value: JSON.parse(line), shown: line};
      } catch {
        throw new Wrong(`line ${i + 1} is no JSON value: ${short(line, 40)}`);
      }
    });
  }};
}

function fileField(id, label) {
  let files = [];
  const chooser = make("input", {type: "file", id, multiple: true, accept: "image/*"});
  const thumbs = make("ul", {className: "thumbs"});
  const drop = make("div", {className: "drop"}, make("label", {htmlFor: id, textContent: label}), chooser,
    make("span", {className: "quiet", textContent: "or drop files here, or paste a picture"}), thumbs);
  const previews = () => {
    thumbs.replaceChildren(...files.slice(0, 24).map(file =>
      make("li", {}, make("img", {src: urlOf(file), alt: file.name}))));
  };
  const take = given => { files = [...given]; previews(); };
  chooser.addEventListener("change", () => take(chooser.files));
  drop.addEventListener("dragover", event => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", event => {
    event.preventDefault();
    drop.classList.remove("over");
    chooser.value = "";
    if (event.dataTransfer.files.length) take(event.dataTransfer.files);
  });
  return {element: drop, focus: chooser, take, async read() {
    if (!files.length) throw new Wrong("choose a picture first");
    return Promise.all(files.map(async file => ({name: file.name, value: await inBase64(file), file})));
  }};
}

function inBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Wrong(file.name + " cannot be read"));
    reader.readAsDataURL(file);
  });
}

function fieldFor(schema, noun, most) {
  if (isFile(schema)) return fileField("input", "Pictures");
  if (schema.type === "integer") return seedField(schema, most);
  if (schema.type === "string") return textField(noun);
  return valuesField("input", title(noun.replace(/^an? /, "")), schema.type === "number" ? "0.5" : "7 or [0.1, 0.2]");
}

// ---- settings: `read()` gives a value, or undefined for what is not set

function settingFor(name, schema) {
  const id = "setting-" + name, per = schema.additionalProperties;
  if (schema.enum) {
    const box = make("select", {id}, ...schema.enum.map(value => new Option(value, value)));
    return {element: make("p", {}, make("label", {htmlFor: id, textContent: title(name)}), " ", box), read: () => box.value};
  }
  if (per && per.items && isFile(per.items)) return classesSetting(name);
  const values = valuesField(id, title(name), schema.type === "array" ? "[0.5, 1.0]" : "a JSON value");
  return {element: values.element, read() {
    const read = values.read().map(one => one.value);
    return schema.type === "array" ? read : read[0];
  }};
}

function classesSetting(name) {
  const rows = [], list = make("div", {});
  const add = make("button", {type: "button", textContent: "Add a class"});
  const addRow = () => {
    const number = rows.length + 1;
    const label = make("input", {id: `${name}-${number}`, value: "class " + number});
    const files = fileField(`${name}-files-${number}`, "its pictures");
    rows.push({label, files});
    list.append(make("p", {}, make("label", {htmlFor: label.id, textContent: "Class"}), " ", label), files.element);
  };
  add.addEventListener("click", addRow);
  addRow();
  addRow();
  return {element: make("fieldset", {}, make("legend", {textContent: title(name)}), list, add), async read() {
    const made = {};
    for (const row of rows) made[row.label.value] = (await row.files.read()).map(one => one.value);
    return made;
  }};
}

// ---- a run

function show(number) {
  run = runs[number];
  field = fieldFor(run.schema, run.input, run.most_inputs);
  settings = Object.fromEntries(Object.entries(run.settings).map(([name, schema]) => [name, settingFor(name, schema)]));
  $("fields").replaceChildren(field.element);
  $("settings").replaceChildren(...Object.values(settings).map(one => one.element));
  $("answers").replaceChildren();
  fail("");
  tell(run.run, run.step);
  const value = isFile(run.schema) ? "<the file in base64>" : run.schema.type === "string" ? "a text" : 0;
  $("example").textContent = `curl ${location.origin}/runs/${run.name}/predict \\\n` +
    `  -H 'content-type: application/json' \\\n  -d '${JSON.stringify({inputs: [value]})}'`;
  $("send").disabled = false;
}

const tell = (name, step) => { $("about").textContent = `${run.name}, step ${step}, ${name}`; };

function fail(line) {
  $("error").hidden = !line;
  $("error").textContent = line;
}

// Requests of not more inputs and bytes than the server takes.
function parts(asked) {
  const room = run.most_bytes - 1000, made = [];
  let bytes = Infinity;
  for (const one of asked) {
    const own = new Blob([JSON.stringify(one.value)]).size + 2;
    if (own > room) throw new Wrong(`${one.name} is too large: at most ${Math.floor(run.most_bytes / 2 ** 20 * (isFile(run.schema) ? .75 : 1))} MB`);
    if (bytes + own > room || made.at(-1).length >= run.most_inputs) { made.push([]); bytes = 0; }
    made.at(-1).push(one);
    bytes += own;
  }
  return made;
}

// What the server says to inputs at "predict" or "explain".
async function ask(about, inputs, chosen, name = run.name) {
  let response, content;
  try {
    response = await fetch(`/runs/${encodeURIComponent(name)}/${about}`, {
      method: "POST", headers: {"content-type": "application/json"},
      body: JSON.stringify({inputs: inputs.map(one => one.value), ...(Object.keys(chosen).length ? {settings: chosen} : {})}),
    });
  } catch {
    throw new Wrong("the server does not answer: has it ended?");
  }
  try {
    content = await response.json();
  } catch {
    throw new Wrong(`the server answered ${response.status} without JSON`);
  }
  if (response.ok) return content;
  const [first, ...others] = content.inputs || [];
  if (!first) throw new Wrong(content.detail || `the server answered ${response.status}`);
  throw new Wrong(`${inputs[first.index].name}: ${first.reason}` + (others.length ? `, and ${others.length} more` : ""));
}

async function predict() {
  const asked = await field.read(), chosen = {};
  for (const [name, setting] of Object.entries(settings)) chosen[name] = await setting.read();
  for (const part of parts(asked)) {
    const content = await ask("predict", part, chosen);
    tell(content.run, content.step);
    $("answers").append(...content.predictions.map((prediction, i) => card(part[i], prediction, chosen)));
  }
  return asked.length;
}

// ---- answers

function card(asked, prediction, chosen) {
  const {label, probability, probabilities, pictures, ...rest} = prediction;
  const made = make("article", {className: "answer"});
  const what = make("p", {className: "asked"});
  if (asked.file) what.append(make("img", {src: urlOf(asked.file), alt: ""}));
  what.append(short(asked.shown ?? asked.name));
  made.append(what);
  if (label !== undefined) made.append(make("p", {className: "label", textContent: label}));
  if (probabilities) made.append(bars(probabilities));
  else if (probability !== undefined) rest.probability = probability;
  if (pictures) made.append(figures(pictures, asked.name));
  if (Object.keys(rest).length) made.append(list(rest));
  if (run.explains) made.append(why(asked, chosen, run.name));
  return made;
}

function bars(probabilities) {
  const rows = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  const body = make("tbody", {}, ...rows.slice(0, MOST_BARS).map(([name, value], i) => {
    const filled = make("div");
    filled.style.width = `${100 * Math.min(1, Math.max(0, value ?? 0))}%`;
    return make("tr", {className: i ? "" : "best"}, make("th", {scope: "row", textContent: name}),
      make("td", {ariaHidden: "true"}, make("div", {className: "track"}, filled)),
      make("td", {className: "number", textContent: value === null ? "none" : percent(value)}));
  }));
  const table = make("table", {ariaLabel: "Probabilities"}, body);
  if (rows.length > MOST_BARS) body.append(make("tr", {}, make("th", {scope: "row", className: "quiet", textContent: `and ${rows.length - MOST_BARS} less probable`})));
  return table;
}

const percent = value => (100 * value).toFixed(1) + " %";

function figures(pictures, name) {
  return make("div", {className: "pictures"}, ...Object.entries(pictures).map(([picture, data]) => {
    const kind = data.startsWith("R0lG") ? "gif" : "png", source = `data:image/${kind};base64,${data}`;
    const link = make("a", {href: source, download: `${name} ${picture}.${kind}`, textContent: "save"});
    return make("figure", {}, make("img", {src: source, alt: `${picture} of ${name}`}), make("figcaption", {}, picture + " ", link));
  }));
}

const rounded = (_, value) => (typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value);

function list(values) {
  return make("dl", {}, ...Object.entries(values).flatMap(([name, value]) => [
    make("dt", {textContent: name}),
    make("dd", {textContent: typeof value === "string" ? value : short(JSON.stringify(value, rounded))}),
  ]));
}

// ---- the page

$("form").addEventListener("submit", async event => {
  event.preventDefault();
  if ($("send").disabled) return;
  $("send").disabled = true;
  $("state").textContent = "asking\u2026";
  $("answers").replaceChildren();
  fail("");
  let said = "";
  try {
    const count = await predict();
    said = count === 1 ? "1 answer" : `${count} answers`;
  } catch (error) {
    fail(error instanceof Wrong ? error.message : `this page failed: ${error.message}`);
  }
  $("state").textContent = said;
  $("send").disabled = false;
  if (document.activeElement === document.body) $("send").focus();
});

document.addEventListener("paste", event => {
  if (field?.take && event.clipboardData.files.length) field.take(event.clipboardData.files);
});

$("run").addEventListener("change", () => show($("run").selectedIndex));

(async () => {
  try {
    runs = (await (await fetch("/runs")).json()).runs;
  } catch {
    fail("the server does not answer: has it ended?");
    return;
  }
  $("run").append(...runs.map(one => new Option(`${one.name} (${one.input})`, one.name)));
  $("choice").hidden = runs.length < 2;
  show(0);
})();
