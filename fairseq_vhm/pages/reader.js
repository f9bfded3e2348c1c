// The report's page: tables, figures, and a reader of outputs side by side.  All that it shows is in
// the address after #, so that a link leads to the same example.

const ROW = 40; // pixels, as in the style sheet
const BEYOND = 8; // rows drawn above and below those in sight
const MOST_CELLS = 4e6; // of the table of common subsequences
const VIEWS = ["tables", "figures", "reader"];
const SHORT = { rouge1: "RG1", rouge2: "RG2", rougeL: "RGL" };
const START = 90; // characters of a reference in the list
const DEFAULTS = { win: "", min: "0", sort: "order", marks: "pair", q: "", i: "" };

const byId = (id) => document.getElementById(id);
const controls = byId("controls");
const list = byId("list");

let state = {};
let order = []; // corpus positions of the examples that pass the filter, as sorted
const searchable = new Map(); // test set -> texts of each example in lower case

// ---- state ----

function defaultsOf(set) {
  const [a, b] = set?.pair ?? ["", ""];
  return {
    ...DEFAULTS,
    view: DATA.tables.length ? "tables" : "reader",
    set: set?.name ?? "",
    a,
    b,
    metric: set?.metrics.at(-1) ?? "",
    marks: set?.systems.length === 1 ? "reference" : "pair",
  };
}

function readAddress() {
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const set = DATA.sets.find((one) => one.name === given.set) ?? DATA.sets[0];
  const found = { ...defaultsOf(set), ...given, set: set?.name ?? "" };
  const names = set ? set.systems.map((one) => one.name) : [];
  for (const side of ["a", "b"]) if (!names.includes(found[side])) found[side] = defaultsOf(set)[side];
  if (set && !set.metrics.includes(found.metric)) found.metric = defaultsOf(set).metric;
  if (!VIEWS.includes(found.view)) found.view = defaultsOf(set).view;
  return found;
}

/** What differs from what readAddress fills in by itself, given the same test set. */
function address() {
  const usual = { ...defaultsOf(DATA.sets.find((one) => one.name === state.set)), set: DATA.sets[0]?.name ?? "" };
  const kept = Object.entries(state).filter(([key, value]) => key in usual && value !== usual[key]);
  return "#" + new URLSearchParams(kept).toString();
}

function change(changes) {
  const otherSet = "set" in changes && changes.set !== state.set;
  const set = DATA.sets.find((one) => one.name === (changes.set ?? state.set));
  const { a, b, metric } = defaultsOf(set);
  state = { ...state, ...(otherSet ? { a, b, metric, i: "" } : {}), ...changes };
  history.replaceState(null, "", address());
  render();
}

const current = () => DATA.sets.find((one) => one.name === state.set);
const system = (side) => current().systems.find((one) => one.name === state[side]);
const alone = () => current().systems.length < 2;

// ---- which examples, in which order ----

function gap(position) {
  const of = (side) => system(side).scores[state.metric][position];
  return Math.round(100 * (of("a") - of("b"))) / 100;
}

function textsOf(set) {
  if (!searchable.has(set)) {
    const all = set.references.map((several, i) =>
      [set.sources?.[i] ?? "", ...several, ...set.systems.map((one) => one.outputs[i])].join("\n").toLowerCase());
    searchable.set(set, all);
  }
  return searchable.get(set);
}

function passes(position, query, least) {
  const difference = gap(position);
  const winner = difference > 0 ? "a" : difference < 0 ? "b" : "tie";
  if (!alone() && (Math.abs(difference) < least || (state.win && state.win !== winner))) return false;
  return !query || textsOf(current())[position].includes(query);
}

function sortKey() {
  const set = current();
  const score = system("a").scores[state.metric];
  const length = (i) => (set.sources?.[i] ?? set.references[i][0]).length;
  return {
    "order": (i) => i,
    "magnitude": (i) => -Math.abs(gap(i)),
    "a-b": (i) => -gap(i),
    "b-a": (i) => gap(i),
    "high": (i) => -score[i],
    "low": (i) => score[i],
    "long": (i) => -length(i),
    "short": length,
  }[state.sort] ?? ((i) => i);
}

function select() {
  const query = state.q.trim().toLowerCase();
  const least = Number(state.min) || 0;
  const key = sortKey();
  order = current().references.map((_, i) => i).filter((i) => passes(i, query, least));
  const keys = new Map(order.map((i) => [i, key(i)]));
  order.sort((one, two) => keys.get(one) - keys.get(two) || one - two);
}

const place = () => order.indexOf(Number(state.i) - 1);

function go(to) {
  if (!order.length) return;
  const next = Math.min(Math.max(to, 0), order.length - 1);
  state.i = String(order[next] + 1);
  history.replaceState(null, "", address());
  showChosen(true);
}

// ---- where two texts differ ----

const UNSPACED = ["Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"]
  .map((script) => `\\p{Script=${script}}`).join("");
const TOKEN = new RegExp(`(?:[${UNSPACED}]\\p{M}*|(?:(?![${UNSPACED}])[\\p{L}\\p{M}\\p{N}])+|\\S)\\s*|\\s+`, "gu");
const CHARACTER = new RegExp(`^[${UNSPACED}]\\p{M}*$`, "u");

/** Words (characters where a script has no blanks between words) with the blanks after them. */
const tokens = (text) => text.match(TOKEN) ?? [];

/** Pairs [i, j] of equal tokens that make up a longest common subsequence, in order. */
function common(a, b) {
  const head = [];
  const tail = [];
  let start = 0;
  for (; start < a.length && start < b.length && a[start] === b[start]; start++) head.push([start, start]);
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) tail.unshift([--endA, --endB]);
  const [height, width] = [endA - start, endB - start];
  if (height * width > MOST_CELLS) return [...head, ...tail];
  const longest = Array.from({ length: height + 1 }, () => new Uint32Array(width + 1));
  for (let i = height - 1; i >= 0; i--)
    for (let j = width - 1; j >= 0; j--)
      longest[i][j] = a[start + i] === b[start + j]
        ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
  const middle = [];
  for (let i = 0, j = 0; i < height && j < width;) {
    if (a[start + i] === b[start + j]) middle.push([start + i++, start + j++]);
    else if (longest[i + 1][j] >= longest[i][j + 1]) i++;
    else j++;
  }
  return [...head, ...middle, ...tail];
}

/** Without lone characters of a script without blanks that stand between changes in both texts: they
 * are equal by chance, and no word. */
function withoutSpecks(pairs, a, b) {
  const gap = (before, after) => after[0] - before[0] > 1 && after[1] - before[1] > 1;
  return pairs.filter((pair, k) => {
    const before = pairs[k - 1] ?? [-1, -1];
    const after = pairs[k + 1] ?? [a.length, b.length];
    return !(CHARACTER.test(a[pair[0]]) && gap(before, pair) && gap(pair, after));
  });
}

/** Of each token of both texts, whether it is outside of what they have in common. */
function differences(one, two) {
  const [a, b] = [one, two].map((text) => tokens(text).map((token) => token.trim()));
  const changed = [a.map(() => true), b.map(() => true)];
  for (const [i, j] of withoutSpecks(common(a, b), a, b)) {
    changed[0][i] = false;
    changed[1][j] = false;
  }
  return changed;
}

/** The text, with neighbouring tokens of ``changed`` marked together. */
function marked(text, changed) {
  const parts = [];
  for (const [i, token] of tokens(text).entries()) {
    const last = parts.at(-1);
    if (last && last.changed === changed[i]) last.text += token;
    else parts.push({ text: token, changed: changed[i] });
  }
  return parts.flatMap(({ text, changed: isChanged }) => {
    const words = text.trimEnd();
    return isChanged && words ? [element("mark", {}, words), text.slice(words.length)] : [text];
  });
}

/** The text, with what is searched for marked. */
function found(text) {
  const query = state.q.trim().toLowerCase();
  const low = text.toLowerCase();
  if (!query || low.length !== text.length) return [text];
  const parts = [];
  let from = 0;
  for (let at = low.indexOf(query); at >= 0; at = low.indexOf(query, from)) {
    parts.push(text.slice(from, at), element("mark", { class: "found" }, text.slice(at, at + query.length)));
    from = at + query.length;
  }
  return [...parts, text.slice(from)];
}

// ---- drawing ----

function signed(value) {
  return (value > 0 ? "+" : value < 0 ? "\u2212" : "") + Math.abs(value).toFixed(1);
}

function row(index) {
  const set = current();
  const position = order[index];
  const difference = gap(position);
  const figure = alone() ? system("a").scores[state.metric][position].toFixed(1) : signed(difference);
  return element(
    "div",
    {
      "class": "row", "role": "option", "id": `option-${position + 1}`, "style": `top: ${index * ROW}px`,
      "aria-selected": String(position + 1 === Number(state.i)),
      "aria-setsize": order.length, "aria-posinset": index + 1, "data-index": index,
    },
    element("span", { class: "number" }, String(position + 1)),
    element("span", { class: "gap" }, figure),
    element("span", { class: "start", dir: "auto", lang: set.target_lang },
      set.references[position][0].slice(0, START)),
  );
}

function drawRows() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - BEYOND);
  const last = Math.min(order.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + BEYOND);
  byId("rows").style.height = `${order.length * ROW}px`;
  byId("rows").replaceChildren(...Array.from({ length: Math.max(0, last - first) }, (_, i) => row(first + i)));
  const chosen = byId(`option-${state.i}`);
  if (chosen) list.setAttribute("aria-activedescendant", chosen.id);
  else list.removeAttribute("aria-activedescendant");
}

function textOf(text, lang, content) {
  if (!text.trim()) return element("p", { class: "text empty" }, "(empty)");
  return element("p", { class: "text", dir: "auto", lang }, ...content);
}

function scoresOf(one, position) {
  const named = Object.entries(one.scores).map(([name, values]) =>
    `${SHORT[name] ?? name} ${values[position].toFixed(1)}`);
  return element("p", { class: "scores" }, named.join(" \u00b7 "));
}

function outputOf(one, position, side, contents) {
  const set = current();
  const text = one.outputs[position];
  return element(
    "section", { "class": `panel block ${side ? `side-${side}` : ""}`, "aria-label": one.name },
    element("h3", {}, side && !alone() ? `${side.toUpperCase()}: ${one.name}` : one.name),
    textOf(text, set.target_lang, contents ?? found(text)),
    scoresOf(one, position),
  );
}

function outputs(position) {
  const sides = alone() || state.a === state.b ? ["a"] : ["a", "b"];
  const texts = sides.map((side) => system(side).outputs[position]);
  const reference = current().references[position][0];
  let contents = texts.map(() => null);
  if (state.marks === "pair" && texts.length === 2) {
    const changed = differences(...texts);
    contents = texts.map((text, i) => marked(text, changed[i]));
  } else if (state.marks === "reference") {
    contents = texts.map((text) => marked(text, differences(text, reference)[0]));
  }
  return sides.map((side, i) => outputOf(system(side), position, side, contents[i]));
}

function drawExample() {
  const position = Number(state.i) - 1;
  const set = current();
  const inside = byId("example");
  if (!order.length || !set.references[position]) return inside.replaceChildren();
  const others = set.systems.filter((one) => ![state.a, state.b].includes(one.name));
  const source = set.sources?.[position];
  const parts = [
    element("h2", {}, `Example ${position + 1}`, element("a", { href: address() }, "Link to this example")),
    source == null ? "" : block("Source", [textOf(source, set.source_lang, found(source))], "source"),
    block(set.references[position].length > 1 ? "References" : "Reference",
      set.references[position].map((text) => textOf(text, set.target_lang, found(text)))),
    element("div", { class: "both" }, ...outputs(position)),
    ...others.map((one) => outputOf(one, position)),
  ];
  inside.replaceChildren(...parts);
}

function block(title, inside, kind = "") {
  const attributes = { "class": `panel block ${kind}`, "aria-label": title };
  if (kind === "source") attributes.tabindex = 0; // so that the keyboard can scroll it
  return element("section", attributes, element("h3", {}, title), ...inside);
}

function showChosen(scroll) {
  const index = place();
  if (scroll && index >= 0) {
    const top = index * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  }
  drawRows();
  drawExample();
}

function fill(name, values, shown = values) {
  const options = values.map((value, i) => element("option", { value }, shown[i]));
  controls.elements[name].replaceChildren(...options);
}

function drawControls() {
  const set = current();
  const names = set.systems.map((one) => one.name);
  fill("set", DATA.sets.map((one) => one.name));
  fill("a", names);
  fill("b", names);
  fill("metric", set.metrics, set.metrics.map((name) => SHORT[name] ?? name));
  for (const name of ["b", "win", "min"]) controls.elements[name].closest("label").hidden = alone();
  for (const field of controls.elements) if (field.name && field !== document.activeElement) field.value = state[field.name];
}

function drawReader() {
  byId("no-texts").hidden = DATA.sets.length > 0;
  for (const part of [controls, byId("columns")]) part.hidden = !DATA.sets.length;
  if (!DATA.sets.length) return;
  drawControls();
  select();
  if (place() < 0) state.i = order.length ? String(order[0] + 1) : "";
  byId("count").textContent = `${order.length} of ${current().references.length} examples`;
  showChosen(true);
}

function drawTable(table) {
  const head = table.columns.map((column) => element("th", { scope: "col" }, column));
  const rows = table.rows.map(([name, ...cells]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell))));
  return element(
    "section", { "aria-label": table.title },
    element("h2", {}, table.title),
    element("div", { "class": "scroll", "role": "region", "aria-label": `${table.title}, table`, "tabindex": 0 },
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows))),
    element("ul", { class: "notes" }, ...table.notes.map((note) => element("li", {}, note))),
  );
}

function drawFigure(figure) {
  return element("figure", {},
    element("h2", {}, figure.title),
    element("img", { src: figure.uri, alt: `${figure.title}. ${figure.caption}` }),
    element("figcaption", {}, figure.caption));
}

function render() {
  for (const view of VIEWS) {
    const chosen = view === state.view;
    byId(view).hidden = !chosen;
    byId(`tab-${view}`).setAttribute("aria-selected", String(chosen));
    byId(`tab-${view}`).tabIndex = chosen ? 0 : -1;
  }
  if (state.view === "reader") drawReader();
}

// ---- what the user does ----

function step(event, to) {
  event.preventDefault();
  go(to);
}

function onListKey(event) {
  const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
  if (event.key in moves) step(event, place() + moves[event.key]);
  else if (event.key === "Home") step(event, 0);
  else if (event.key === "End") step(event, order.length - 1);
}

function onKey(event) {
  const typing = event.target.closest?.("input, select, textarea");
  if (state.view !== "reader" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j") step(event, place() + 1);
  else if (event.key === "k") step(event, place() - 1);
  else if (event.key === "/") {
    event.preventDefault();
    controls.elements.q.focus();
  }
}

function onTabKey(event) {
  const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!move) return;
  const view = VIEWS.at((VIEWS.indexOf(state.view) + move) % VIEWS.length);
  change({ view });
  byId(`tab-${view}`).focus();
}

byId("tables").append(...DATA.tables.map(drawTable));
byId("figures").append(...DATA.figures.map(drawFigure));
for (const view of VIEWS) byId(`tab-${view}`).addEventListener("click", () => change({ view }));
byId("tabs").addEventListener("keydown", onTabKey);
controls.addEventListener("input", (event) => change({ [event.target.name]: event.target.value }));
controls.addEventListener("submit", (event) => event.preventDefault());
list.addEventListener("scroll", drawRows, { passive: true });
list.addEventListener("keydown", onListKey);
list.addEventListener("click", (event) => {
  const chosen = event.target.closest(".row");
  if (chosen) go(Number(chosen.dataset.index));
});
document.addEventListener("keydown", onKey);
addEventListener("resize", () => state.view === "reader" && DATA.sets.length && drawRows());
addEventListener("hashchange", () => { state = readAddress(); render(); });
state = readAddress();
render();
