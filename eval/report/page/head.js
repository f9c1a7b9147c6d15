// The top of the page: the scores with their intervals, facts, notices and settings.

const WIDE = 640; // width of the chart, in its own units
const [NAMES, VALUES] = [90, 122]; // width of the names on its left, of the values on its right
const ROW = 34;

function intervalRow(side, place) {
  const y = ROW * (place + 0.5);
  const at = (share) => NAMES + share * (WIDE - NAMES - VALUES);
  const [low, high] = side.ci95;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => `M${at(share)} ${y - 5}v10`).join("");
  const pill = { x: at(low), width: at(high) - at(low), y: y - 6, height: 12, rx: 6 };
  return svg(
    "g",
    { class: `side-${place}` },
    svg("title", {}, `95 % interval ${percent(low, 1)} to ${percent(high, 1)}`),
    svg("text", { x: NAMES - 14, y: y + 5, class: "name" }, side.name),
    svg("path", { d: `M${at(0)} ${y}H${at(1)}${ticks}`, class: "axis" }),
    svg("rect", { ...pill, class: "interval" }),
    svg("circle", { cx: at(side.rate), cy: y, r: 6, class: "rate" }),
    svg("text", { x: at(1) + 14, y: y + 5, class: "value" }, percent(side.rate, 1)),
  );
}

function intervals() {
  const words = told.sides.map((side) => `${side.name} ${percent(side.rate, 1)}`).join(", ");
  const box = { viewBox: `0 0 ${WIDE} ${told.sides.length * ROW}`, class: "intervals" };
  return svg("svg", { ...box, role: "img", "aria-label": words }, told.sides.map(intervalRow));
}

function facts() {
  const one = ([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  return el("dl", { class: "facts" }, told.facts.map(one));
}

function notices() {
  return el("ul", { class: "notices" }, told.notices.map((line) => el("li", {}, line)));
}

function settings() {
  const spelled = (value) => (Array.isArray(value) ? value.join(" ") : String(value ?? "")) || "–";
  const one = ([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, `--${name}`), el("td", {}, spelled(value)));
  const table = el("table", {}, el("tbody", {}, told.settings.map(one)));
  return el("details", { class: "settings" }, el("summary", {}, "Settings"), table);
}

function drawHead() {
  document.getElementById("head").append(
    el("p", { class: "about" }, [told.title, ...told.about].join(" · ")),
    el("h1", {}, told.headline),
    el(
      "div",
      { class: "came-out" },
      told.between ? el("div", {}, intervals(), el("p", { class: "between" }, told.between)) : "",
      facts(),
    ),
    told.notices.length > 0 ? notices() : "",
    told.settings.length > 0 ? settings() : "",
  );
}
