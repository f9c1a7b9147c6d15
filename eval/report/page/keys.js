// Keyboard shortcuts, which reach every task and every filter.

const KEYS = [
  ["j", "next task", () => step(1)],
  ["k", "previous task", () => step(-1)],
  ["Enter", "votes, training and neighbours of this task", () => current?.toggle()],
  ["d", "the same for all tasks", toggleAll],
  ["/", "find a task by name", () => document.getElementById("words").focus()],
  ["1 … 9", "filters, from the left"],
  ["Esc", "all tasks again", showAll],
  ["g", "back to the top", () => scrollTo(0, 0)],
  ["?", "this list", showKeys],
];

/** The action of a digit key: the filter at that place. */
function filterOf(key) {
  const chip = document.querySelectorAll(".chip")[Number(key) - 1];
  return chip && (() => press(chip.dataset.filter));
}
