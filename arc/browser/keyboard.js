// The keyboard: what a page's keys do, and the sheet that lists them.

const sheet = document.getElementById("keys");

const showKeys = () => sheet.showModal();

/** Whether the key belongs to what has the focus. */
function isTaken({ key, target }) {
  if (target.closest("input, select, textarea")) return key !== "Escape";
  return key === "Enter" && target.closest("button, a, summary");
}

function drawKeys(keys) {
  const one = ([key, what]) =>
    el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, what));
  sheet.append(
    el("h2", {}, "Keys"),
    el("dl", {}, keys.map(one)),
    el("form", { method: "dialog" }, el("button", {}, "Close")),
  );
  document.getElementById("help").addEventListener("click", showKeys);
}

/** Each of `keys` is a key, what it does in words, and the act; `other` finds acts by key for those
    that have a line together. */
function obeyKeys(keys, other) {
  const acts = new Map(keys.map(([key, , act]) => [key, act]));
  addEventListener("keydown", (event) => {
    const busy = document.querySelector("dialog[open]") || isTaken(event);
    if (busy || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = other(event.key) ?? acts.get(event.key === "Escape" ? "Esc" : event.key);
    if (!act) return;
    event.preventDefault();
    if (event.key === "Escape") document.activeElement.blur();
    act();
  });
  drawKeys(keys);
}
