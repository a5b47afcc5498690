/* Draws what is known: the photo on the stage, and the tiles of the session. */

import { $, bar, make, svg, write } from "./dom.js";
import { failureWords, isHopeless, percent, reasonFor, retakeFor, sentence, streamOf, waitWords } from "./words.js";

const SHOWN_BARS = 10;
const ROTS = {
  biodegradable: { text: "Biodegradable", icon: "i-leaf" },
  non_biodegradable: { text: "Not biodegradable", icon: "i-solid" },
};

/** The photo `entry` in full. `classOf(result, id)` gives a class of the taxonomy, or undefined. */
export function drawStage(entry, { classOf, canCorrect, showsAll }) {
  const part = entry.state === "done" ? "answer" : entry.state === "failed" ? "failed" : "busy";
  for (const name of ["answer", "failed", "busy"]) $(name).hidden = name !== part;
  $("stage").hidden = false;
  $("stage").setAttribute("aria-busy", String(part === "busy"));
  drawPhoto(entry, classOf);
  if (part === "busy") drawBusy(entry);
  if (part === "failed") drawFailed(entry);
  if (part === "answer") drawAnswer(entry, { classOf, canCorrect, showsAll });
  else setTone(part === "failed" ? "failed" : "busy");
}

function setTone(tone) {
  $("verdict").dataset.tone = tone;
}

function drawPhoto(entry, classOf) {
  const isHot = entry.showsHeat && typeof entry.heat === "string";
  if ($("photo").getAttribute("src") !== entry.preview && entry.preview) $("photo").src = entry.preview;
  $("photo").alt = `Your photo ${entry.name}`;
  $("photo").hidden = isHot || !entry.isShowable;
  $("heat").hidden = !isHot;
  if (isHot) {
    $("heat").src = entry.heat;
    $("heat").alt = `Heat map: the warmer, the more it spoke for ${titleOf(entry.result, classOf)}`;
  } else {
    $("heat").removeAttribute("src");
  }
  $("no-preview").hidden = entry.isShowable;
  $("no-preview-text").textContent = entry.state === "failed" ? "There is nothing to show." : "This browser cannot show this kind of photo; the server may still read it.";
  $("frame").classList.toggle("looking", !["done", "failed"].includes(entry.state));
  $("source").textContent = isHot ? `Warm: what spoke for ${titleOf(entry.result, classOf)}` : entry.name;
  $("source").title = entry.name;
  $("heat-toggle").hidden = entry.state !== "done" || !entry.file || entry.result.onDevice === true;
  $("heat-toggle").setAttribute("aria-pressed", String(entry.showsHeat));
  $("heat-label").textContent = entry.showsHeat && !isHot ? "Drawing…" : "Heat map";
}

function drawBusy(entry) {
  const { wait } = entry;
  const words = wait ? waitWords(wait.why, wait.seconds, wait.attempt) : busyWords(entry);
  write("busy-title", words.title);
  write("busy-text", words.text);
  $("progress").hidden = Boolean(wait);
  // Without a value the bar shows that something goes on, not how much.
  if (entry.state === "sending" && entry.progress < 1) $("progress").value = entry.progress;
  else $("progress").removeAttribute("value");
  $("try-now").hidden = !wait;
}

function busyWords({ state, progress }) {
  if (state === "waiting") return { title: "Getting ready…", text: "" };
  if (progress < 1) return { title: "Sending…", text: `${Math.floor(100 * progress)} % of the photo is there.` };
  return { title: "Looking…", text: "" };
}

function drawFailed({ failure }) {
  const { title, advice } = failureWords(failure);
  write("failed-title", title);
  write("failed-text", advice);
  // Where the page knows the fault, its own words say more to most people.
  const speaker = failure.status ? "The server says" : "The browser says";
  write("failed-detail", failure.detail && !isHopeless(failure) ? `${speaker}: ${failure.detail}` : "");
  $("again").hidden = isHopeless(failure);
  $("another").hidden = !isHopeless(failure);
}

function titleOf(result, classOf) {
  return classOf(result, result.predicted_category)?.title ?? sentence(result.predicted_category);
}

function drawAnswer(entry, { classOf, canCorrect, showsAll }) {
  const { result } = entry;
  const isUnsure = result.decision === "review";
  const onDevice = result.onDevice === true;
  const title = titleOf(result, classOf);
  const stream = streamOf(result.stream);
  setTone(isUnsure ? "unsure" : stream.tone);
  $("stream-icon").setAttribute("href", isUnsure ? "#i-unsure" : "#i-bin");
  $("stream").textContent = isUnsure ? "Have a look yourself" : stream.title;
  $("category").textContent = isUnsure ? "Not sure" : title;
  write("reason", isUnsure && reasonFor(result, title));
  drawFacts(result, isUnsure);
  write("advice", isUnsure ? retakeFor(result) : result.advice);
  drawBars(entry, classOf, showsAll);
  $("wrong").hidden = !canCorrect || !entry.file || onDevice;
  $("curl").hidden = onDevice;
  $("wrong-label").textContent = entry.corrected ? "Change your answer" : isUnsure ? "Tell what it is" : "This is wrong";
  const corrected = entry.corrected && (classOf(result, entry.corrected)?.title ?? sentence(entry.corrected));
  write("thanks", corrected && `Thank you. Stored as: ${corrected}.`);
  $("kept-none").hidden = Boolean(entry.file);
  const time = result.timing_ms?.infer;
  $("made-by").textContent = `${result.model.name} ${result.model.version}` + (time ? ` · ${Math.max(1, Math.round(time))} ms` : "") + (onDevice ? " · on this device" : "");
}

function drawFacts(result, isUnsure) {
  const facts = [];
  if (!isUnsure) facts.push(fact(`${percent(result.confidence)} sure`));
  const rots = ROTS[result.biodegradability];
  if (rots && !isUnsure) facts.push(fact(rots.text, rots.icon));
  $("facts").replaceChildren(...facts);
  $("facts").hidden = !facts.length;
}

function fact(text, icon) {
  const glyph = icon && svg("svg", { "aria-hidden": "true" }, svg("use", { href: `#${icon}` }));
  return make("li", {}, ...(glyph ? [glyph] : []), text);
}

function drawBars(entry, classOf, showsAll) {
  const { result } = entry;
  const key = `${entry.id}/${showsAll}/${Boolean(classOf(result, result.predicted_category))}`;
  if ($("bars").dataset.key === key) return; // drawn; drawing again would start the animation again
  $("bars").dataset.key = key;
  const scores = Object.entries(result.confidence_scores).sort((a, b) => b[1] - a[1]);
  const shown = showsAll ? scores : scores.slice(0, SHOWN_BARS);
  $("bars").replaceChildren(...shown.map(([id, p]) => bar(classOf(result, id)?.title ?? sentence(id), p, percent(p))));
  write("more", shown.length < scores.length ? `Show all ${scores.length}` : "");
}

/** The tiles of the session: made once per entry, then only updated, so that focus stays where it is. */
export class Tiles {
  constructor(onSelect) {
    this.byId = new Map();
    this.onSelect = onSelect;
  }

  draw(entries, current, classOf) {
    const wanted = new Set(entries.map((e) => e.id));
    for (const [id, tile] of this.byId) {
      if (!wanted.has(id)) {
        tile.remove();
        this.byId.delete(id);
      }
    }
    entries.forEach((entry, position) => {
      const tile = this.byId.get(entry.id) ?? this.make(entry);
      if ($("tiles").children[position] !== tile) $("tiles").insertBefore(tile, $("tiles").children[position] ?? null);
      fillTile(tile.firstElementChild, entry, entry === current, classOf);
    });
    $("session").hidden = !entries.length;
    $("session-count").textContent = entries.length === 1 ? "1 photo" : `${entries.length} photos`;
  }

  make(entry) {
    const tile = $("tile").content.firstElementChild.cloneNode(true);
    tile.firstElementChild.addEventListener("click", () => this.onSelect(entry));
    this.byId.set(entry.id, tile);
    return tile;
  }
}

function fillTile(button, entry, isCurrent, classOf) {
  const image = button.querySelector("img");
  const source = entry.thumb ?? (entry.isShowable ? entry.preview : null);
  if (source && image.getAttribute("src") !== source) image.src = source;
  image.hidden = !source;
  const [title, text, tone] = tileWords(entry, classOf);
  button.querySelector(".tile-title").textContent = title;
  button.querySelector(".tile-text").textContent = text;
  button.dataset.tone = tone;
  button.title = entry.name;
  if (isCurrent) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}

function tileWords(entry, classOf) {
  if (entry.state === "failed") return [failureWords(entry.failure).title, entry.name, "failed"];
  if (entry.state !== "done") return [entry.wait ? "Waiting…" : "Looking…", entry.name, "busy"];
  const { result } = entry;
  const title = titleOf(result, classOf);
  if (result.decision === "review") return ["Not sure", `${title}?`, "unsure"];
  return [title, percent(result.confidence), streamOf(result.stream).tone];
}
