// The keyboard: views, leaves and records without a mouse.

const shownCards = () => [...document.querySelectorAll("#view .card")];

function step(by) {
  const all = shownCards();
  const at = all.indexOf(document.activeElement.closest(".card"));
  const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))];
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}

const openView = (name) => () => go({ view: name, ...NOWHERE });

function nextBase() {
  const names = Object.keys(held.knowledge_bases);
  const next = names[(names.indexOf(baseName()) + 1) % names.length];
  go({ base: next, source: undefined, ...NOWHERE });
}

const KEYS = [
  ["j", "next record", () => step(1)],
  ["k", "previous record", () => step(-1)],
  ["Enter", "more like this record", () => document.activeElement.querySelector(".like")?.click()],
  ["n", "next page of records", () => leafBy(1)],
  ["p", "previous page", () => leafBy(-1)],
  ["1 … 4", "views, from the left"],
  ["/", "search", openView("search")],
  ["b", "next knowledge base", nextBase],
  ["Esc", "browse all sources", () => go({ view: "browse", source: undefined, ...NOWHERE })],
  ["g", "back to the top", () => scrollTo(0, 0)],
  ["?", "this list", showKeys],
];

/** A view's key is its place. */
function viewOf(key) {
  const name = Object.keys(TABS)[Number(key) - 1];
  return name && openView(name);
}
