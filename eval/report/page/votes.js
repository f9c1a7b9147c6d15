// The details of a card: the views' grids, the training, and the retrieved tasks.

const DECISIONS = {
  train: "trained for this task",
  hit: "adapter of a similar task reused",
  merge: "adapters of similar tasks merged",
  "warm start": "trained from a similar task's adapter",
  "trained earlier": "adapter kept from an earlier run",
  base: "the base, untrained",
};
const UNTRAINED = { "nothing to train on": "nothing to train on", quarantined: "training gave a NaN" };
const LEFT = {
  time: "ended at the time limit",
  plateau: "ended when the loss stalled",
  solved: "ended when its items were solved",
};
const [VOTE_BOX, NEIGHBOUR_BOX] = [88, 56]; // pixels
const CURVE = { width: 260, height: 72 };

/** Where the adapter came from, in words, or what answered without one. */
function adapterOf({ decision, similarity, stands_on: shared }) {
  const why = UNTRAINED[decision];
  const below = shared ? "the shared adapter" : "the base";
  const words = why ? `${why}: answered by ${below}` : (DECISIONS[decision] ?? decision);
  return similarity === undefined ? words : `${words}, similarity ${similarity.toFixed(2)}`;
}

/** Whether cells can be compared: outlining all cells of a grid of another size says nothing. */
const comparable = (grid, answer) => answer !== null && sizeName(grid) === sizeName(answer);

/** A grid that views wrote, with its share of the votes; its title lists the views. */
function vote([grid, views, share], answer, cell) {
  const best = Math.max(...views.map(([, known]) => known ?? -Infinity));
  const known = Number.isFinite(best) ? `, log p ${best.toFixed(1).replace("-", "−")}` : "";
  const bar = el("i", { style: `width:${100 * share}%` });
  return el(
    "figure",
    { class: grid === answer ? "vote right" : "vote", title: views.map(([name]) => name).join("\n") },
    gridPicture(grid, cell, "written", comparable(grid, answer) ? answer : null),
    el(
      "figcaption",
      {},
      el("span", { class: "share" }, bar),
      `${counted(views.length, "view")}${known}`,
      el("span", { class: "state" }, distance(grid, answer)),
    ),
  );
}

function votes(test, answer) {
  const cell = cellFor(test.grids.map(([grid]) => grid), VOTE_BOX);
  const rest = [
    test.none > 0 && `${counted(test.none, "view")} wrote no grid`,
    test.more > 0 && `${counted(test.more, "more grid")} not drawn`,
  ].filter(Boolean);
  return el(
    "div",
    { class: "votes" },
    test.grids.map((one) => vote(one, answer, cell)),
    rest.length > 0 && el("p", { class: "rest" }, rest.join(", ")),
  );
}

function lossCurve({ losses, steps }) {
  const { width, height } = CURVE;
  const [top, last] = [Math.max(...losses), losses.at(-1)];
  const x = (i) => (i / Math.max(1, losses.length - 1)) * width;
  const y = (loss) => height - (loss / top) * height;
  const points = losses.map((loss, i) => `${x(i).toFixed(1)},${y(loss).toFixed(1)}`).join(" ");
  const words = `loss ${losses[0].toFixed(2)} to ${last.toFixed(2)} in ${counted(steps, "step")}`;
  return el(
    "figure",
    { class: "curve" },
    svg(
      "svg",
      { viewBox: `-4 -4 ${width + 8} ${height + 8}`, role: "img", "aria-label": words },
      svg("path", { d: `M0 ${height}h${width}`, class: "axis" }),
      svg("polyline", { points }),
      svg("circle", { cx: x(losses.length - 1), cy: y(last), r: 3 }),
    ),
    el("figcaption", {}, words),
  );
}

function story(training) {
  const { items, items_withheld: withheld, left, seconds } = training;
  const spent = Object.entries(seconds).filter(([, value]) => value > 0);
  const told = [
    adapterOf(training),
    items > 0 && counted(items, "item"),
    withheld > 0 && `${counted(withheld, "retrieved task")} withheld, since the answer is in it`,
    LEFT[left],
    spent.map(([name, value]) => `${name} ${value.toFixed(2)} s`).join(", "),
  ];
  return el("ul", { class: "story" }, told.filter(Boolean).map((line) => el("li", {}, line)));
}

function neighbour(hit, pairs) {
  const pair = pairs[hit.id] ?? [];
  const cells = cellsFor(pair.slice(0, 1), pair.slice(1), NEIGHBOUR_BOX);
  const [input, output] = pair.map((grid, i) => gridPicture(grid, cells[i], ["input", "output"][i]));
  const times = hit.multiplicity > 1 ? ` ×${hit.multiplicity}` : "";
  return el(
    "figure",
    { class: "neighbour" },
    input && el("div", { class: "pair" }, input, arrow(), output),
    el(
      "figcaption",
      {},
      `${hit.score.toFixed(2)}${times}`,
      el("span", { class: "state" }, `${hit.source} ${hit.id}`),
    ),
  );
}

/** The retrieved tasks; `pairs` holds the pair to draw for a record's number. */
function neighbours({ retrieved, retrieved_in_all: all }, pairs) {
  if (!all) return el("p", { class: "rest" }, "No tasks were retrieved.");
  const more = all - retrieved.length;
  return el(
    "div",
    { class: "neighbours" },
    retrieved.map((hit) => neighbour(hit, pairs)),
    more > 0 && el("p", { class: "rest" }, `and ${more} more`),
  );
}
