// Making elements: el("p", {class: "note"}, "text", child), and the same for SVG.

const SVG = "http://www.w3.org/2000/svg";
const NOTHING = [null, undefined, false, ""]; // children and attributes that are left out

function furnished(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (NOTHING.includes(value)) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => !NOTHING.includes(child)));
  return node;
}

const el = (tag, attributes = {}, ...children) =>
  furnished(document.createElement(tag), attributes, children);

const svg = (tag, attributes = {}, ...children) =>
  furnished(document.createElementNS(SVG, tag), attributes, children);

const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;

const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
