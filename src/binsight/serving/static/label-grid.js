/* Many photos at once: all are of one class but those that are tapped. One at a time comes back when a planted one is missed. */

import { patiently } from "./answering.js";
import { $, make } from "./dom.js";
import { json, picture } from "./lines-api.js";

const KEYS = "123456789abc";

let grid = null; // as it was given
let titles = new Map();
let onClose = () => {};

$("grid-send").addEventListener("click", send);
$("grid-close").addEventListener("click", () => close("One photo at a time."));
document.addEventListener("keydown", (event) => {
  if ($("grid").hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const pressed = event.key.toLowerCase();
  if (pressed === "g") close("One photo at a time.");
  else if (pressed === "enter" && document.activeElement !== $("grid-close")) send();
  else if (KEYS.includes(pressed)) $("tiles").children[KEYS.indexOf(pressed)]?.click();
  else return;
  event.preventDefault();
  event.stopImmediatePropagation();
});

/** Show a grid, and the next ones, until `closed()`; `names` is id → title of each class. Whether there was one. */
export async function openGrid(names, closed) {
  titles = names;
  onClose = closed;
  return next();
}

async function next() {
  grid = (await patiently(() => json("label/grid", {}))).grid;
  if (!grid) return false;
  const pictures = await Promise.all(grid.items.map((id) => patiently(() => picture(`label/items/${id}/photo`)).catch(() => "")));
  release();
  $("tiles").replaceChildren(...grid.items.map((id, place) => tile(id, pictures[place], place)));
  $("grid-title").textContent = `Tap those that are not: ${titles.get(grid.category) ?? grid.category}`;
  $("grid").hidden = false;
  $("grid-title").focus();
  count();
  return true;
}

function tile(id, url, place) {
  const button = make("button", { type: "button", className: "tile", ariaPressed: "false", dataset: { item: id } },
    make("img", { src: url, alt: `Photo ${place + 1}` }),
    make("kbd", { textContent: KEYS[place].toUpperCase(), ariaHidden: "true" }));
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    count();
  });
  return button;
}

const wrong = () => [...$("tiles").querySelectorAll('[aria-pressed="true"]')].map((each) => each.dataset.item);

function count() {
  $("grid-count").textContent = `The other ${grid.items.length - wrong().length} are`;
}

async function send() {
  if (!grid) return;
  const body = { ...grid, wrong: wrong(), event: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` };
  grid = null;
  const { found } = await patiently(() => json("label/grid/answer", body));
  if (!found) close("One of those that were something else was missed. One photo at a time.");
  else if (!(await next())) close("There are no more photos that are alike.");
}

function close(why) {
  grid = null;
  release();
  $("tiles").replaceChildren();
  $("grid").hidden = true;
  onClose(why);
}

function release() {
  for (const image of $("tiles").querySelectorAll("img")) URL.revokeObjectURL(image.src);
}
