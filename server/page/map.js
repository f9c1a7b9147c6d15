// The map: a sample of the vectors in the plane in which it spreads most, coloured by source.

const PLANE = { width: 1000, height: 800, edge: 24 };
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Points on paper: one scale for both directions, as distances are what a map is for. */
function spotsOf({ points, sources: names }) {
  const ends = (values) => [Math.min(...values), Math.max(...values)];
  const [[left, right], [low, high]] = ["x", "y"].map((way) => ends(points.map((one) => one[way])));
  const { width, height, edge } = PLANE;
  const [wide, tall] = [width - 2 * edge, height - 2 * edge];
  const scale = Math.min(wide / (right - left || 1), tall / (high - low || 1));
  return points.map(({ record, x, y, source }) => ({
    id: record,
    x: width / 2 + (x - (left + right) / 2) * scale,
    y: height / 2 - (y - (low + high) / 2) * scale,
    source: names[source],
  }));
}

const distanceTo = (x, y) => (spot) => (spot.x - x) ** 2 + (spot.y - y) ** 2;

/** The spot for which `far` says least. */
const least = (spots, far) =>
  spots.reduce((best, spot) => (best === null || far(spot) < far(best) ? spot : best), null);

/** The next spot in a direction: near, and not much to its side. */
function towards(spots, from, [dx, dy]) {
  const along = ({ x, y }) => (x - from.x) * dx + (y - from.y) * dy;
  const aside = ({ x, y }) => Math.abs((x - from.x) * dy - (y - from.y) * dx);
  const ahead = spots.filter((spot) => along(spot) > 0);
  return least(ahead, (spot) => along(spot) + 2 * aside(spot)) ?? from;
}

function dot({ id, x, y, source }) {
  const place = { cx: x.toFixed(1), cy: y.toFixed(1), r: 4.5 };
  const aside = address().source && address().source !== source;
  const kind = `${toneOf(source)} ${aside ? "aside" : ""}`;
  return svg("circle", { ...place, class: kind }, svg("title", {}, `${source}, record ${id}`));
}

function plane(spots, words, choose) {
  const { width, height } = PLANE;
  const among = spots.filter(({ source }) => (address().source ?? source) === source);
  const ring = svg("circle", { class: "ring", r: 11, visibility: "hidden" });
  let current = null;
  const pick = (spot) => {
    if (!spot) return;
    current = spot;
    const place = { cx: spot.x, cy: spot.y, visibility: "visible" };
    for (const [name, value] of Object.entries(place)) ring.setAttribute(name, value);
    choose(spot);
  };
  const onclick = ({ clientX, clientY, currentTarget }) => {
    const box = currentTarget.getBoundingClientRect();
    const [x, y] = [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
    pick(least(among, distanceTo(x * width, y * height)));
  };
  const onkeydown = (event) => {
    if (!WAYS[event.key]) return;
    event.preventDefault();
    const middle = least(among, distanceTo(width / 2, height / 2));
    pick(current ? towards(among, current, WAYS[event.key]) : middle);
  };
  const view = { viewBox: `0 0 ${width} ${height}`, class: "plane" };
  const told = { tabindex: 0, role: "application", "aria-label": words };
  return svg("svg", { ...view, ...told, onclick, onkeydown }, spots.map(dot), ring);
}

/** Shows a spot's record; one that is slow to come is overtaken by one that was chosen later. */
function showing(beside) {
  let current = null;
  return async (spot) => {
    current = spot;
    const where = { knowledge_base: baseName(), start: spot.id, count: 1 };
    const shown = await json("v1/records", where).then(({ records }) => cards(records), fault);
    if (current !== spot) return;
    beside.replaceChildren(shown);
    beside.scrollIntoView({ block: "nearest" });
  };
}

/** What the map shows of how much. */
function mapWords({ points, shown }) {
  const [drawn, all] = [points.length, held.knowledge_bases[baseName()].records];
  const many = drawn < all ? `${grouped(drawn)} of ${grouped(all)} records` : counted(drawn, "record");
  return (
    `${many} in the two directions in which they spread most; the drawing shows ` +
    `${percent(shown)} of the spread. Choose one by a click, a tap or the arrow keys.`
  );
}

async function map() {
  const found = await json("v1/map", { knowledge_base: baseName() });
  const words = mapWords(found);
  const beside = el("div", { class: "chosen", "aria-live": "polite" });
  const drawing = plane(spotsOf(found), words, showing(beside));
  return [el("div", { class: "mapped" }, drawing, el("p", { class: "about" }, words), beside)];
}
