// A task's card. Its head is drawn at once, its body when it comes near the window.

const [DEMO_BOX, TEST_BOX] = [112, 150]; // pixels
const KINDS = {
  both: "solved by both",
  gained: `${told.sides[1].name} only`,
  lost: `${told.sides[0].name} only`,
  neither: "solved by neither",
  unknown: "answer unknown",
  leaked: "seen before",
};

function kindOf(task) {
  const [first, second] = task.sides.map((side) => side.solved);
  if (Object.keys(task.leaked).length) return "leaked";
  if (second === null) return "unknown";
  if (second) return first ? "both" : "gained";
  return first ? "lost" : "neither";
}

/** Whether the right grids were written, but not all of them chosen. */
const isUnchosen = ({ written, solved }) => written === true && !solved;

/** The last side's mean confidence in its first attempts, over all test inputs. */
function sureness(task) {
  const shares = task.sides.at(-1).tests.map((test) => test.attempts[0]?.[1] ?? 0);
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

const missing = (words) => el("p", { class: "no-grid" }, words);

function titled(title, picture, note = "", kind = "") {
  const said = note && el("figcaption", { class: "state" }, note);
  return el("figure", { class: `shown ${kind}` }, el("p", { class: "over" }, title), picture, said);
}

function attempt([grid, share], title, answer, cell) {
  const said = [`${percent(share)} of the vote`, distance(grid, answer)].filter(Boolean);
  const kind = grid === answer ? "right" : "";
  return titled(title, gridPicture(grid, cell, title, answer), said.join(", "), kind);
}

/** The first two attempts of a side; later ones do not count in the score. */
function attempts(name, test, answer, cell) {
  const tried = test.attempts.slice(0, 2);
  const why = test.views ? "no view wrote one" : "too long for the context";
  if (!tried.length) return titled(name, missing("no grid"), why);
  return tried.map((one, i) => attempt(one, `${name} ${i + 1}`, answer, cell));
}

function testRow(task, j) {
  const [input, answer] = task.task.test[j];
  const tests = task.sides.map((side) => side.tests[j]);
  const tried = tests.flatMap((test) => test.attempts.slice(0, 2).map(([grid]) => grid));
  const [asked, cell] = cellsFor([input], [answer, ...tried], TEST_BOX);
  const title = task.task.test.length > 1 ? `test input ${j + 1}` : "test input";
  const given = titled(title, gridPicture(input, asked, title));
  const expected = answer === null ? missing("unknown") : gridPicture(answer, cell, "expected");
  const side = (i) =>
    el("div", { class: `attempts side-${i}` }, attempts(told.sides[i].name, tests[i], answer, cell));
  return el(
    "section",
    { class: "test" },
    el("div", { class: "given" }, given, titled("expected", expected)),
    el("div", { class: "tried" }, told.order.map(side)),
  );
}

function behind(task, i) {
  const { tests, training } = task.sides[i];
  const { name, neighbours: pairs } = told.sides[i];
  const part = (title, ...content) =>
    el("section", { class: `part side-${i}` }, el("h3", {}, `${name}: ${title}`), content.flat());
  const written = tests.map((test, j) => votes(test, task.task.test[j][1]));
  const curve = training.steps > 0 && lossCurve(training);
  const trained = [
    part("training", el("div", { class: "training" }, story(training), curve)),
    part("neighbours", neighbours(training, pairs)),
  ];
  return [part("what the views wrote", written), ...(training.decision === "base" ? [] : trained)];
}

function leak(task) {
  const seen = Object.entries(task.leaked);
  const said = seen.map(([who, places]) => `the ${who} has seen ${places.join(", ")}`).join("; ");
  return said && el("p", { class: "leak" }, `Left out of the score: ${said}.`);
}

function demo(pair, i) {
  return pairPicture(pair, DEMO_BOX, `demonstration ${i + 1}`);
}

function cardBody(task) {
  const demos = el("section", { class: "demos" }, task.task.train.map(demo));
  const tests = el("div", { class: "tests" }, task.task.test.map((_, j) => testRow(task, j)));
  const parts = told.order.flatMap((i) => behind(task, i));
  return el(
    "div",
    {},
    leak(task),
    el("div", { class: "puzzle" }, demos, tests),
    el("div", { class: "behind" }, parts),
  );
}

function cardHead(task) {
  const last = task.sides.at(-1);
  const kind = kindOf(task);
  return el(
    "header",
    {},
    el("h2", {}, el("a", { href: `#${encodeURIComponent(task.id)}` }, task.id)),
    el("span", { class: `kind ${kind}` }, KINDS[kind]),
    isUnchosen(last) && el("span", { class: "kind unchosen" }, "written, not chosen"),
    el("span", { class: "adapter" }, adapterOf(last.training)),
    el("span", { class: "sure" }, `sure ${percent(sureness(task))}`),
    el("button", { type: "button", class: "more", "aria-expanded": "false" }, "Details"),
  );
}

function makeCard(task, index) {
  const shell = { class: "card", tabindex: "-1", "aria-label": task.id };
  const node = el("article", shell, cardHead(task));
  const more = node.querySelector(".more");
  const card = { task, index, node, kind: kindOf(task), sure: sureness(task), drawn: false };
  card.fill = () => {
    if (!card.drawn) node.append(cardBody(task));
    card.drawn = true;
  };
  card.open = (open) => {
    node.classList.toggle("open", open);
    more.setAttribute("aria-expanded", open);
  };
  card.toggle = () => card.open(!node.classList.contains("open"));
  more.addEventListener("click", card.toggle);
  return card;
}
