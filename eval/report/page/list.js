// The list of cards: which of them are shown, in which order, and a map of all.

const cards = told.tasks.map(makeCard);
const cardOf = new Map(cards.map((card) => [card.node, card]));
const list = document.getElementById("tasks");
const asked = { words: "", kinds: new Set(), order: "as evaluated" };
const FILTERS = { ...KINDS, unchosen: "written, not chosen" };
const NEAR = "1200px"; // distance from the window at which cards are drawn
let shown = cards;
let current = null;

const lastSide = (card) => card.task.sides.at(-1);
const lastLoss = (card) => lastSide(card).training.losses.at(-1) ?? -1;
const grids = (card) => Object.values(card.task.task).flat(2).filter(Boolean);
const area = (card) => Math.max(...grids(card).map((grid) => grid.length));
const time = (card) =>
  Object.values(lastSide(card).training.seconds).reduce((sum, spent) => sum + spent, 0);

const ORDERS = {
  "as evaluated": (a, b) => a.index - b.index,
  "by name": (a, b) => a.task.id.localeCompare(b.task.id),
  "surest first": (a, b) => b.sure - a.sure,
  "least sure first": (a, b) => a.sure - b.sure,
  "highest last loss first": (a, b) => lastLoss(b) - lastLoss(a),
  "slowest first": (a, b) => time(b) - time(a),
  "largest grids first": (a, b) => area(b) - area(a),
};

const belongs = (card, filter) =>
  filter === "unchosen" ? isUnchosen(lastSide(card)) : card.kind === filter;

/** Whether a card has one of the chosen kinds, is unchosen if that is asked, and has the name. */
function isAsked(card) {
  const kinds = [...asked.kinds].filter((kind) => kind !== "unchosen");
  return (
    (!kinds.length || kinds.includes(card.kind)) &&
    (!asked.kinds.has("unchosen") || belongs(card, "unchosen")) &&
    card.task.id.toLowerCase().includes(asked.words)
  );
}

function show() {
  shown = cards.filter(isAsked).sort(ORDERS[asked.order]);
  const among = new Set(shown);
  for (const card of cards) {
    card.node.hidden = !among.has(card);
    card.spot.classList.toggle("aside", card.node.hidden);
  }
  list.append(...shown.map((card) => card.node));
  const all = counted(cards.length, "task");
  const some = shown.length < cards.length ? `${shown.length} of ${all}` : all;
  document.getElementById("count").textContent = some;
  document.getElementById("nothing").hidden = shown.length > 0;
  for (const chip of document.querySelectorAll(".chip")) {
    chip.setAttribute("aria-pressed", asked.kinds.has(chip.dataset.filter));
  }
}

function press(filter) {
  if (!asked.kinds.delete(filter)) asked.kinds.add(filter);
  show();
}

function showAll() {
  asked.kinds.clear();
  asked.words = document.getElementById("words").value = "";
  show();
}

/** Makes a card the current one, and scrolls to it. */
function choose(card) {
  if (card.node.hidden) showAll();
  current?.node.classList.remove("current");
  current = card;
  card.fill();
  card.node.classList.add("current");
  card.node.focus({ preventScroll: true });
  card.node.scrollIntoView({ block: "start" });
  history.replaceState(null, "", `#${encodeURIComponent(card.task.id)}`);
}

function step(by) {
  const at = shown.includes(current) ? shown.indexOf(current) + by : 0;
  const next = shown[Math.min(shown.length - 1, Math.max(0, at))];
  if (next) choose(next);
}

/** Opens the details of all cards that are shown, or closes them if all are open. */
function toggleAll() {
  const open = !shown.every((card) => card.node.classList.contains("open"));
  for (const card of shown) card.open(open);
}

function chip([filter, words]) {
  const many = cards.filter((card) => belongs(card, filter)).length;
  const how = { type: "button", class: `chip ${filter}`, "data-filter": filter };
  const button = el("button", { ...how, onclick: () => press(filter) }, words, el("b", {}, `${many}`));
  return many > 0 && button;
}

function spot(card) {
  const title = `${card.task.id}: ${KINDS[card.kind]}`;
  card.spot = el("i", { class: card.kind, title, onclick: () => choose(card) });
  return card.spot;
}

function drawBar() {
  const find = (event) => {
    asked.words = event.target.value.toLowerCase();
    show();
  };
  const order = (event) => {
    asked.order = event.target.value;
    show();
  };
  const label = "Part of a task's name";
  const orders = Object.keys(ORDERS).map((name) => el("option", {}, name));
  document.getElementById("head").append(
    el("div", { class: "map", "aria-hidden": "true" }, cards.map(spot)),
  );
  document.getElementById("bar").append(
    el("input", { id: "words", type: "search", placeholder: "task", "aria-label": label, oninput: find }),
    el("select", { "aria-label": "Order", onchange: order }, orders),
    el("output", { id: "count" }),
    el("div", { class: "chips" }, Object.entries(FILTERS).map(chip)),
  );
}

function drawCards() {
  const fill = (seen) => {
    for (const { target, isIntersecting } of seen) if (isIntersecting) cardOf.get(target).fill();
  };
  const near = new IntersectionObserver(fill, { rootMargin: NEAR });
  for (const card of cards) near.observe(card.node);
  addEventListener("beforeprint", () => shown.forEach((card) => card.fill()));
}
