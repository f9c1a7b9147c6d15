// A grid as SVG: one path a colour, so that the largest costs ten shapes and stays sharp.

const MOST_PIXELS = 18; // a side of a cell
const LINED = 5; // pixels of a cell from which on lines are drawn between cells
const SMALL = 7; // below, outlines are thin
const MAGNIFIED = 3; // times, at most, that a small grid's cells are those of a large one beside it

/** Height and width of a grid that is spelled "012/340". */
const sizeOf = (spelled) => [spelled.split("/").length, spelled.split("/", 1)[0].length];

const sizeName = (spelled) => sizeOf(spelled).join("×");

/** Side of a cell with which all these grids fit into a box of so many pixels. */
function cellFor(grids, box) {
  const longest = Math.max(1, ...grids.filter(Boolean).flatMap(sizeOf));
  return Math.max(2, Math.min(MOST_PIXELS, Math.floor(box / longest)));
}

/** The same for inputs beside outputs, where one may be much smaller than the other. */
function cellsFor(inputs, outputs, box) {
  const [first, second] = [inputs, outputs].map((grids) => cellFor(grids, box));
  return [Math.min(first, MAGNIFIED * second), Math.min(second, MAGNIFIED * first)];
}

/** Cells of `spelled` that are not those of `expected`, by row and column. */
function differing(spelled, expected) {
  const [rows, others] = [spelled.split("/"), expected.split("/")];
  const found = [];
  rows.forEach((row, r) => {
    for (let c = 0; c < row.length; c++) if (row[c] !== others[r]?.[c]) found.push([r, c]);
  });
  return found;
}

/** Ten paths, each over the runs of its colour. */
function colourPaths(spelled) {
  const paths = new Array(10).fill("");
  spelled.split("/").forEach((row, r) => {
    for (let c = 0, end; c < row.length; c = end) {
      for (end = c + 1; row[end] === row[c]; ) end++;
      paths[row[c]] += `M${c} ${r}h${end - c}v1h${c - end}z`;
    }
  });
  return paths;
}

function lines(height, width) {
  let path = "";
  for (let r = 1; r < height; r++) path += `M0 ${r}h${width}`;
  for (let c = 1; c < width; c++) path += `M${c} 0v${height}`;
  return path;
}

/** White with a black line in it, to be seen on every colour; around small cells, not in them. */
function outlines(cells, inset) {
  const side = 1 - 2 * inset;
  const square = ([r, c]) => `M${c + inset} ${r + inset}h${side}v${side}h${-side}z`;
  const path = cells.map(square).join("");
  return [svg("path", { d: path, class: "halo" }), svg("path", { d: path, class: "differs" })];
}

function gridPicture(spelled, cell, label, expected = null) {
  const [height, width] = sizeOf(spelled);
  const apart = expected && expected !== spelled ? differing(spelled, expected) : [];
  const shapes = colourPaths(spelled).map((d, i) => d && svg("path", { d, fill: COLOURS[i] }));
  return svg(
    "svg",
    {
      width: width * cell,
      height: height * cell,
      viewBox: `0 0 ${width} ${height}`,
      class: cell < SMALL ? "grid small" : "grid",
      role: "img",
      "aria-label": `${label}, ${height} by ${width}`,
    },
    shapes,
    cell >= LINED && svg("path", { d: lines(height, width), class: "lines" }),
    apart.length > 0 && outlines(apart, cell < SMALL ? 0 : 0.15),
  );
}

/** How far an attempt is from the answer, in words. */
function distance(spelled, expected) {
  if (expected === null) return "";
  if (spelled === expected) return "right";
  const [size, wanted] = [sizeName(spelled), sizeName(expected)];
  if (size !== wanted) return `${size}, not ${wanted}`;
  const many = differing(spelled, expected).length;
  const share = many / spelled.replaceAll("/", "").length;
  return `${counted(many, "cell")} wrong (${percent(share)})`;
}

const arrow = () => el("span", { class: "arrow", "aria-hidden": "true" }, "→");

/** An input, an arrow, its output. */
function pairPicture([input, output], box, name) {
  const [asked, answered] = cellsFor([input], [output], box);
  return el(
    "div",
    { class: "pair" },
    gridPicture(input, asked, `${name}, input`),
    arrow(),
    gridPicture(output, answered, `${name}, output`),
  );
}
