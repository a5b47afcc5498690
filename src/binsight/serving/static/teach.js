/* The page that teaches a model this camera. The lesson is on the server: what is drawn here is what it says. */

import { Watch, get, getJson, post } from "./api.js";
import { Camera } from "./camera.js";
import { $, make, say, tell, write } from "./dom.js";
import { takeIn } from "./intake.js";
import { withKey } from "./key.js";
import { Sending } from "./teach-sending.js";
import { ClassCards, Thumbnails, drawResult } from "./teach-view.js";
import { faultOf, idOf, progressOf, summaryOf } from "./teach-words.js";
import { waiting } from "./words.js";

const ASK_AGAIN_MS = 700;
const MOST_REFUSED = 50; // lines
const PASSING = new Set(["unreachable", "loading", "draining", "unexpected"]);
const SERVER = { ready: "Ready", starting: "Starting", away: "No connection" };

let lesson = null;
let category = null; // the class that photos are being taken of
let taken = 0;
let changing = 0; // calls that change the lesson, under way or waiting for each other
let changes = Promise.resolve();
let asking; // the timer for the next look
let isAway = false;
const refused = [];

const address = () => `admin/models/${encodeURIComponent($("model").value)}/lesson`;
const titleOf = (id) => lesson.classes.find((c) => c.id === id)?.title ?? id;
const thumbnails = new Thumbnails(address);
const on = { take, choose, move, dropClass: (id) => change("classes", { id, remove: true }, "The class is removed.") };
const cards = new ClassCards(thumbnails, on);
const sending = new Sending({ address, maxBytes: Number(document.body.dataset.maxBytes) || Infinity, onChange: sent, onRefused: refuse });
const camera = new Camera({
  onPhoto: (file) => {
    taken += 1;
    add([file], category);
    camera.say(`${taken} taken of ${titleOf(category)}. Now another piece, or close.`);
  },
  onChoose: () => $("files").click(),
  stays: true,
});

/* --- the lesson ----------------------------------------------------------------------------------------------- */

async function load() {
  clearTimeout(asking);
  try {
    lesson = await withKey(() => getJson(address()));
    if (isAway) tell("");
    isAway = false;
    $("locked").hidden = true;
  } catch (failure) {
    isAway = true;
    $("locked").hidden = failure.code !== "unauthorized";
    if (failure.code === "unauthorized") tell("Teaching needs an admin key: it changes what everyone gets.");
    else tell(failure.code === "unreachable" ? "There is no connection to the server. The lesson is kept there." : faultOf(failure));
    if (PASSING.has(failure.code)) {
      watch.ask();
      asking = setTimeout(load, 3 * ASK_AGAIN_MS);
    }
    return;
  }
  draw();
  if (lesson.progress) asking = setTimeout(load, ASK_AGAIN_MS);
}

function draw() {
  const { progress, result } = lesson;
  const isBusy = Boolean(progress) || changing > 0;
  $("lesson").hidden = false;
  write("refusal", lesson.refusal && `This model cannot be taught: ${lesson.refusal}.`);
  cards.draw(lesson, Boolean(progress));
  $("new-rots-choice").hidden = !lesson.has_biodegradability;
  drawSummary();
  write("fault", lesson.fault);
  $("learning").hidden = !progress;
  if (progress) {
    $("learning-text").textContent = progressOf(progress);
    if (progress.total) $("learning-bar").value = progress.done / progress.total;
    else $("learning-bar").removeAttribute("value");
  }
  $("cancel").hidden = !progress;
  drawResult(lesson, thumbnails, on, Boolean(progress));
  for (const id of ["use", "undo", "download"]) $(id).disabled = isBusy;
  $("undoing").hidden = !lesson.can_undo;
  $("undo-text").textContent = `This server answers with ${lesson.model} ${lesson.served_version}, which was taught here${result?.is_served ? "" : ", but not with the last result"}. It stays so after a restart.`;
}

function drawSummary() {
  const { ready, text } = summaryOf(lesson);
  const busy = sending.wait ? waiting(sending.wait) : `Sending ${sending.sent} of ${sending.total}…`;
  $("summary").textContent = sending.isBusy ? busy : text;
  $("teach").disabled = !ready || sending.isBusy || Boolean(lesson.progress) || changing > 0 || Boolean(lesson.refusal);
  $("refused").hidden = !refused.length;
  $("refused").replaceChildren(...refused.map((textContent) => make("li", { textContent })));
}

/* --- photos --------------------------------------------------------------------------------------------------- */

function add(files, id) {
  if (!files.length) return;
  if (!sending.isBusy) refused.length = 0;
  sending.add(files, id);
  drawSummary();
}

/* After each photo: it is shown at once, and when all are there, what the server says of the lesson. */
function sent(added) {
  if (added) {
    for (const each of lesson.classes) {
      each.photos = each.photos.filter((photo) => photo !== added.id || each.id === added.category);
      if (each.id === added.category && !each.photos.includes(added.id)) each.photos.push(added.id);
    }
    if (added.outcome === "known") note(`A photo of ${titleOf(added.category)} was there already.`);
    if (added.outcome === "moved") note(`A photo that was in another class is in ${titleOf(added.category)} now.`);
  }
  draw();
  if (sending.isBusy) return;
  say(`${sending.total - refused.length > 0 ? "Photos added. " : ""}${summaryOf(lesson).text}`);
  load();
}

function refuse(file, failure) {
  note(`${file.name || "A photo"}: ${faultOf(failure)}`);
}

function note(line) {
  if (refused.length < MOST_REFUSED) refused.push(line);
}

async function move(photo, to) {
  const was = lesson.classes.find((c) => c.photos.includes(photo));
  await change(`photos/${photo}`, { category: to }, to ? `Moved to ${titleOf(to)}.` : `Removed from ${was?.title}.`);
}

function choose(id) {
  category = id;
  $("files").click();
}

function take(id) {
  category = id;
  taken = 0;
  tell("");
  camera.open();
}

takeIn([$("files"), $("capture")], {
  onPhotos: (files, place) => {
    const isChosen = place === $("files") || place === $("capture");
    const id = isChosen ? category : cardAt(place)?.dataset.category;
    if (!files.length || !lesson) return;
    if (lesson.progress) tell("It is learning from these photos. Add more when it is done, or cancel it.");
    else if (id) add(files, id);
    else tell("Drop photos onto one of the classes, or paste them where one of its buttons has the focus.");
  },
  onDragging: (isDragging, place) => {
    document.body.classList.toggle("dragging", isDragging);
    for (const card of document.querySelectorAll(".class-card")) card.classList.toggle("over", isDragging && card === cardAt(place));
  },
  tell,
});

const cardAt = (place) => (place instanceof Element ? place.closest(".class-card") : null);

window.addEventListener("beforeunload", (event) => {
  if (sending.isBusy) event.preventDefault(); // what is not sent yet would be lost
});

/* --- what is done with it ------------------------------------------------------------------------------------- */

/* One change after another; what it comes to is said, and the lesson drawn as it then is. */
function change(path, body, done) {
  changing += 1;
  draw();
  changes = changes.then(() => changeNow(path, body, done));
  return changes;
}

async function changeNow(path, body, done) {
  let fault = "";
  try {
    const makeBody = () => (body ? new Blob([JSON.stringify(body)], { type: "application/json" }) : null);
    await withKey(() => post(`${address()}/${path}`, makeBody, { isAnswer: (answer) => !Array.isArray(answer) }));
    say(done);
  } catch (failure) {
    fault = faultOf(failure);
  }
  changing -= 1;
  await load();
  if (!isAway) tell(fault);
  return !fault;
}

$("teach").addEventListener("click", async () => {
  if (!(await change("teach", null, "It is learning."))) return;
  await until(() => !lesson.progress);
  if (lesson.fault) return say(lesson.fault);
  if (!lesson.result?.is_current) return say("It was cancelled.");
  say("It has learned. What came of it is below.");
  $("result-title").focus();
});
$("cancel").addEventListener("click", () => change("cancel", null, "It is cancelled; the photos stay."));
$("use").addEventListener("click", () => change("use", null, "This server answers with it now.").then((isDone) => isDone && $("undo").focus()));
$("undo").addEventListener("click", () => change("undo", null, "This server answers with what it had before."));
$("download").addEventListener("click", async () => {
  try {
    const answer = await withKey(() => get(`${address()}/bundle`));
    const link = make("a", { href: URL.createObjectURL(await answer.blob()), download: `${lesson.model}-${lesson.result.version}.zip` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (failure) {
    tell(faultOf(failure));
  }
});
$("unlock").addEventListener("click", start);
$("new-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const title = $("new-title").value.trim();
  const biodegradable = lesson.has_biodegradability ? $("new-rots").checked : null;
  const body = { id: idOf(title), title, stream: $("new-stream").value.trim(), advice: $("new-advice").value.trim(), biodegradable };
  if (!(await change("classes", body, `${title} is added. Now its photos.`))) return;
  $("new-form").reset();
  $("new").open = false;
  document.querySelector(`[data-category="${CSS.escape(body.id)}"] .choose`)?.focus();
});

function until(isSo) {
  return new Promise((resolve) => {
    const look = () => (isSo() ? resolve() : setTimeout(look, ASK_AGAIN_MS / 2));
    look();
  });
}

/* --- the server ----------------------------------------------------------------------------------------------- */

const watch = new Watch((state) => {
  $("server").dataset.state = state;
  $("server-text").textContent = SERVER[state];
  if (state === "ready") start();
});

async function start() {
  try {
    const { models } = await withKey(() => getJson("models"));
    const chosen = $("model").value || new URLSearchParams(location.search).get("model");
    $("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
    if (models.some(({ name }) => name === chosen)) $("model").value = chosen;
    $("model-choice").hidden = models.length < 2;
  } catch (failure) {
    $("locked").hidden = failure.code !== "unauthorized";
    if (failure.code === "unauthorized") tell("Teaching needs an admin key: it changes what everyone gets.");
    else asking = setTimeout(start, 3 * ASK_AGAIN_MS);
    return;
  }
  await load();
}

$("model").addEventListener("change", () => {
  history.replaceState(null, "", `?${new URLSearchParams({ model: $("model").value })}`);
  load();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && lesson && !sending.isBusy) load();
});
