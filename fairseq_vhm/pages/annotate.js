/* State: what is rated, in which sample the annotator is; kept in the browser at every change. */

const STORE = `vhm-human-eval/${DATA.study}/${DATA.annotator}`;
const KEYS = DATA.criteria.map((criterion) => criterion.key);
const ITEMS = DATA.samples.flatMap((sample) => sample.outputs.map((output) => output.item));
const SAMPLES = DATA.samples.map((sample) => sample.sample);
const $ = (id) => document.getElementById(id);

const PROBE = `${STORE}/opened`;
const PATIENCE = 5000; // ms
const RELOADS = 2;
const DOUBT =
  "This browser does not confirm that it has stored your ratings: export them, then reload the page and, " +
  "where ratings are missing, import the file.";

let state = { place: 0, guide: true, ratings: {}, comments: {} };
let kept = true; // whether the browser keeps the state
let unsaved = false; // whether there is something that neither browser nor export has
let written = null; // the stored state, as far as this page knows
let touched = false; // whether this page has changed it
let heard = -Infinity; // when the browser last confirmed that it has it, in ms since the page was opened

/** The stored state, or what it is without one; tells where the browser keeps nothing. */
function load() {
  let text = null;
  try {
    text = localStorage.getItem(STORE);
  } catch {
    loseStorage();
  }
  if (text === null) return;
  written = text;
  unsaved = false;
  try {
    const stored = JSON.parse(text);
    checkState(stored);
    state = { ...state, ...stored };
  } catch (error) {
    warn(`What this browser had stored is damaged (${error.message}). Import your last export.`);
  }
}

function save() {
  const text = JSON.stringify(state);
  if (text === written) return; // no news: nothing would be confirmed
  unsaved = touched = true;
  written = text;
  hand(STORE, text);
}

/** Hand a new text to the browser, which confirms it soon; where it does not, the page says so. */
function hand(key, text) {
  if (!kept) return;
  try {
    localStorage.setItem(key, text);
  } catch {
    return loseStorage();
  }
  const since = performance.now();
  setTimeout(() => heard < since && doubt(), PATIENCE);
}

/**
 * Have an empty frame listen: to it this page is another one, and hears of what that stores.  setItem itself
 * waits for nobody, and Chromium (156, from a file, on a busy machine) gives some pages a storage of their own.
 */
function listen() {
  const listenTo = (event) => {
    try {
      event.target.contentWindow.localStorage.getItem(STORE); // only who uses it is told
    } catch {
      return loseStorage();
    }
    event.target.contentWindow.addEventListener("storage", confirmed);
    hand(PROBE, String(Math.random()));
  };
  document.body.append(element("iframe", { hidden: true, onload: listenTo }));
}

function confirmed(event) {
  if (event.key !== STORE && event.key !== PROBE) return;
  heard = performance.now();
  if (event.newValue === written) unsaved = false;
  const time = touched && !unsaved ? ` at ${new Date().toLocaleTimeString()}` : "";
  if (!unsaved) $("saved").textContent = `· saved in this browser${time}`;
  if ($("warning").textContent === DOUBT) $("warning").hidden = true;
}

/** A page that has not been used looks again, in case another one's ratings are there. */
function doubt() {
  const reloads = history.state?.reloads ?? 0;
  if (touched || reloads >= RELOADS) return warn(DOUBT);
  history.replaceState({ reloads: reloads + 1 }, "");
  location.reload();
}

function loseStorage() {
  kept = false;
  $("saved").textContent = "";
  warn(
    "This browser cannot store your ratings: what you do from now on is lost when the page is closed " +
      "or reloaded. Export before that; to go on later, open the page again and import the file.",
  );
}

function warn(text) {
  $("warning").textContent = text;
  $("warning").hidden = false;
}

/** Throws where ratings or comments are not of this study, or not from 1 to 5. */
function checkState({ ratings, comments, place = 0 }) {
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isObject(ratings) || !isObject(comments)) throw new Error("no ratings in it");
  for (const [item, rated] of Object.entries(ratings)) {
    if (!ITEMS.includes(item) || !isObject(rated)) throw new Error(`unknown output ${item}`);
    for (const [key, value] of Object.entries(rated)) {
      if (!KEYS.includes(key) || ![1, 2, 3, 4, 5].includes(value)) throw new Error(`${key}: ${value}`);
    }
  }
  for (const [sample, text] of Object.entries(comments)) {
    if (!SAMPLES.includes(sample) || typeof text !== "string") throw new Error(`comment on ${sample}`);
  }
  if (!DATA.samples[place]) throw new Error(`sample ${place}`);
}

/* What is rated. */

const here = () => DATA.samples[state.place];
const ratingsOf = (item) => state.ratings[item] ?? {};
const isRated = (item) => Object.keys(ratingsOf(item)).length === KEYS.length;
const ratedIn = (sample) => sample.outputs.filter((output) => isRated(output.item)).length;
const isFinished = (sample) => ratedIn(sample) === sample.outputs.length;
const isBegun = (sample) => sample.outputs.some((output) => Object.keys(ratingsOf(output.item)).length > 0);

/** Place of the next unfinished sample, going round; -1 where all are finished. */
function nextUnfinished() {
  const count = DATA.samples.length;
  for (let step = 1; step <= count; step++) {
    const place = (state.place + step) % count;
    if (!isFinished(DATA.samples[place])) return place;
  }
  return -1;
}

/* The sample on the page. */

function show(place, focus = true) {
  state.place = place;
  const sample = here();
  $("given").replaceChildren(...given(sample));
  $("given").scrollTop = 0;
  $("heading").textContent = `Sample ${place + 1} of ${DATA.samples.length}`;
  $("outputs").replaceChildren(...sample.outputs.map(card));
  $("comment").value = state.comments[sample.sample] ?? "";
  refresh();
  if (!focus) return;
  window.scrollTo({ top: 0 });
  focusScale(firstOpen());
}

function given(sample) {
  const parts = [];
  if (sample.source !== null) {
    parts.push(element("h2", {}, "Source"), textOf(sample.source, DATA.src_lang));
  }
  if (sample.references.length) {
    const name = sample.references.length > 1 ? "References" : "Reference";
    parts.push(element("h2", {}, name), ...sample.references.map((text) => textOf(text, DATA.lang)));
  }
  return parts;
}

function textOf(text, lang) {
  if (text === "") {
    return element("p", { class: "text empty" }, "(empty: no text was written; rate it 1 on every scale)");
  }
  return element("p", { class: "text", dir: "auto", lang }, text);
}

function card(output) {
  return element(
    "article",
    { class: "card", "data-item": output.item, "aria-label": `Output ${output.label}` },
    element("h3", {}, `Output ${output.label}`),
    element("span", { class: "state soft" }),
    textOf(output.text, DATA.lang),
    ...DATA.criteria.map((criterion) => scaleOf(output, criterion)),
  );
}

function scaleOf(output, criterion) {
  const name = `${output.item} ${criterion.key}`;
  const choices = criterion.levels.map((level, index) => {
    const value = index + 1;
    const attributes = { type: "radio", name, value, tabindex: -1, "aria-label": `${value}: ${level}` };
    const radio = element("input", attributes);
    radio.checked = ratingsOf(output.item)[criterion.key] === value;
    return element("label", { title: level }, radio, String(value));
  });
  return element(
    "div",
    {
      class: "scale",
      role: "radiogroup",
      tabindex: 0,
      "aria-label": `${criterion.name} of output ${output.label}`,
      "aria-describedby": `about-${criterion.key}`,
      "data-item": output.item,
      "data-key": criterion.key,
      onfocusin: explain,
      onchange: (event) => rate(event.currentTarget, Number(event.target.value), true),
    },
    element("span", {}, criterion.name),
    ...choices,
  );
}

/* Rating and moving. */

const scales = () => [...document.querySelectorAll(".scale")];
const valueOf = (scale) => ratingsOf(scale.dataset.item)[scale.dataset.key];
const focused = () => document.activeElement?.closest(".scale") ?? null;
/** Place of the sample's first scale without a rating; the first of all where there is none. */
const firstOpen = () => Math.max(scales().findIndex((scale) => valueOf(scale) === undefined), 0);
let last = null; // the scale to come back to

/** Set a rating (null: take it back) and go on to the next scale. */
function rate(scale, value, still = false) {
  const { item, key } = scale.dataset;
  const rated = { ...ratingsOf(item) };
  if (value === null) delete rated[key];
  else rated[key] = value;
  state.ratings[item] = rated;
  if (!Object.keys(rated).length) delete state.ratings[item];
  for (const radio of scale.querySelectorAll("input")) radio.checked = Number(radio.value) === value;
  say(`${scale.getAttribute("aria-label")}: ${value ?? "no rating"}`);
  save();
  refresh();
  if (value !== null) advance(scale, still);
}

/** From the sample's last scale to what is still open in it, else to the button that goes on. */
function advance(scale, still) {
  const place = scales().indexOf(scale) + 1;
  if (place < scales().length) focusScale(place, still);
  else if (!isFinished(here())) focusScale(firstOpen(), still);
  else $("next").focus({ preventScroll: true });
}

function focusScale(place, still = false) {
  const scale = scales()[place];
  if (!scale) return;
  scale.focus({ preventScroll: true });
  if (still) return;
  const card = scale.closest(".card");
  const fits = card.offsetHeight < window.innerHeight - $("bar").offsetHeight;
  (fits ? card : scale).scrollIntoView({ block: "nearest" });
}

function moveScale(step) {
  const all = scales();
  const place = all.indexOf(focused() ?? last);
  focusScale(place < 0 ? firstOpen() : Math.min(Math.max(place + step, 0), all.length - 1));
}

function moveOutput(step) {
  const place = scales().indexOf(focused() ?? last);
  const output = Math.floor(Math.max(place, 0) / KEYS.length) + step;
  if (output >= 0 && output < here().outputs.length) focusScale(output * KEYS.length);
}

function moveSample(place) {
  if (!DATA.samples[place]) return;
  state.guide = $("guide").open = false;
  show(place);
  save();
}

/** What the big button does: the next sample, at the end what is unfinished, at last the export. */
function goOn() {
  if (state.place + 1 < DATA.samples.length) moveSample(state.place + 1);
  else if (nextUnfinished() >= 0) moveSample(nextUnfinished());
  else exportRatings();
}

function comeBack() {
  focusScale(last?.isConnected ? scales().indexOf(last) : firstOpen());
}

function explain(event) {
  last = event.currentTarget;
  explainLast();
}

function explainLast() {
  if (!last?.isConnected) return $("meaning").replaceChildren();
  const criterion = DATA.criteria.find((one) => one.key === last.dataset.key);
  const levels = criterion.levels.map((level, index) =>
    element("li", { class: valueOf(last) === index + 1 ? "chosen" : null }, `${index + 1} ${level}`),
  );
  $("meaning").replaceChildren(
    element("strong", {}, criterion.name), ` ${criterion.question}`, element("ol", {}, ...levels),
  );
}

const say = (text) => ($("said").textContent = text);

/* Progress. */

function refresh() {
  const rated = ITEMS.filter(isRated).length;
  const finished = rated === ITEMS.length;
  $("progress").max = ITEMS.length;
  $("progress").value = rated;
  $("count").textContent = `${rated} of ${ITEMS.length} outputs rated`;
  $("samples").replaceChildren(...DATA.samples.map(dot));
  for (const card of document.querySelectorAll(".card")) {
    const open = KEYS.length - Object.keys(ratingsOf(card.dataset.item)).length;
    card.querySelector(".state").textContent = open ? `${open} to rate` : "✓ rated";
  }
  $("finished").hidden = !finished;
  $("finished").textContent = `All is rated, thank you. Export (e) and send ${fileName()} to the organiser.`;
  $("back").disabled = state.place === 0;
  const atEnd = state.place + 1 === DATA.samples.length;
  const unfinished = nextUnfinished();
  const onward = unfinished < 0 ? "Export ratings" : `Unfinished: sample ${unfinished + 1}`;
  $("next").textContent = `${atEnd ? onward : "Next sample"} →`;
  $("next").classList.toggle("ready", isFinished(here()));
  explainLast();
}

function dot(sample, place) {
  const state_ = isFinished(sample) ? "all" : isBegun(sample) ? "part" : "none";
  const label = `Sample ${place + 1}: ${ratedIn(sample)} of ${sample.outputs.length} outputs rated`;
  const attributes = { type: "button", class: state_, "aria-label": label, title: label };
  if (place === state.place) attributes["aria-current"] = "step";
  return element("button", { ...attributes, onclick: () => moveSample(place) }, String(place + 1));
}

/* Export and import. */

const isComplete = () => ITEMS.every(isRated);
const fileName = () => `ratings-${DATA.annotator}${isComplete() ? "" : "-incomplete"}.json`;

function exported() {
  return {
    format: DATA.format,
    study: DATA.study,
    annotator: DATA.annotator,
    complete: isComplete(),
    rated: ITEMS.filter(isRated).length,
    total: ITEMS.length,
    exported: new Date().toISOString(),
    ratings: state.ratings,
    comments: state.comments,
    checksum: checksum(state.ratings),
  };
}

function exportRatings() {
  const blob = new Blob([JSON.stringify(exported(), null, 2) + "\n"], { type: "application/json" });
  const address = URL.createObjectURL(blob);
  element("a", { href: address, download: fileName() }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  unsaved = false;
  say(`Exported ${fileName()}`);
}

async function importRatings(file) {
  try {
    const content = JSON.parse(await file.text());
    if (content?.format !== DATA.format) throw new Error("it is not an export of this page");
    if (content.study !== DATA.study) throw new Error("it belongs to another study");
    if (content.annotator !== DATA.annotator) throw new Error(`it is by ${content.annotator}`);
    checkState({ ratings: content.ratings, comments: content.comments });
    if (!mayReplace(content)) return;
    state.ratings = merged(state.ratings, content.ratings);
    state.comments = { ...state.comments, ...content.comments };
    $("warning").hidden = true;
    if (!kept) loseStorage();
    const open = isFinished(here()) ? nextUnfinished() : state.place;
    moveSample(open < 0 ? state.place : open);
    say(`Imported ${file.name}`);
  } catch (error) {
    warn(`${file.name} was not imported: ${error.message}.`);
  }
}

function merged(old, added) {
  const union = { ...old };
  for (const [item, rated] of Object.entries(added)) union[item] = { ...union[item], ...rated };
  return union;
}

/** Asks where the file has other ratings than the page. */
function mayReplace({ ratings }) {
  const others = ITEMS.flatMap((item) => KEYS.map((key) => [ratingsOf(item)[key], ratings[item]?.[key]]));
  const changed = others.filter(([old, added]) => old && added && old !== added).length;
  const question = `The file changes ${changed} ratings that you gave on this page. Take the file's?`;
  return !changed || confirm(question);
}

/** CRC-32 of the sorted lines "ITEM CRITERION RATING", as the reader of the export computes it. */
function checksum(ratings) {
  const lines = Object.entries(ratings).flatMap(([item, rated]) =>
    Object.entries(rated).map(([key, value]) => `${item} ${key} ${value}`),
  );
  let crc = 0xffffffff;
  for (const byte of new TextEncoder().encode(lines.sort().join("\n"))) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0");
}

/* Keys and events. */

const COMMANDS = {
  ArrowDown: () => moveScale(1),
  ArrowUp: () => moveScale(-1),
  ArrowRight: () => moveSample(state.place + 1),
  ArrowLeft: () => moveSample(state.place - 1),
  j: () => moveOutput(1),
  k: () => moveOutput(-1),
  u: () => moveSample(nextUnfinished()),
  s: () => $("given").focus(),
  c: () => $("comment").focus(),
  e: exportRatings,
  "?": () => ($("guide").open = !$("guide").open),
  Escape: comeBack,
};

/** The digit of a key, also where the layout has digits on shifted keys (French). */
function digitOf(event) {
  if (/^[0-5]$/.test(event.key)) return Number(event.key);
  const found = /^(?:Digit|Numpad)([0-5])$/.exec(event.code);
  return found && !/^[6-9]$/.test(event.key) ? Number(found[1]) : null;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const writing = event.target.closest("textarea");
  if (writing && event.key !== "Escape") return;
  if (event.target.closest("#given") && /^Arrow(Up|Down)$/.test(event.key)) return;
  const scale = focused();
  const digit = digitOf(event);
  if (digit !== null && scale) rate(scale, digit || null);
  else if (digit !== null) comeBack(); // nothing that is out of sight gets rated
  else if (event.key === "Enter" && scale) goOn();
  else if (COMMANDS[event.key]) COMMANDS[event.key]();
  else return;
  event.preventDefault();
}

document.addEventListener("keydown", onKey);
$("next").addEventListener("click", goOn);
$("back").addEventListener("click", () => moveSample(state.place - 1));
$("export").addEventListener("click", exportRatings);
$("import").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", (event) => {
  if (event.target.files.length) importRatings(event.target.files[0]);
  event.target.value = "";
});
$("comment").addEventListener("input", (event) => {
  if (event.target.value) state.comments[here().sample] = event.target.value;
  else delete state.comments[here().sample];
  save();
});
$("guide").addEventListener("toggle", () => {
  if (state.guide === $("guide").open) return;
  state.guide = $("guide").open;
  save();
});
addEventListener("storage", (event) => {
  if (event.key !== STORE || event.newValue === null) return;
  const place = state.place;
  load();
  show(place, false);
});
addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});

load();
listen();
$("guide").open = state.guide;
show(state.place, !state.guide); // who reads the guide is not taken away from it
