// Draws the page, and goes to the task that the address names.

function goToNamed() {
  const card = cards.find(({ task }) => `#${encodeURIComponent(task.id)}` === location.hash);
  if (card) choose(card);
}

drawHead();
drawBar();
obeyKeys(KEYS, filterOf);
show();
drawCards();
goToNamed();
addEventListener("hashchange", goToNamed);
