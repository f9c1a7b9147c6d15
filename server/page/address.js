// What is looked at stands in the address, so that back, reload and links work:
// #base=maths&view=browse&source=gsm8k&start=24

const address = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

/** The address with these changes; what is undefined leaves it. */
function addressOf(changes) {
  const all = Object.entries({ ...address(), ...changes });
  return `#${new URLSearchParams(all.filter(([, value]) => !NOTHING.includes(value)))}`;
}

/** No place among the records, as after a change of source or base. */
const NOWHERE = { start: undefined, record: undefined };

function go(changes) {
  location.hash = addressOf(changes);
}

/** What to ask about the records that are looked at. */
const about = () => ({ knowledge_base: baseName(), source: address().source });
