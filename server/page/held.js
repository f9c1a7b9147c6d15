// What is held: the knowledge bases by name, and the sources of the one that is looked at.

const TONES = 8; // colours of sources; further ones begin anew
let held = { default: "", knowledge_bases: {} };

const baseName = () => address().base ?? held.default;
const sources = () => held.knowledge_bases[baseName()]?.sources ?? {};
/** Records to leaf through: of the source that is looked at, or of all. */
const leafed = () =>
  sources()[address().source] ?? held.knowledge_bases[baseName()]?.records ?? 0;
const toneOf = (source) => `tone-${Object.keys(sources()).indexOf(source) % TONES}`;
const grouped = (number) => number.toLocaleString("en");

/** `tone` is the colour of what it chooses, where that has one. */
function chip(words, count, pressed, changes, tone = "plain") {
  const how = { type: "button", class: `chip ${tone}`, "aria-pressed": String(pressed) };
  return el("button", { ...how, onclick: () => go(changes) }, words, el("b", {}, grouped(count)));
}

function baseChips() {
  const anew = { source: undefined, ...NOWHERE };
  const one = ([name, { records }]) =>
    chip(name, records, name === baseName(), { ...anew, base: name });
  const group = { class: "chips", role: "group", "aria-label": "Knowledge bases" };
  return el("div", group, Object.entries(held.knowledge_bases).map(one));
}

function sourceChips(info) {
  const { source } = address();
  const one = ([name, count]) =>
    chip(name, count, name === source, { source: name, start: undefined }, toneOf(name));
  return el(
    "div",
    { class: "chips", role: "group", "aria-label": "Sources" },
    chip("all sources", info.records, !source, { source: undefined, start: undefined }),
    Object.entries(info.sources).map(one),
  );
}

/** Names and values, side by side. */
function factList(told) {
  const one = ([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, `${value}`));
  return el("dl", { class: "facts" }, Object.entries(told).map(one));
}

const facts = (info) =>
  factList({
    records: grouped(info.records),
    sources: Object.keys(info.sources).length,
    embedder: info.embedder.split("/").at(-1),
    dimension: info.dimension,
    version: info.content_hash.slice(0, 10),
  });

function drawHead() {
  const info = held.knowledge_bases[baseName()];
  const several = Object.keys(held.knowledge_bases).length > 1 || !info;
  document.title = `${baseName()} · Hone`;
  document.getElementById("head").replaceChildren(
    el("p", { class: "about" }, "Hone · knowledge base"),
    el("h1", {}, baseName()),
    ...[several && baseChips(), info && facts(info), info && sourceChips(info)].filter(Boolean),
  );
}
