// The page asks what is held, and draws itself.

async function start() {
  held = await json("v1/knowledge_bases");
  addEventListener("hashchange", show);
  await show();
}

obeyKeys(KEYS, viewOf);
start().catch((error) => document.getElementById("view").replaceChildren(fault(error)));
