/* The page of one piece: its picture, its scores, why it went where it went, and when. Follows it until its end. */

import { $, bar, definitions, make, tell } from "./dom.js";
import { address, json, lines, picture, showServer } from "./lines-api.js";
import * as words from "./lines-words.js";

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
    tell("");
    draw(piece);
    if (piece.picture && !shown) await drawPictures(piece);
    if (OPEN.has(piece.status) && Date.now() - began < FOLLOWED_MS) setTimeout(load, AGAIN_MS);
  } catch (refusal) {
    tell(refusal.status === 404 ? "This piece is not in the ledger. It may be too old to be kept." : refusal.message);
    showServer(refusal.status ? "ready" : "away", refusal.status ? "Live" : "No connection");
    if (!refusal.status || refusal.status >= 500) setTimeout(load, 3 * AGAIN_MS);
  }
}

async function drawPictures({ views, times }) {
  shown = true;
  const of = `pieces/${encodeURIComponent(id)}`;
  $("views-panel").hidden = views.length === 0;
  $("views").replaceChildren(...views.map((view, place) => viewCard(view, place, times[0].at)));
  await Promise.all([[$("picture"), "picture"], ...[...$("views").querySelectorAll("img")].map((img, place) => [img, `views/${place + 1}`])].map(async ([img, name]) => {
    img.src = await picture(address(`${of}/${name}`));
  }));
  $("picture").hidden = false;
  $("no-picture").hidden = true;
}

function viewCard(view, place, captured) {
  const before = new Date(captured) - new Date(view.at);
  return make("li", { dataset: { tone: view.voted ? "compost" : "unsure" } },
    make("img", { alt: `View ${place + 1}` }),
    make("h3", { textContent: view.category ? `${titleOf(view.category)} ${words.share(view.scores[0].probability)}` : "–" }),
    make("p", { className: "fine", textContent: words.ofView(view) }),
    make("p", { className: "fine", textContent: `${words.exactly(view.at)}, ${before > 0 ? `${words.ms(before)} before the deciding picture` : "the deciding picture"}` }),
    make("ol", { className: "bars" }, ...view.scores.slice(1, 4).map(scoreBar)),
  );
}

function titleOf(category) {
  return about.classes.find((each) => each.id === category)?.title ?? category;
}

const scoreBar = ({ category, probability }) => bar(titleOf(category), probability, words.share(probability));

function draw(piece) {
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
  $("facts").replaceChildren(...definitions(facts));
  $("times").replaceChildren(...piece.times.map(({ step, at, after_ms: after }) => make("li", {}, make("strong", { textContent: words.stepOf(step) }), make("span", { className: "fine", textContent: `${words.exactly(at)}${after ? `, ${words.ms(after)} after capture` : ""}` }))));
  $("no-scores").hidden = piece.scores.length > 0;
  $("scores").replaceChildren(...piece.scores.map(scoreBar));
  $("audit").textContent = auditWords(piece.audit);
}

function auditWords({ probability, true_category: category, by, at }) {
  if (category) return `${by} says it is ${category === "other" ? "something else" : titleOf(category)} (${words.moment(at)}).`;
  return probability === null ? "Not drawn for the audit." : `Drawn for the audit, with probability ${words.share(probability, 0)}; nobody has labelled it yet.`;
}
