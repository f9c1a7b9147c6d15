// What the page draws, as Python told it.

const told = JSON.parse(document.getElementById("told").textContent);
