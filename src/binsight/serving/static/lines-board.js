/* The dashboard of one line: what the stream says is drawn at once. */

import { $, bar, definitions, make, svg, tell } from "./dom.js";
import { Stream, address, json, lines, showServer } from "./lines-api.js";
import * as words from "./lines-words.js";

const KEPT = 30;
const SHIFTS_MS = 60_000;
const COLOURS = 6;
let about = { lanes: [], classes: [] };
let isAway = false;
let holds = false;
let shiftsDrawn = 0;
let eventsDrawn = false;
const newest = new Map(); // id → piece, the oldest first
const titleOf = (id) => about.classes.find((each) => each.id === id)?.title ?? (id ? id.replaceAll("_", " ") : "Not recognised");
const colourOf = (number) => {
  const place = about.lanes.findIndex((lane) => lane.number === number);
  return place < 0 ? "rest" : String(place % COLOURS);
};

/* --- the stream ------------------------------------------------------------------------------------------------ */

const handlers = {
  anew({ overview, newest: pieces }) {
    newest.clear();
    [...pieces].reverse().forEach(remember);
    drawOverview(overview);
    drawPieces();
    drawShifts();
    drawEvents();
  },
  overview(overview) {
    drawOverview(overview);
    if (Date.now() - shiftsDrawn > SHIFTS_MS) drawShifts();
  },
  pieces(pieces) {
    pieces.forEach(remember);
    drawPieces();
  },
  alarm(alarm) {
    $("alarm-news").textContent = alarm.active ? `Alarm: ${words.alarmName(alarm.code)}. ${words.alarmDetail(alarm)}` : `Over: ${words.alarmName(alarm.code)}.`;
    drawEvents();
  },
  frame: drawFrame,
};

start();

async function start() {
  try {
    about = (await lines()).find((each) => each.name === document.body.dataset.line) ?? about;
  } catch {
    setTimeout(start, 2_000);
    showAway(true);
    return;
  }
  new Stream(address("events"), {
    onEvent: (name, data) => handlers[name]?.(data),
    onState: (state) => {
      if (state !== "paused") showAway(state === "away");
    },
  });
}

function showAway(away) {
  showServer(away ? "away" : "ready", away ? "No connection" : "Live");
  if (away === isAway) return;
  isAway = away;
  document.body.classList.toggle("stale", away);
  tell(away ? "There is no connection to the server. What you see is old; it goes on by itself when the server is back." : "");
}

/* --- the belt -------------------------------------------------------------------------------------------------- */

function drawFrame(frame) {
  $("frame").src = `data:image/jpeg;base64,${frame.jpeg}`;
  $("frame").hidden = false;
  $("no-frame").hidden = true;
  $("belt").style.aspectRatio = `${frame.width} / ${frame.height}`;
  const { left, top, right, bottom } = frame.line;
  const shapes = [svg("line", { x1: 1000 * left, y1: 1000 * top, x2: 1000 * right, y2: 1000 * bottom, class: "trigger" })];
  const labels = [];
  for (const box of frame.boxes) {
    const lane = !box.id || box.category === null ? "waiting" : colourOf(box.lane);
    const rect = svg("rect", { x: 1000 * box.left, y: 1000 * box.top, width: 1000 * (box.right - box.left), height: 1000 * (box.bottom - box.top) });
    rect.dataset.lane = lane;
    shapes.push(rect);
    if (box.id) labels.push(label(box, lane));
  }
  $("boxes").replaceChildren(...shapes);
  $("labels").replaceChildren(...labels);
}

function label(box, lane) {
  const textContent = box.category ? `#${box.seq} ${titleOf(box.category)}${box.decision === "review" ? "?" : ""}` : `#${box.seq}`;
  const element = make("a", { href: address(`piece/${box.id}`), tabIndex: -1, textContent, dataset: { lane } });
  if (box.left > 0.7) element.style.right = `${100 * (1 - box.right)}%`; // or its end would be cut off
  else element.style.left = `${100 * box.left}%`;
  element.style.top = `${100 * box.top}%`;
  return element;
}

/* --- figures --------------------------------------------------------------------------------------------------- */

function drawOverview(overview) {
  const { text, tone } = words.stateOf(overview);
  $("state").textContent = text;
  $("state").dataset.tone = tone;
  $("shift").textContent = `${overview.shift.name}, since ${words.moment(overview.shift.began)}`;
  $("belt").classList.toggle("elsewhere", !overview.here);
  if (!overview.here) $("no-frame").textContent = "This line runs in another program: its picture is shown by that one.";
  $("camera").textContent = cameraWords(overview);
  const { p50, p95, p99 } = overview.latency_ms;
  const figures = [
    ["Pieces", words.count(overview.pieces)],
    ["A minute", words.count(overview.per_minute)],
    ["To review", words.share(overview.review_share)],
    ["Latency p50", words.ms(p50)],
    ["p95", words.ms(p95)],
    ["p99", words.ms(p99)],
  ];
  $("numbers").replaceChildren(...definitions(figures));
  const ends = Object.entries(overview.ends).sort((a, b) => b[1] - a[1]);
  $("ends").replaceChildren(...definitions(ends.map(([status, number]) => [words.ended(status), words.count(number), words.toneOf(status)])));
  $("lanes").replaceChildren(...overview.lanes.map(laneCard));
  drawClasses(overview);
  drawAlarms(overview.alarms);
}

function cameraWords({ state, remote }) {
  if (!state) return remote?.silent_s ? `Nothing heard for ${words.ms(1000 * remote.silent_s)}` : "";
  const parts = [`Camera: ${state.camera}`];
  if (state.frame_age_ms !== null) parts.push(`picture ${words.ms(state.frame_age_ms)} old`);
  if (state.ack_rtt_ms !== null) parts.push(`sorter answers in ${words.ms(state.ack_rtt_ms)}`);
  return [...parts, `model ${state.model}`].join(" · ");
}

function laneCard(lane) {
  const name = lane.number === 0 ? "Belt's end" : lane.name || `Lane ${lane.number}`;
  return make("li", { className: "lane", dataset: { lane: colourOf(lane.number) } },
    make("h3", {}, make("span", { className: "lane-number", textContent: lane.number }), name),
    make("p", { className: "lane-count" }, make("strong", { textContent: words.count(lane.pieces) }), ` ${lane.pieces === 1 ? "piece" : "pieces"}, ${words.count(lane.per_minute)} a minute`),
    purityBar(lane),
    make("p", { className: "fine", textContent: `Purity: ${words.purityWords(lane.purity, lane.purity_target)}` }),
    make("p", { className: "fine contents", textContent: lane.categories.map(titleOf).join(", ") || "what no lane takes" }),
  );
}

/* From 50 to 100 %, where it matters: the interval, the estimate, and what is wanted. */
function purityBar({ purity, purity_target: target }) {
  const bar = svg("svg", { class: "purity", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  const x = (value) => Math.max(0, Math.min(100, 200 * (value - 0.5)));
  bar.append(svg("rect", { class: "ground", x: 0, y: 3, width: 100, height: 4, rx: 2 }));
  if (purity && purity.purity !== null) {
    bar.append(svg("rect", { class: "range", x: x(purity.low), y: 3, width: Math.max(0.8, x(purity.high) - x(purity.low)), height: 4 }));
    bar.append(svg("rect", { class: "point", x: Math.min(98.6, x(purity.purity)), y: 1, width: 1.4, height: 8 }));
  }
  if (target !== null && target !== undefined) bar.append(svg("rect", { class: "target", x: Math.min(99.2, x(target)), y: 0, width: 0.8, height: 10 }));
  return bar;
}

function drawClasses({ categories, pieces }) {
  $("no-classes").hidden = categories.length > 0;
  $("classes").replaceChildren(...categories.map((each) => bar(titleOf(each.category), each.pieces / pieces, `${words.count(each.pieces)}`)));
}

function drawAlarms(alarms) {
  $("alarms").hidden = alarms.length === 0;
  $("alarm-list").replaceChildren(...alarms.map((alarm) => make("li", {}, make("strong", { textContent: words.alarmName(alarm.code) }), ` ${words.alarmDetail(alarm)} `, make("span", { className: "fine", textContent: `since ${words.clock(alarm.at)}` }))));
}

/* --- pieces ---------------------------------------------------------------------------------------------------- */

function remember(piece) {
  newest.set(piece.id, piece); // one that is there keeps its place
  while (newest.size > KEPT) newest.delete(newest.keys().next().value);
}

$("hold").addEventListener("click", () => {
  holds = !holds;
  $("hold").setAttribute("aria-pressed", String(holds));
  drawPieces();
});

function drawPieces() {
  $("no-pieces").hidden = newest.size > 0;
  const list = $("pieces");
  if (holds || list.contains(document.activeElement)) return; // nothing moves under a finger or the keyboard's focus
  list.replaceChildren(...[...newest.values()].sort((a, b) => b.seq - a.seq).map(pieceRow));
}

$("pieces").addEventListener("focusout", () => setTimeout(drawPieces));

function pieceRow(piece) {
  return make("li", {}, make("a", { href: address(`piece/${piece.id}`) },
    make("span", { className: "piece-number", textContent: `#${piece.seq}` }),
    make("span", { className: "piece-name", textContent: piece.category ? titleOf(piece.category) : "…" }),
    make("span", { className: "bar-number", textContent: piece.confidence === null ? "" : words.share(piece.confidence, 0) }),
    make("span", { className: "chip", textContent: words.ended(piece.status), dataset: { tone: words.toneOf(piece.status) } }),
  ));
}

/* --- what changes seldom ---------------------------------------------------------------------------------------- */

async function drawShifts() {
  shiftsDrawn = Date.now();
  const shifts = await json(address("shifts")).then((answer) => answer.shifts, () => null);
  if (!shifts) return;
  $("no-shifts").hidden = shifts.length > 0;
  $("shifts").hidden = shifts.length === 0;
  if (!shifts.length) return;
  const lanes = shifts[0].lanes.map((lane) => (lane.number === 0 ? "Belt's end" : (about.lanes.find((each) => each.number === lane.number)?.name || `Lane ${lane.number}`)));
  const heads = ["Shift", "Pieces", "To review", "p99", "Lost", ...lanes];
  $("shift-head").replaceChildren(...heads.map((text) => make("th", { scope: "col", textContent: text })));
  $("shift-rows").replaceChildren(...shifts.map(shiftRow));
}

function shiftRow(shift) {
  const lost = ["late", "refused", "unknown", "dropped"].reduce((sum, status) => sum + (shift.ends[status] ?? 0), 0);
  const cells = [words.count(shift.pieces), words.share(shift.review_share), words.ms(shift.latency_ms.p99), words.count(lost)];
  const lanes = shift.lanes.map(({ pieces, purity }) => {
    const known = purity && purity.purity !== null;
    return make("td", {}, make("span", { textContent: words.count(pieces) }), make("span", { className: "fine", textContent: known ? `${words.share(purity.purity)} (${words.share(purity.low)} to ${words.share(purity.high)})` : "not audited" }));
  });
  const head = make("th", { scope: "row" }, make("span", { textContent: shift.name }), make("span", { className: "fine", textContent: words.moment(shift.began) }));
  return make("tr", {}, head, ...cells.map((textContent) => make("td", { textContent })), ...lanes);
}

async function drawEvents() {
  if (eventsDrawn === "asking") return;
  eventsDrawn = "asking";
  const events = await json(address("alarms?limit=20")).then((answer) => answer.events, () => null);
  eventsDrawn = true;
  if (!events) return;
  $("no-events").hidden = events.length > 0;
  $("events").replaceChildren(...events.map((event) => {
    const chip = make("span", { className: "chip", textContent: event.active ? "came" : "went", dataset: { tone: event.active ? "failed" : "compost" } });
    return make("li", {}, make("span", { className: "fine", textContent: words.moment(event.at) }), chip, make("span", { textContent: `${words.alarmName(event.code)}${event.active && words.alarmDetail(event) ? `: ${words.alarmDetail(event)}` : ""}` }));
  }));
}
