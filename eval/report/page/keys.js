// The keyboard: every task and every filter without a mouse.

const sheet = document.getElementById("keys");
const KEYS = [
  ["j", "next task", () => step(1)],
  ["k", "task before", () => step(-1)],
  ["Enter", "votes, training and neighbours of this task", () => current?.toggle()],
  ["d", "the same of all tasks", toggleAll],
  ["/", "find a task by name", () => document.getElementById("words").focus()],
  ["1 … 9", "filters, from the left"],
  ["Esc", "all tasks again", showAll],
  ["g", "back to the top", () => scrollTo(0, 0)],
  ["?", "this list", () => sheet.showModal()],
];

function actOf(key) {
  const chip = document.querySelectorAll(".chip")[Number(key) - 1];
  return chip ? () => press(chip.dataset.filter) : KEYS.find(([name]) => name === key)?.[2];
}

/** Whether the key belongs to what has the focus. */
function isTaken({ key, target }) {
  if (target.closest("input, select")) return key !== "Escape";
  return key === "Enter" && target.closest("button, a, summary");
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || sheet.open || isTaken(event)) return;
  const act = actOf(event.key === "Escape" ? "Esc" : event.key);
  if (!act) return;
  event.preventDefault();
  if (event.key === "Escape") document.activeElement.blur();
  act();
}

function drawKeys() {
  const one = ([key, what]) =>
    el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, what));
  sheet.append(
    el("h2", {}, "Keys"),
    el("dl", {}, KEYS.map(one)),
    el("form", { method: "dialog" }, el("button", {}, "Close")),
  );
  document.getElementById("help").addEventListener("click", () => sheet.showModal());
  addEventListener("keydown", onKey);
}
