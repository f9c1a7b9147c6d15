// Leafing through the records, and through those that are like one of them.

const LEAF = 12; // records at a time

const started = () => Math.max(0, Math.trunc(Number(address().start)) || 0);

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
    el("input", { ...first, "aria-label": "First record shown", onchange: jump }),
    el("span", {}, `to ${Math.min(start + LEAF, total)} of ${grouped(total)}`),
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
  const end = sources()[address().source] ?? held.knowledge_bases[baseName()]?.records ?? 0;
  if (start < end) go({ view: "browse", start: start || undefined });
}

async function like() {
  const { record } = address();
  const [{ hits }, own] = await Promise.all([
    json("v1/neighbours", { ...about(), record, k: LEAF }),
    json("v1/records", { knowledge_base: baseName(), start: record, count: 1 }),
  ]);
  return [
    cards(own.records),
    el("h2", { class: "between" }, "Most like it"),
    cards(hits[0]),
  ];
}
