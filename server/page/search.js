// Searching by what is pasted: a text, or an ARC task in its JSON. It is kept as long as the page
// is open, and stands in no address.

const embeds = document.body.dataset.embeds === "yes";
const pasted = { words: "", scope: "", hits: [] };

const NOT_HERE =
  "This server does not embed queries, so none can be pasted here: clients embed them " +
  "and send only vectors. Its operator can allow it with --embed_queries. " +
  "“More like this” works without it.";

const SENT = "It is sent to the server, which embeds it and keeps nothing.";

/** A task where it is one; anything else is text. */
function queryIn(words) {
  try {
    const task = JSON.parse(words);
    if (Array.isArray(task?.train)) return { task: { train: task.train, test: task.test } };
  } catch {
    // not JSON, so text
  }
  return { text: words };
}

/** Hits are of one knowledge base, and of one source or all. */
const scope = () => JSON.stringify(about());

async function find(words) {
  const [asking, { source }] = [scope(), address()];
  const options = { knowledge_base: baseName(), k: LEAF, method: "faiss" };
  const body = { ...queryIn(words), ...options, ...(source && { sources: [source] }) };
  const { hits } = await json("v1/ask", {}, body);
  Object.assign(pasted, { words, scope: asking, hits: hits[0] });
}

/** Enter is a line of a text; with Ctrl or Cmd it searches. */
function submits(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form.requestSubmit();
}

function searchForm(submit) {
  const hint = "A text, or an ARC task as JSON: {\"train\": [...], \"test\": [...]}";
  const how = { id: "words", rows: 6, required: true, spellcheck: "false", onkeydown: submits };
  return el(
    "form",
    { class: "asking", onsubmit: submit },
    el("label", { for: "words" }, "Find records like this"),
    el("textarea", { ...how, placeholder: hint }, pasted.words),
    el("div", {}, el("button", { title: "Ctrl+Enter" }, "Search"), el("span", {}, SENT)),
  );
}

function search() {
  if (!embeds) return [el("p", { class: "nothing" }, NOT_HERE)];
  const found = el("div", { id: "found" }, pasted.scope === scope() && cards(pasted.hits));
  const submit = async (event) => {
    event.preventDefault();
    const button = event.target.querySelector("button");
    button.disabled = true;
    found.setAttribute("aria-busy", "true");
    await find(document.getElementById("words").value).then(
      () => found.replaceChildren(cards(pasted.hits)),
      (error) => found.replaceChildren(fault(error)),
    );
    found.removeAttribute("aria-busy");
    button.disabled = false;
  };
  return [searchForm(submit), found];
}
