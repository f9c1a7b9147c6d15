// Asking the service: with a key where it wants one, and failures as its own sentence.

const KEY = "hone-key"; // in this tab's storage, gone with the tab
const FIRST = "Its operator gives out keys. Yours is kept until this tab is closed.";
let keyAsked = null; // one dialog for all that wait for a key

/** Whether one was given. */
function key(why) {
  keyAsked ??= new Promise((closed) => {
    const dialog = document.getElementById("key-asked");
    document.getElementById("key-why").textContent = why;
    const input = document.getElementById("key");
    input.value = "";
    dialog.addEventListener("close", () => closed(dialog.returnValue && input.value.trim()), {
      once: true,
    });
    dialog.returnValue = ""; // which it stays where the dialog is left by Esc
    dialog.showModal();
  }).then((words) => {
    keyAsked = null;
    if (words) sessionStorage.setItem(KEY, words);
    return Boolean(words);
  });
  return keyAsked;
}

/** `about` goes into the query string, `body` is posted as JSON. */
async function answerOf(path, about, body) {
  const known = sessionStorage.getItem(KEY);
  const given = Object.entries(about).filter(([, value]) => !NOTHING.includes(value));
  const query = given.length ? `?${new URLSearchParams(given)}` : "";
  const how = { headers: known ? { authorization: `Bearer ${known}` } : {} };
  if (body) Object.assign(how, { method: "POST", body: JSON.stringify(body) });
  try {
    return await fetch(path + query, how);
  } catch {
    throw new Error("The server does not answer. Is it running?");
  }
}

/** What was wrong, as the server says it; something in between may have answered for it. */
async function sentence(answer) {
  const said = await answer.json().catch(() => ({}));
  return said.error ?? `The server answered ${answer.status}.`;
}

async function asked(path, about = {}, body = null) {
  const answer = await answerOf(path, about, body);
  if (answer.ok) return answer;
  const said = await sentence(answer);
  const known = sessionStorage.getItem(KEY);
  const again = answer.status === 401 && (await key(known ? said : FIRST));
  if (!again) throw new Error(said);
  return asked(path, about, body);
}

const json = async (...how) => (await asked(...how)).json();
