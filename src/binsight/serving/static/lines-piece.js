/* The page of one piece: its picture, its scores, why it went where it went, and when. Follows it until its end. */

import { address, json, lines, picture, showServer } from "./lines-api.js";
import * as words from "./lines-words.js";

const $ = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const id = decodeURIComponent(window.location.pathname.split("/").pop());
const OPEN = new Set(["seen", "decided", "commanded", "acknowledged"]);
const AGAIN_MS = 1_000;
const FOLLOWED_MS = 15_000; // who never confirms leaves it acknowledged
const began = Date.now();
let about = null;
let shown = false;

load();

async function load() {
  try {
    about ??= (await lines()).find((each) => each.name === document.body.dataset.line);
    const piece = await json(address(`pieces/${encodeURIComponent(id)}`));
    showServer("ready", "Live");
    $("notice").hidden = true;
    draw(piece);
    if (piece.picture && !shown) await drawPicture();
    if (OPEN.has(piece.status) && Date.now() - began < FOLLOWED_MS) setTimeout(load, AGAIN_MS);
  } catch (refusal) {
    $("notice").hidden = false;
    $("notice").textContent = refusal.status === 404 ? "This piece is not in the ledger. It may be too old to be kept." : refusal.message;
    showServer(refusal.status ? "ready" : "away", refusal.status ? "Live" : "No connection");
    if (!refusal.status || refusal.status >= 500) setTimeout(load, 3 * AGAIN_MS);
  }
}

async function drawPicture() {
  shown = true;
  $("picture").src = await picture(address(`pieces/${encodeURIComponent(id)}/picture`));
  $("picture").hidden = false;
  $("no-picture").hidden = true;
}

function draw(piece) {
  const titleOf = (category) => about.classes.find((each) => each.id === category)?.title ?? category;
  const title = titleOf(piece.category);
  const lane = words.laneName(piece.lane, about.lanes);
  $("piece").setAttribute("aria-busy", "false");
  $("piece-title").textContent = piece.category ? `#${piece.seq} ${title}` : `#${piece.seq}`;
  document.title = `#${piece.seq} · ${document.body.dataset.line} · binsight`;
  $("why").textContent = words.why(piece, { title, lane });
  const facts = [
    ["Status", words.ended(piece.status)],
    ["Lane", lane],
    ["Decision", piece.decision === "review" ? "a person should look" : (piece.decision ?? "–")],
    ["Views that voted", words.count(piece.frames)],
    ["Latency", words.ms(piece.latency_ms)],
    ["Encoder", piece.encoder === null ? "–" : words.count(piece.encoder)],
    ["Fires at", piece.target === null ? "–" : words.count(piece.target)],
    ["Model", piece.model ?? "–"],
    ["Shift", piece.shift ?? "–"],
    ["Id", piece.id],
  ];
  $("facts").replaceChildren(...facts.map(([name, value]) => make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))));
  $("times").replaceChildren(...piece.times.map(({ step, at, after_ms: after }) => make("li", {}, make("strong", { textContent: words.stepOf(step) }), make("span", { className: "fine", textContent: `${words.clock(at)}${after ? `, ${words.ms(after)} after capture` : ""}` }))));
  $("no-scores").hidden = piece.scores.length > 0;
  $("scores").replaceChildren(...piece.scores.map(({ category, probability }) => {
    const fill = make("span");
    fill.style.width = `${100 * probability}%`;
    return make("li", {}, make("span", { className: "bar-name", textContent: titleOf(category) }), make("span", { className: "bar-track" }, fill), make("span", { className: "bar-number", textContent: words.share(probability) }));
  }));
  $("audit").textContent = auditWords(piece.audit, titleOf);
}

function auditWords({ probability, true_category: category, by, at }, titleOf) {
  if (category) return `${by} says it is ${category === "other" ? "something else" : titleOf(category)} (${words.moment(at)}).`;
  return probability === null ? "Not drawn for the audit." : `Drawn for the audit, with probability ${words.share(probability, 0)}; nobody has labelled it yet.`;
}
