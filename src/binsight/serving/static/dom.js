/* Elements of a page: found, made, and told to. */

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** A new element with its properties and children. */
export function make(tag, { dataset = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}

/** A new element of a drawing. */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A bar of a list: its name, its share of the width, and what it says. */
export function bar(name, share, number) {
  const fill = make("span");
  fill.style.inlineSize = `${100 * share}%`;
  return make("li", {},
    make("span", { className: "bar-name", textContent: name }),
    make("span", { className: "bar-track", ariaHidden: "true" }, fill),
    make("span", { className: "bar-number", textContent: number }));
}

/** Names and what they stand for, as the children of a <dl>. */
export const definitions = (pairs) => pairs.map(([name, value, tone]) => make("div", {},
  make("dt", { textContent: name, dataset: tone ? { tone } : {} }), make("dd", { textContent: value })));

/** Show `text`, or hide the element where there is none. */
export function write(id, text) {
  $(id).textContent = text ?? "";
  $(id).hidden = !text;
}

/** Tell a screen reader. */
export function say(text) {
  $("announce").textContent = text;
}

/** Tell everyone. */
export const tell = (text) => write("notice", text);
