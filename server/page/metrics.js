// What the service tells Prometheus, read: values by name and labels, and what came in between.

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** A list of {name, labels, value}. */
function readMetrics(text) {
  const lines = text.split("\n").map((line) => LINE.exec(line)).filter(Boolean);
  return lines.map(([, name, labels = "", value]) => {
    const named = [...labels.matchAll(LABEL)].map(([, label, word]) => [label, word]);
    return { name, labels: Object.fromEntries(named), value: Number(value) };
  });
}

const matching = (metrics, name, where) =>
  metrics.filter(
    (one) =>
      one.name === name &&
      Object.entries(where).every(([label, word]) => one.labels[label] === word),
  );

const total = (metrics, name, where = {}) =>
  matching(metrics, name, where).reduce((sum, { value }) => sum + value, 0);

/** How much was added between two looks. */
const added = ([before, after], name, where = {}) =>
  total(after, name, where) - total(before, name, where);

/** The mean of what a histogram or summary saw in between; null where it saw nothing. */
function mean(looks, name, where = {}) {
  const many = added(looks, `${name}_count`, where);
  return many ? added(looks, `${name}_sum`, where) / many : null;
}

/** Below which value this share of it stayed, as its histogram's buckets tell. */
function quantile(looks, name, where, share) {
  const bounds = matching(looks[1], `${name}_bucket`, where).map(({ labels }) => labels.le);
  const wanted = share * added(looks, `${name}_count`, where);
  if (!wanted) return null;
  let [low, below] = [0, 0];
  for (const le of bounds) {
    const many = added(looks, `${name}_bucket`, { ...where, le });
    if (many >= wanted) {
      const inside = le === "+Inf" ? 0 : (wanted - below) / (many - below);
      return low + inside * (le === "+Inf" ? 0 : Number(le) - low);
    }
    [low, below] = [Number(le), many];
  }
  return low;
}
