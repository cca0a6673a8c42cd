"use strict";
// The explanation under an answer: asked for when wanted. Uses what page.js has.

let reasons = 0;

function why(asked, chosen, name) {
  const id = "why-" + ++reasons;
  const button = make("button", {type: "button", textContent: "Why?", ariaExpanded: "false"});
  button.setAttribute("aria-controls", id);
  const state = make("span", {className: "quiet", role: "status"});
  const place = make("div", {id, className: "reasons", hidden: true});
  let isThere = false;
  const show = isOpen => { place.hidden = !isOpen; button.ariaExpanded = String(isOpen); };
  button.addEventListener("click", async () => {
    if (button.ariaDisabled === "true") return;
    if (isThere) return show(place.hidden);
    button.ariaDisabled = "true"; // not disabled: the focus would be lost
    state.className = "quiet";
    state.textContent = "looking for reasons\u2026";
    try {
      place.replaceChildren(...explanation(await ask("explain", [asked], chosen, name), asked.name));
      isThere = true;
      state.textContent = "";
      show(true);
    } catch (error) {
      state.className = "wrong";
      state.textContent = error instanceof Wrong ? error.message : `this page failed: ${error.message}`;
    }
    button.ariaDisabled = "false";
  });
  return make("div", {className: "more"}, make("p", {className: "actions"}, button, state), place);
}

function explanation(content, name) {
  return [
    make("p", {}, "Explained: ", make("b", {textContent: content.explained})),
    ...content.notes.map(note => make("p", {className: "note", textContent: note})),
    ...content.methods.map(one => ofMethod(one, content.explained, name)),
  ];
}

function ofMethod(one, explained, name) {
  const made = make("section", {}, make("h3", {textContent: one.title}), make("p", {className: "quiet", textContent: one.text}));
  const values = (one.strongest || []).map(each => each.value);
  if (one.check || values.some(value => value < 0)) made.append(key(explained));
  if (one.words) made.append(weighed(one.words));
  if (one.pictures) made.append(figures(one.pictures, name));
  if (one.strongest) made.append(strongest(one.strongest));
  if (one.check) made.append(make("p", {className: "quiet", textContent: one.check}));
  return made;
}

const key = explained => make("p", {className: "quiet key"},
  make("i", {className: "for"}), `for ${explained}`, make("i", {className: "against"}), "against it");

// The text, each word on the colour of its value; the numbers are in the list below it, for those who do not see it.
function weighed(words) {
  const largest = Math.max(0, ...words.filter(word => !word.is_special).map(word => Math.abs(word.value ?? 0)));
  return make("p", {className: "words"}, ...words.flatMap(word => {
    const shown = make("span", {textContent: word.text, title: signed(word.value), className: word.is_special ? "special" : ""});
    const share = word.is_special || !largest ? 0 : Math.min(1, Math.abs(word.value ?? 0) / largest);
    if (share >= .01) shown.style.background = color(word.value, .75 * share);
    return [word.before, shown];
  }));
}

function strongest(named) {
  const largest = Math.max(...named.map(one => Math.abs(one.value ?? 0))) || 1;
  return make("table", {ariaLabel: "The largest values"}, make("tbody", {}, ...named.map(({name, value}) => {
    const filled = make("div");
    filled.style.width = `${100 * Math.abs(value ?? 0) / largest}%`;
    filled.style.background = color(value, 1);
    return make("tr", {}, make("th", {scope: "row", textContent: short(name, 80)}),
      make("td", {ariaHidden: "true"}, make("div", {className: "track"}, filled)),
      make("td", {className: "number", textContent: signed(value)}));
  })));
}

const color = (value, opacity) => `rgba(var(--${value > 0 ? "for" : "against"}), ${opacity.toFixed(2)})`;
const signed = value => (value === null ? "none" : (value > 0 ? "+" : "") + Number(value.toPrecision(3)));
