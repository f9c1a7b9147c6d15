// The keyboard: every task and every filter without a mouse.

const KEYS = [
  ["j", "next task", () => step(1)],
  ["k", "task before", () => step(-1)],
  ["Enter", "votes, training and neighbours of this task", () => current?.toggle()],
  ["d", "the same of all tasks", toggleAll],
  ["/", "find a task by name", () => document.getElementById("words").focus()],
  ["1 … 9", "filters, from the left"],
  ["Esc", "all tasks again", showAll],
  ["g", "back to the top", () => scrollTo(0, 0)],
  ["?", "this list", showKeys],
];

/** A filter's key is its place. */
function filterOf(key) {
  const chip = document.querySelectorAll(".chip")[Number(key) - 1];
  return chip && (() => press(chip.dataset.filter));
}
