/* Draws a lesson: the classes with their photos, and what came of teaching. */

import { get } from "./api.js";
import { $, make } from "./dom.js";
import { countOf, figureRows, noteOf } from "./teach-words.js";

const copyOf = (id) => $(id).content.firstElementChild.cloneNode(true);

/** Small pictures, fetched when they come into view: each needs the key, which an address cannot carry. */
export class Thumbnails {
  constructor(address) {
    this.address = address;
    this.known = new Map();
    this.watcher = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        this.watcher.unobserve(target);
        this.load(target);
      }
    });
  }

  show(image, photo) {
    image.dataset.photo = photo;
    if (this.known.has(photo)) image.src = this.known.get(photo);
    else this.watcher.observe(image);
  }

  async load(image) {
    const { photo } = image.dataset;
    try {
      if (!this.known.has(photo)) this.known.set(photo, URL.createObjectURL(await (await get(`${this.address()}/photos/${photo}`)).blob()));
      image.src = this.known.get(photo);
    } catch {
      // it was removed, or the server is away: it comes with the next drawing
    }
  }
}

/** One card for each class; `on` has what its buttons do. Cards whose photos stay the same are left as they are. */
export class ClassCards {
  constructor(thumbnails, on) {
    Object.assign(this, { thumbnails, on });
    this.cards = new Map();
  }

  draw({ classes, enough }, isBusy) {
    for (const [id, card] of this.cards) {
      if (classes.some((c) => c.id === id)) continue;
      card.remove();
      this.cards.delete(id);
    }
    classes.forEach((each, place) => {
      const card = this.cards.get(each.id) ?? this.make(each);
      if ($("classes").children[place] !== card) $("classes").insertBefore(card, $("classes").children[place] ?? null);
      this.fill(card, each, enough, isBusy);
    });
  }

  make({ id }) {
    const card = copyOf("class-card");
    card.dataset.category = id;
    card.querySelector(".take").addEventListener("click", () => this.on.take(id));
    card.querySelector(".choose").addEventListener("click", () => this.on.choose(id));
    card.querySelector(".drop-class").addEventListener("click", () => this.on.dropClass(id));
    this.cards.set(id, card);
    return card;
  }

  fill(card, { id, title, is_new: isNew, photos }, enough, isBusy) {
    const { text, tone } = countOf(photos.length, enough);
    const chip = card.querySelector(".chip");
    card.querySelector("h3").textContent = isNew ? `${title} (new)` : title;
    chip.textContent = text;
    chip.dataset.tone = tone;
    card.querySelector(".take").setAttribute("aria-label", `Camera: take photos of ${title}`);
    card.querySelector(".choose").setAttribute("aria-label", `Choose photos of ${title}`);
    card.querySelector(".drop-class").hidden = !isNew || photos.length > 0;
    const shots = card.querySelector(".shots");
    const drawn = [...shots.children].map((li) => li.dataset.photo);
    if (drawn.join() !== photos.join()) this.fillShots(shots, id, photos);
    [...shots.children].forEach((li, i) => li.querySelector("button").setAttribute("aria-label", `Remove photo ${i + 1} of ${title}`));
    for (const button of card.querySelectorAll("button")) button.disabled = isBusy;
  }

  fillShots(shots, id, photos) {
    const there = new Map([...shots.children].map((li) => [li.dataset.photo, li]));
    const focused = [...shots.children].indexOf(document.activeElement?.closest(".shots li"));
    shots.replaceChildren(...photos.map((photo) => there.get(photo) ?? this.shot(id, photo)));
    if (focused >= 0) (shots.children[Math.min(focused, photos.length - 1)]?.querySelector("button") ?? shots.closest(".class-card").querySelector(".choose")).focus();
  }

  shot(id, photo) {
    const li = copyOf("shot");
    li.dataset.photo = photo;
    this.thumbnails.show(li.querySelector("img"), photo);
    li.querySelector("button").addEventListener("click", () => this.on.move(photo, null));
    return li;
  }
}

/** What came of teaching. */
export function drawResult(lesson, thumbnails, on, isBusy) {
  const { result, classes } = lesson;
  $("result").hidden = !result;
  if (!result) return;
  const { figures } = result;
  const titleOf = (id) => classes.find((c) => c.id === id)?.title ?? id;
  $("result-state").textContent = result.is_served ? "in use" : "not in use";
  $("result-state").dataset.tone = result.is_served ? "compost" : "busy";
  $("result-note").textContent = noteOf(result);
  $("result-note").hidden = !noteOf(result);
  rows($("figures"), figureRows(figures));
  rows($("by-class"), figures.classes.map((c) => [titleOf(c.name), photosOf(c), beforeOf(c), `${c.right} of ${c.photos}`]));
  figures.classes.forEach((c, i) => c.wish && $("by-class").tBodies[0].rows[i].cells[0].append(Object.assign(document.createElement("span"), { className: "fine", textContent: wishOf(c) })));
  const buttons = (photo, moves) => [...moves.map((to) => button(`Move to ${titleOf(to)}`, () => on.move(photo, to))), button("Remove", () => on.move(photo, null))];
  const there = new Map(classes.flatMap((c) => c.photos.map((photo) => [photo, c.id])));
  odd("suspects", figures.suspects.filter((s) => there.get(photoOf(s.path)) === s.label).map((s) => ({
    photo: photoOf(s.path),
    text: `In ${titleOf(s.label)}, but looks like ${titleOf(s.seems)}.`,
    buttons: buttons(photoOf(s.path), [s.seems]),
  })), thumbnails, isBusy);
  odd("left-out", Object.entries(figures.left_out).filter(([path]) => there.has(photoOf(path))).map(([path, why]) => ({
    photo: photoOf(path), text: `In ${titleOf(there.get(photoOf(path)))}: ${why}.`, buttons: buttons(photoOf(path), []),
  })), thumbnails, isBusy);
  $("use").hidden = result.is_served;
  $("kept").textContent = `Version ${result.version}, taught from ${lesson.version}. It is kept on the server as ${result.file}`;
}

const photoOf = (path) => path.split("/").pop().split(".")[0];
const photosOf = (c) => (c.distinct < c.photos ? `${c.photos} (${c.distinct} different)` : `${c.photos}`);
const beforeOf = (c) => (c.is_new ? "–" : `${c.right_before} of ${c.photos}`);
const wishOf = (c) => c.wish.slice(c.wish.indexOf(": ") + 2); // without the class's name

function rows(table, values) {
  table.tBodies[0].replaceChildren(...values.map((cells) => {
    return make("tr", {}, ...cells.map((textContent, i) => (i ? make("td", { textContent }) : make("th", { textContent, scope: "row" }))));
  }));
}

function odd(id, entries, thumbnails, isBusy) {
  const list = $(id).querySelector("ul");
  const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  $(id).hidden = !entries.length;
  list.replaceChildren(...entries.map(({ photo, text, buttons }) => {
    const li = copyOf("odd");
    thumbnails.show(li.querySelector("img"), photo);
    li.querySelector("p").textContent = text;
    li.querySelector(".row").append(...buttons);
    for (const each of buttons) each.disabled = isBusy;
    return li;
  }));
  if (focused >= 0) ([...list.querySelectorAll("button")].slice(0, focused + 1).pop() ?? $("result-title")).focus();
}

function button(text, action) {
  const made = make("button", { type: "button", className: "button small", textContent: text });
  made.addEventListener("click", action);
  return made;
}
