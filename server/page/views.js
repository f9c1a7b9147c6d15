// The views and which of them is shown: the address says it.

const VIEWS = { browse, search, map, load, like };
const TABS = { browse: "Browse", search: "Search", map: "Map", load: "Load" };
let turn = 0;

const fault = (error) => el("p", { class: "fault", role: "alert" }, error.message);

/** “like” is of a record, and without one there is nothing to show. */
function viewName() {
  const { view, record } = address();
  return view in VIEWS && (view !== "like" || /^\d+$/.test(record)) ? view : "browse";
}

function drawTabs() {
  const tab = ([name, words]) => {
    const current = name === viewName() && "page";
    const href = addressOf({ view: name, ...NOWHERE });
    return el("a", { class: "tab", href, "aria-current": current }, words);
  };
  document.getElementById("bar").replaceChildren(...Object.entries(TABS).map(tab));
}

/** Head and view, of what is held now: a knowledge base may have been rebuilt. */
async function draw() {
  held = await json("v1/knowledge_bases");
  drawHead();
  drawTabs();
  return VIEWS[viewName()]();
}

/** Draws what the address says, unless another was asked for meanwhile. */
async function show() {
  const view = document.getElementById("view");
  const own = ++turn;
  view.setAttribute("aria-busy", "true");
  const drawn = await draw().catch((error) => [fault(error)]);
  if (own !== turn) return;
  view.replaceChildren(...drawn);
  view.removeAttribute("aria-busy");
  document.getElementById("words")?.focus({ preventScroll: true });
  if (viewName() === "like" || started()) scrollTo(0, view.offsetTop - 60);
}
