/* Labelling kept photos: blind, one tap or key each. The next five are there already; answers go out by themselves. */

import { answerButtons, answerKeys, patiently } from "./answering.js";
import { $, say, write } from "./dom.js";
import { openGrid } from "./label-grid.js";
import { json, picture, showServer } from "./lines-api.js";
import * as words from "./lines-words.js";

const AHEAD = 5;
const STORE = "binsight.labels"; // answers on their way: they outlive the page
const OTHERS = [
  { id: "not_waste", title: "Not waste", key: "0" },
  { id: "several", title: "Several objects", key: "m" },
  { id: "unclear", title: "Cannot tell", key: "u" },
  { id: "person", title: "A person is visible: delete", key: "p" },
];

const ready = []; // { id, url }: photos after the one on show
const skipped = [];
let outbox = JSON.parse(localStorage.getItem(STORE) ?? "[]"); // { path, body }
let sending = null;
let filling = null;
let current = null; // { id, url, since, revealed }
let labelled = 0;
let open = 0;
let titles = new Map(); // class → title

const gone = () => [...ready.map((each) => each.id), ...skipped, ...outbox.map((each) => each.id), ...(current ? [current.id] : [])];

$("skip").addEventListener("click", skip);
$("undo").addEventListener("click", undo);
$("done-undo").addEventListener("click", undo);
$("reveal").addEventListener("click", reveal);
$("look-again").addEventListener("click", () => {
  skipped.length = 0;
  advance();
});
$("open-grid").addEventListener("click", showGrid);
answerKeys($("answers"), { s: skip, z: undo, h: reveal, g: showGrid }, () => !$("desk").hidden || !$("done").hidden);
begin();

async function begin() {
  const { classes } = await patiently(() => json("label/status"));
  showServer("ready", "Ready");
  titles = new Map(classes.map(({ id, title }) => [id, title]));
  const answers = classes.map(({ id, title }, place) => ({ id, title, key: place < 9 ? String(place + 1) : "" }));
  answerButtons($("answers"), [...answers, ...OTHERS], answer);
  send();
  await advance();
}

/* One call at a time fills up what is ready. */
function fill() {
  filling ??= (async () => {
    const found = await patiently(() => json("label/next", { count: AHEAD, skip: gone().slice(0, 200) }));
    ({ labelled, open } = found);
    for (const { id } of found.items) {
      if (gone().includes(id)) continue;
      try {
        ready.push({ id, url: await patiently(() => picture(`label/items/${id}/photo`)) });
        $("desk").dataset.ready = ready.length;
      } catch {
        continue; // it was deleted meanwhile
      }
    }
  })().finally(() => (filling = null));
  return filling;
}

async function advance() {
  if (current) URL.revokeObjectURL(current.url);
  current = null;
  if (!ready.length) await fill();
  show(ready.shift() ?? null);
  $("desk").dataset.ready = ready.length;
  if (current && ready.length < AHEAD - 1) fill();
}

function show(item) {
  current = item && { ...item, since: performance.now(), revealed: false };
  $("desk").hidden = !current;
  $("done").hidden = Boolean(current);
  $("fault").hidden = true;
  $("said").textContent = "";
  if (!current) {
    $("done-text").textContent = `You have labelled ${words.count(labelled)}.${skipped.length ? ` You skipped ${words.count(skipped.length)}.` : ""}`;
    $("done-title").focus();
    return;
  }
  $("picture").src = current.url;
  $("picture").dataset.item = current.id;
  $("progress").textContent = `${words.count(labelled)} labelled by you, ${words.count(open)} open`;
  say("Next photo");
}

function answer(id) {
  if (!current) return;
  const body = { answer: id, event: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, ms: Math.round(performance.now() - current.since), revealed: current.revealed };
  post(current.id, `label/items/${current.id}`, body);
  labelled += 1;
  open = Math.max(0, open - 1);
  advance();
}

function skip() {
  if (!current) return;
  skipped.push(current.id);
  post(current.id, `label/items/${current.id}/skip`, {});
  advance();
}

/* Answers go out in order, each until it is written; one that stays refused is told and dropped. */
function post(id, path, body) {
  outbox.push({ id, path, body });
  keep();
  send();
}

function send() {
  sending ??= (async () => {
    while (outbox.length) {
      const { path, body } = outbox[0];
      try {
        await patiently(() => json(path, body));
      } catch (refusal) {
        say(refusal.code === "already_labelled" ? "Somebody else was faster." : refusal.message);
        if (!["already_labelled", "unknown_photo"].includes(refusal.code)) write("fault", refusal.message);
      }
      outbox.shift();
      keep();
    }
  })().finally(() => (sending = null));
  return sending;
}

function keep() {
  localStorage.setItem(STORE, JSON.stringify(outbox));
}

/* The photo before comes again, as often as the server remembers; the one on show waits. */
async function undo() {
  await send();
  const { item } = await patiently(() => json("label/undo", {}));
  if (!item) {
    say("There is nothing to take back.");
    return;
  }
  if (current) ready.unshift({ id: current.id, url: current.url });
  labelled = Math.max(0, labelled - 1);
  open += 1;
  show({ id: item.id, url: await patiently(() => picture(`label/items/${item.id}/photo`)) });
}

/* The photo on show waits while there are grids. */
async function showGrid() {
  const wasDone = $("desk").hidden;
  await send();
  const isThere = await openGrid(titles, (why) => {
    $("desk").hidden = wasDone;
    $("done").hidden = !wasDone;
    $("said").textContent = why;
    say(why);
    if (wasDone) advance();
  });
  if (isThere) $("desk").hidden = $("done").hidden = true;
  else {
    $("said").textContent = "There are too few photos that are alike, or single ones come first.";
    say($("said").textContent);
  }
}

async function reveal() {
  if (!current) return;
  const shown = current;
  const { category, confidence } = await patiently(() => json(`label/items/${shown.id}/reveal`, {}));
  if (shown !== current) return;
  current.revealed = true;
  $("said").textContent = `The model said ${category}, ${words.share(confidence, 0)} sure. Your answer is marked.`;
}
