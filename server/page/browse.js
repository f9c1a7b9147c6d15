// Leafing through the records, and through those that are like one of them.

const LEAF = 12; // records at a time

/** The first record shown; an address may ask for one beyond the last. */
const started = () =>
  Math.max(0, Math.min(leafed() - 1, Math.trunc(Number(address().start)) || 0));

function leaves(start, total) {
  const last = Math.max(0, total - 1 - ((total - 1) % LEAF));
  const link = (words, to) => {
    const there = to !== start && to >= 0 && to < total;
    const href = there && addressOf({ start: to || undefined });
    return el("a", { class: "leaf", href, "aria-disabled": there ? "" : "true" }, words);
  };
  const jump = (event) => go({ start: Math.max(0, Number(event.target.value) - 1) || undefined });
  const first = { type: "number", min: 1, max: total, value: Math.min(start + 1, total) };
  return el(
    "nav",
    { class: "leaves", "aria-label": "Pages" },
    link("first", 0),
    link("before", Math.max(0, start - LEAF)),
    el(
      "label",
      {},
      el("input", { ...first, "aria-label": "First record shown", onchange: jump }),
      `to ${grouped(Math.min(start + LEAF, total))} of ${grouped(total)}`,
    ),
    link("next", start + LEAF),
    link("last", last),
  );
}

async function browse() {
  const start = started();
  const { total, records } = await json("v1/records", { ...about(), start, count: LEAF });
  return [leaves(start, total), cards(records), leaves(start, total)];
}

function leafBy(many) {
  const start = Math.max(0, started() + many * LEAF);
  if (start < leafed()) go({ view: "browse", start: start || undefined });
}

async function like() {
  const { record } = address();
  const [{ hits }, own] = await Promise.all([
    json("v1/neighbours", { ...about(), record, k: LEAF }),
    json("v1/records", { knowledge_base: baseName(), start: record, count: 1 }),
  ]);
  const title = hits[0].length ? "Most similar records" : "There is no other record here.";
  return [cards(own.records), el("h2", { class: "between" }, title), cards(hits[0])];
}
