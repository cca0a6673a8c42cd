"use strict";
// The filter: words, key=value, metric>0.9, /regular expressions/; what cannot be understood is said.

const TERM = /^([A-Za-z_][\w./@-]*)(!=|>=|<=|=~|=|>|<|~)(.*)$/s;
const COMPARE = {
  ">": (a, b) => a > b,
  "<": (a, b) => a < b,
  ">=": (a, b) => a >= b,
  "<=": (a, b) => a <= b,
};

class FilterError extends Error {}

/** The text of a run that words and regular expressions look into. */
function searchText(run) {
  searchable[run] ??= [
    runs.name[run],
    runs.title[run],
    runs.task[run],
    runs.state[run],
    runs.note[run],
    ...runs.tags[run],
    groupLabel(grouping.of[run]),
    ...content.keys.map((column) => `${column.key}=${column.values[column.index[run]]}`),
  ].join("\n");
  return searchable[run];
}

/** The terms of a filter, as typed: between spaces, but for "two words" and /regular expressions/. */
function splitTerms(text) {
  const found = [];
  const term = /-?\/(?:\\.|[^/\\])+\/i?(?=\s|$)|(?:"[^"]*"|[^\s"])+(?:"[^"]*$)?|"[^"]*$/gs;
  for (const [word] of text.matchAll(term)) {
    if ((word.match(/"/g) ?? []).length % 2) throw new FilterError(`${word}: the quotes do not end`);
    found.push(word);
  }
  return found;
}

function regex(pattern, flags) {
  try {
    return new RegExp(pattern, flags);
  } catch (error) {
    throw new FilterError(
      `/${pattern}/ is no regular expression: ${error.message.replace(/^.*\/[a-z]*: /, "")}`,
    );
  }
}

/** What a key of the filter stands for: a name to say, and the values of a run. */
function findKey(key) {
  const wanted = key.toLowerCase();
  const known = {
    state: (run) => [runs.state[run]],
    task: (run) => [runs.task[run]],
    name: (run) => [runs.name[run], runs.title[run]].filter(Boolean),
    id: (run) => [runs.key[run]],
    tag: (run) => runs.tags[run],
    group: (run) => [groupLabel(grouping.of[run])],
    seed: (run) => [runs.seed[run]],
    time: (run) => [runs.seconds[run]],
    step: (run) => [runs.step[run]],
    memory: (run) => [runs.memory[run]],
  };
  if (Object.hasOwn(known, wanted)) return { name: wanted, values: known[wanted] };
  const metrics = Object.keys(content.metrics);
  const keys = [...keyColumns.keys(), ...Object.keys(content.common)];
  const metric = (name) => ({ name, values: (run) => [content.metrics[name][run]] });
  const config = (names) => ({
    name: names.join(", "),
    values: (run) => names.map((name) => keyText(name, run)).filter((text) => text !== ""),
  });
  const isExact = (name) => name.toLowerCase() === wanted;
  if (metrics.some(isExact)) return metric(metrics.find(isExact));
  if (keys.some(isExact)) return config([keys.find(isExact)]);
  const tails = keys.filter((name) => name.toLowerCase().endsWith(`.${wanted}`));
  if (tails.length) return config(tails);
  const leaves = metrics.filter((name) => name.toLowerCase().endsWith(`/${wanted}`));
  if (leaves.includes(metricName)) return metric(metricName);
  if (leaves.length === 1) return metric(leaves[0]);
  if (leaves.length) throw new FilterError(`${key} is ${leaves.join(" or ")}: type one of them`);
  return null;
}

function nearestKey(key) {
  const known = [
    ...Object.keys(content.metrics),
    ...content.keys.map((column) => column.key),
    ...Object.keys(content.common),
  ].flatMap((name) => [name, name.split(/[./]/).at(-1)]);
  const distance = (a, b) => {
    let row = [...Array(b.length + 1).keys()];
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++)
        next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1]));
      row = next;
    }
    return row[b.length];
  };
  let best = ["", Math.max(key.length * 0.4, 1) + 0.5];
  for (const name of new Set(known)) {
    const far = distance(key, name);
    if (far < best[1]) best = [name, far];
  }
  return best[0];
}

/** Whether a value is what was typed: 1e-3 is 0.001, `*` and `?` stand for any text. */
function isValue(value, typed) {
  const text = String(value ?? "").toLowerCase();
  const wanted = typed.toLowerCase();
  if (text === wanted || (wanted !== "" && asNumber(text) === asNumber(wanted))) return true;
  if (!/[*?]/.test(wanted)) return false;
  const pattern = wanted
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/\?/g, ".");
  return new RegExp(`^${pattern}$`, "s").test(text);
}

/** A function that says whether a run meets a condition `key sign typed`, and the values there are. */
function condition(key, sign, typed, word) {
  const found = findKey(key);
  if (!found) {
    const isText = sign === "=" && searchesText(word);
    if (isText) return { test: (run) => searchText(run).toLowerCase().includes(word.toLowerCase()) };
    const near = nearestKey(key);
    throw new FilterError(`no run has a key or metric '${key}'${near ? `; did you mean ${near}?` : ""}`);
  }
  const { name, values } = found;
  if (sign === "=" || sign === "!=") {
    const wanted = typed.split(",");
    const test = (run) => values(run).some((value) => wanted.some((text) => isValue(value, text)));
    return { name, values, test: sign === "=" ? test : (run) => !test(run) };
  }
  if (sign === "~" || sign === "=~") {
    const pattern = regex(typed, "i");
    return { name, values, test: (run) => values(run).some((value) => pattern.test(String(value ?? ""))) };
  }
  const limit = asNumber(typed);
  if (Number.isNaN(limit)) throw new FilterError(`${word}: '${typed}' is no number`);
  const number = (value) => (typeof value === "number" ? value : asNumber(String(value ?? "")));
  const all = runs.name.flatMap((_, run) => values(run)).map(number);
  if (all.every(Number.isNaN)) throw new FilterError(`${name} is no number in any run: = != ~ compare texts`);
  return { name, values, test: (run) => values(run).some((value) => COMPARE[sign](number(value), limit)) };
}

function searchesText(word) {
  return runs.name.some((_, run) => searchText(run).toLowerCase().includes(word.toLowerCase()));
}

function parseTerm(word) {
  const isNegated = word.length > 1 && word[0] === "-";
  const bare = isNegated ? word.slice(1) : word;
  const pattern = bare.match(/^\/(.+)\/(i?)$/s);
  const parts = bare.match(TERM);
  const made = { word };
  if (pattern) {
    const expression = regex(pattern[1], pattern[2] + "m");
    made.test = (run) => expression.test(searchText(run));
  } else if (bare.startsWith("/")) {
    throw new FilterError(`${bare} has no end: a regular expression stands between two slashes`);
  } else if (parts && !bare.startsWith('"')) {
    Object.assign(made, condition(parts[1], parts[2], parts[3].replace(/"/g, ""), bare));
  } else {
    const text = bare.replace(/"/g, "").toLowerCase();
    made.test = (run) => searchText(run).toLowerCase().includes(text);
  }
  if (!isNegated) return made;
  return { word, isNegated, test: (run) => !made.test(run) };
}

/** Why a term alone leaves no run: what there is instead. */
function explainTerm({ word, name, values, isNegated }) {
  if (isNegated) return `${word}: every run has it`;
  if (!values) return `no run has ${word}`;
  const found = runs.name.flatMap((_, run) => values(run)).filter((value) => value !== null && value !== "");
  const numbers = found.map((value) => (typeof value === "number" ? value : asNumber(String(value))));
  if (!found.length) return `${word}: no run has a value of ${name}`;
  if (numbers.every((value) => !Number.isNaN(value))) {
    const low = Math.min(...numbers),
      high = Math.max(...numbers);
    return `${word}: ${name} is ${low === high ? formatNumber(low) : `from ${formatNumber(low)} to ${formatNumber(high)}`}`;
  }
  const texts = [...new Set(found.map(String))];
  return `${word}: ${name} is ${texts.slice(0, 6).join(", ")}${texts.length > 6 ? ", \u2026" : ""}`;
}

function showMessage(text, isProblem) {
  const line = byId("filter-message");
  line.hidden = !text;
  line.textContent = text;
  line.classList.toggle("problem", isProblem);
  byId("filter").setAttribute("aria-invalid", String(isProblem));
}

/** Decides which runs are visible. A filter that is not understood leaves them as they are, and says why. */
function refilter() {
  let terms = [];
  try {
    terms = splitTerms(state.filter).map(parseTerm);
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    showMessage(error.message, true);
    if (state.isVisible.length === numRuns) return;
  }
  const isOpen = (run) => state.showsHidden || !isHidden(run);
  state.isVisible = runs.name.map((_, run) => isOpen(run) && terms.every((term) => term.test(run)));
  if (!terms.length) {
    if (!state.filter.trim()) showMessage("", false);
    return;
  }
  if (state.isVisible.some(Boolean)) {
    const read = terms.filter(({ word, name, values }) => values && /[/,]/.test(name ?? "") && !word.includes(name));
    showMessage(read.map(({ word, name }) => `${word}: ${name}`).join("; "), false);
    return;
  }
  const alone = terms.filter((term) => !runs.name.some((_, run) => term.test(run)));
  const why = alone.length ? alone.map(explainTerm).join("; ") : "each term is met by some run, but not all by one";
  showMessage(`No run: ${why}`, true);
}

function applyFilter(text) {
  state.filter = text;
  refilter();
  changed();
}
