// The views and which of them is shown: the address says it.

const VIEWS = { browse, search, map, load, like };
const TABS = { browse: "Browse", search: "Search", map: "Map", load: "Load" };
let turn = 0;

const fault = (error) => el("p", { class: "fault", role: "alert" }, error.message);

const viewName = () => (address().view in VIEWS ? address().view : "browse");

function drawTabs() {
  const tab = ([name, words]) => {
    const current = name === viewName() && "page";
    const href = addressOf({ view: name, start: undefined, record: undefined });
    return el("a", { class: "tab", href, "aria-current": current }, words);
  };
  document.getElementById("bar").replaceChildren(...Object.entries(TABS).map(tab));
}

/** Draws the view of the address, unless another was asked for meanwhile. */
async function show() {
  const view = document.getElementById("view");
  const own = ++turn;
  drawHead();
  drawTabs();
  view.setAttribute("aria-busy", "true");
  const drawn = await Promise.resolve().then(VIEWS[viewName()]).catch((error) => [fault(error)]);
  if (own !== turn) return;
  view.replaceChildren(...drawn);
  view.removeAttribute("aria-busy");
  if (viewName() === "like" || started()) scrollTo(0, view.offsetTop - 60);
}
