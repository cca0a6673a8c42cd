"use strict";
// Pictures of the runs over their steps, side by side, and one of them enlarged.

let zoomable = []; // pictures that can be enlarged, in order
let zoomed = 0;
let shownGallery = ""; // which pictures are in the gallery

/** Where a picture is: in the page itself, or at the board. */
function pictureSource(picture, i) {
  if (picture.sources) return picture.sources[i];
  const asked = new URLSearchParams({
    run: runs.number[picture.run],
    name: picture.name,
    step: picture.steps[i],
  });
  return `figure?${asked}`;
}

/** The place of a picture's newest step that is not later than one. */
function newestAt(picture, step) {
  let found = -1;
  picture.steps.forEach((at, i) => {
    if (at <= step) found = i;
  });
  return found;
}

/** The steps that some pictures are of, in order. */
function stepsOf(pictures) {
  return [...new Set(pictures.flatMap((picture) => picture.steps))].sort((a, b) => a - b);
}

/** The pictures of the kind chosen, of the selected runs if there are any. */
function shownPictures() {
  const name = byId("picture-name").value;
  const there = content.pictures.filter((picture) => picture.name === name && state.isVisible[picture.run]);
  const selected = there.filter((picture) => isSelected(picture.run));
  return selected.length ? selected : there;
}

function showPictures() {
  const shown = shownPictures();
  const steps = stepsOf(shown);
  const slider = byId("picture-step");
  const wasLast = slider.value === slider.max;
  const before = Number(slider.dataset.step ?? NaN);
  slider.max = String(Math.max(steps.length - 1, 0));
  const place = wasLast || Number.isNaN(before) ? -1 : steps.findLastIndex((step) => step <= before);
  slider.value = String(place < 0 ? steps.length - 1 : place);
  byId("picture-step-label").hidden = steps.length < 2;
  drawGallery(byId("gallery"), shown, steps);
}

/** The pictures of runs at the step of the slider. */
function drawGallery(gallery, shown, steps) {
  const slider = byId("picture-step");
  const step = steps[Number(slider.value)] ?? 0;
  slider.dataset.step = String(step);
  byId("picture-step-value").textContent = String(step);
  const numThere = new Set(content.pictures.map((picture) => picture.run)).size;
  const of = numThere < numRuns ? `of ${numThere} of ${plural(numRuns, "run")}; ` : "";
  byId("picture-note").textContent = `${of}click to enlarge`;
  const list = shown.map((picture) => ({ picture, i: newestAt(picture, step) })).filter(({ i }) => i >= 0);
  const wanted = JSON.stringify(
    list.map(({ picture: { run, name, steps }, i }) => [runs.key[run], runTitle(run), grouping.of[run], name, steps[i]]),
  );
  if (wanted === shownGallery) return;
  shownGallery = wanted;
  gallery.replaceChildren(...figuresOf(list));
}

/** Figures with captions; each can be enlarged, with the others before and after it. */
function figuresOf(list) {
  const all = list.map(({ picture, i }) => ({
    source: pictureSource(picture, i),
    caption: pictureCaption(picture, i),
    run: picture.run,
    step: picture.steps[i],
  }));
  return all.map(({ source, caption, run, step }, place) => {
    const image = element("img", { src: source, alt: caption, loading: "lazy" });
    const open = () => {
      zoomable = all;
      zoomTo(place);
      byId("zoom").showModal();
    };
    const label = grouping.list.length > 1 ? groupLabel(grouping.of[run]) : "";
    return element(
      "figure",
      {},
      element("button", { type: "button", onclick: open }, image),
      element(
        "figcaption",
        {},
        element("strong", {}, label),
        " ",
        element("span", { class: "muted" }, `${runTitle(run)}${step ? `, step ${step}` : ""}`),
      ),
    );
  });
}

function pictureCaption(picture, i) {
  const step = picture.steps[i] ? `, step ${picture.steps[i]}` : "";
  return `${picture.name} of ${runTitle(picture.run)}${step}`;
}

function zoomTo(place) {
  zoomed = (place + zoomable.length) % zoomable.length;
  const { source, caption } = zoomable[zoomed];
  byId("zoomed").src = source;
  byId("zoomed").alt = caption;
  byId("zoom-caption").textContent = `${caption} (${zoomed + 1} of ${zoomable.length})`;
  byId("zoom-before").hidden = byId("zoom-after").hidden = zoomable.length < 2;
}

function startPictures() {
  byId("picture-name").addEventListener("change", showPictures);
  byId("picture-step").addEventListener("input", () => {
    const shown = shownPictures();
    drawGallery(byId("gallery"), shown, stepsOf(shown));
  });
  byId("zoom-before").addEventListener("click", () => zoomTo(zoomed - 1));
  byId("zoom-after").addEventListener("click", () => zoomTo(zoomed + 1));
  document.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || !byId("zoom").open || zoomable.length < 2) return;
    event.preventDefault();
    zoomTo(zoomed + move);
  });
}
