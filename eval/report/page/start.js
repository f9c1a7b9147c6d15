// The page draws itself, and goes to the task that its address names.

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
