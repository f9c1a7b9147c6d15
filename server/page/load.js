// Live load: what the metrics say, looked at every two seconds while this view is open.

const PAUSE = 2000; // milliseconds between two looks
const RECENT = 5; // looks that a figure is over
const HISTORY = 90; // of searches a second in the curve
const PHASES = ["read", "parse", "embed", "queue", "search", "answer"];
const SEARCHES = { route: "/v1/search" };
const CURVE = { width: 600, height: 90 };

const orNone = (value, spell) => (value === null ? "–" : spell(value));
const inMs = (seconds) => orNone(seconds, (one) => `${(1000 * one).toPrecision(3)} ms`);

/** What came in between two looks, in words. */
function figures({ looks, seconds }) {
  const now = looks[1];
  const every = (name, where) => (added(looks, name, where) / seconds).toFixed(1);
  const time = (share) => inMs(quantile(looks, "hone_request_seconds", SEARCHES, share));
  const refused = added(looks, "hone_requests_total", { status: "429" });
  const failed = added(looks, "hone_requests_total", { status: "500" });
  const most = total(now, "hone_queue_limit_vectors");
  return {
    "vectors a second": every("hone_batch_vectors_sum"),
    "searches a second": every("hone_requests_total", SEARCHES),
    "median time": time(0.5),
    "99th percentile": time(0.99),
    waiting: `${total(now, "hone_queue_vectors")} of ${grouped(most)}`,
    "searched together": orNone(mean(looks, "hone_batch_vectors"), (many) => many.toFixed(1)),
    "refused when busy": refused,
    failed,
    memory: `${grouped(Math.round(total(now, "process_resident_memory_bytes") / 2 ** 20))} MiB`,
    processors: every("process_cpu_seconds_total"),
  };
}

function curve(rates) {
  const { width, height } = CURVE;
  const highest = Math.max(...rates);
  const top = highest || 1;
  const x = (i) => width - ((rates.length - 1 - i) * width) / (HISTORY - 1);
  const y = (rate) => height * (1 - rate / top);
  const points = rates.map((rate, i) => `${x(i).toFixed(1)},${y(rate).toFixed(1)}`).join(" ");
  const axes = svg("path", { d: `M0 0h${width}M0 ${height}h${width}`, class: "axis" });
  const area = svg("polygon", { points: `${x(0)},${height} ${points} ${width},${height}` });
  const words = `vectors a second over ${(HISTORY * PAUSE) / 60000} minutes, at most ${highest.toFixed(1)}`;
  const how = { viewBox: `0 -3 ${width} ${height + 6}`, role: "img", "aria-label": words };
  return el(
    "figure",
    { class: "curve" },
    el("figcaption", {}, words),
    svg("svg", { ...how, preserveAspectRatio: "none" }, axes, area, svg("polyline", { points })),
  );
}

function phases({ looks }) {
  const known = PHASES.map((phase) => [phase, mean(looks, "hone_phase_seconds", { phase })]);
  const longest = Math.max(...known.map(([, seconds]) => seconds ?? 0)) || 1;
  const one = ([phase, seconds]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, phase),
      el("td", {}, el("meter", { max: longest, value: seconds ?? 0, "aria-hidden": "true" })),
      el("td", {}, inMs(seconds)),
    );
  const title = el("caption", {}, "time of a search, by phase");
  return el("table", { class: "phases" }, title, el("tbody", {}, known.map(one)));
}

async function look() {
  return { at: performance.now(), metrics: readMetrics(await (await asked("metrics")).text()) };
}

const between = (before, after) => ({
  looks: [before.metrics, after.metrics],
  seconds: (after.at - before.at) / 1000,
});

function load() {
  const panel = el("section", { class: "load", "aria-label": "Load" }, "Measuring …");
  const [seen, rates] = [[], []];
  const failed = (error) => {
    seen.length = 0; // counts begin anew with the server
    panel.replaceChildren(fault(error));
    setTimeout(follow, PAUSE);
  };
  const again = async () => {
    if (!panel.isConnected) return;
    seen.push(await look());
    if (seen.length > 1) {
      const last = between(...seen.slice(-2));
      rates.push(added(last.looks, "hone_batch_vectors_sum") / last.seconds);
      const recent = between(seen[0], seen.at(-1));
      panel.replaceChildren(factList(figures(recent)), curve(rates), phases(recent));
    }
    if (seen.length > RECENT) seen.shift();
    if (rates.length > HISTORY) rates.shift();
    setTimeout(follow, PAUSE);
  };
  const follow = () => again().catch(failed);
  setTimeout(follow); // once the panel is in the page
  return [panel];
}
