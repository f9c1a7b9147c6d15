// A record as a card: an ARC task as grids, a text as text.

const [BOX, WIDE] = [112, 232]; // pixels of a grid's longer side, and of one that is a strip
const [LONG, LINES] = [700, 12]; // from which on a text is shown in part

const spelled = (rows) => rows.map((row) => row.join("")).join("/");

const isStrip = (grid) => {
  const [height, width] = sizeOf(grid);
  return width >= 4 * height;
};

const boxOf = (pair) => (pair.every(isStrip) ? WIDE : BOX);

function pairs(title, all, name) {
  const spelledPairs = all.map((pair) => pair.map(spelled));
  const pictures = spelledPairs.map((pair, i) => pairPicture(pair, boxOf(pair), `${name} ${i + 1}`));
  return el("section", { class: "pairs" }, el("h3", {}, title), el("div", {}, pictures));
}

function taskBody({ prompt, answer }) {
  const [{ train, test }, outputs] = [prompt, answer].map((part) => JSON.parse(part));
  const demos = train.map(({ input, output }) => [input, output]);
  const tests = test.map(({ input }, i) => [input, outputs[i]]);
  return [pairs("demonstrations", demos, "demonstration"), pairs("test", tests, "test")];
}

function passage(title, text) {
  const long = text.length > LONG || text.split("\n").length > LINES;
  const words = el("div", { class: long ? "words part" : "words" }, text.trim());
  const all = (event) => {
    words.classList.remove("part");
    event.target.remove();
  };
  const more = long && el("button", { type: "button", class: "more", onclick: all }, "show all");
  return el("section", { class: "passage" }, el("h3", {}, title), words, more);
}

const textBody = ({ prompt, answer }) => [passage("prompt", prompt), passage("answer", answer)];

/** Whether the others on the page are those that are like it. */
const isAskedAbout = (id) => viewName() === "like" && address().record === String(id);

function card(record) {
  const { id, source, kind, score } = record;
  const like = addressOf({ view: "like", record: id, start: undefined });
  return el(
    "article",
    { class: `card ${kind}`, tabindex: -1, "aria-label": `record ${id}` },
    el(
      "header",
      {},
      el("h2", {}, `${id}`),
      el("span", { class: `source ${toneOf(source)}` }, source),
      score !== undefined && el("span", { class: "score" }, `similarity ${score.toFixed(3)}`),
      !isAskedAbout(id) && el("a", { class: "like", href: like }, "more like this"),
    ),
    ...(kind === "arc" ? taskBody(record) : textBody(record)),
  );
}

const cards = (records) => el("div", { class: "cards" }, records.map(card));
