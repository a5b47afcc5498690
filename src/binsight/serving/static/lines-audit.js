/* The blind audit: a picture, the classes, one tap each. Each answer is kept at once, and sent again when it could not be. */

import { answerButtons, answerKeys, patiently } from "./answering.js";
import { $, say, write } from "./dom.js";
import { address, json, lines, picture, showServer } from "./lines-api.js";
import * as words from "./lines-words.js";

const OTHER = "other";
const skipped = [];
let who = sessionStorage.getItem("binsight.auditor") ?? "";
let current = null; // the id on show
let last = null; // what was labelled before, for going back
let ahead = null; // the next piece, asked for while this one is looked at
let progress = null; // as of the last answer: what was asked for ahead knows nothing of it
let busy = false;

$("who").value = who;
$("who-form").addEventListener("submit", (event) => {
  event.preventDefault();
  who = $("who").value.trim();
  if (!who) return;
  sessionStorage.setItem("binsight.auditor", who);
  begin();
});
$("skip").addEventListener("click", skip);
$("undo").addEventListener("click", back);
$("look-again").addEventListener("click", () => {
  skipped.length = 0;
  next();
});
answerKeys($("answers"), { s: skip, z: back }, () => !$("desk").hidden);
showServer("ready", "Ready");

async function begin() {
  const about = await patiently(lines).then((all) => all.find((each) => each.name === document.body.dataset.line));
  const answers = [...about.classes.map(({ id, title }, place) => ({ id, title, key: place < 9 ? String(place + 1) : "" })),
    { id: OTHER, title: "None of these, several, or not to be made out", key: "0" }];
  answerButtons($("answers"), answers, answer);
  $("who-form").hidden = true;
  await next();
}

const ask = (without) => json(address("audit/next"), { auditor: who, skip: [...skipped, ...without] });

/* While one piece is looked at, the next one is there already. */
async function fetchAhead(without) {
  const item = await ask(without);
  return item.id === null ? { item } : { item, url: await picture(address(`pieces/${item.id}/picture`)) };
}

async function next() {
  busy = true;
  try {
    const isFresh = ahead === null;
    const { item, url } = await (ahead ?? patiently(() => fetchAhead([])));
    ahead = null;
    if (isFresh) progress = item;
    show(item, url);
    if (item.id !== null) {
      const id = item.id;
      ahead = patiently(() => fetchAhead([id]));
    }
  } finally {
    busy = false;
  }
}

function show(item, url) {
  if ($("picture").src.startsWith("blob:")) URL.revokeObjectURL($("picture").src);
  current = item.id;
  $("desk").hidden = item.id === null;
  $("done").hidden = item.id !== null;
  $("fault").hidden = true;
  if (item.id === null) {
    $("done-text").textContent = `${words.count(progress.labelled)} pieces are labelled.${skipped.length ? ` You skipped ${words.count(skipped.length)}.` : ""}${item.without_picture ? ` Of ${words.count(item.without_picture)} no picture was kept.` : ""}`;
    $("done-title").focus();
    return;
  }
  $("picture").src = url;
  $("progress").textContent = `${words.count(progress.labelled)} labelled, ${words.count(progress.open)} to go`;
  say("Next piece");
}

async function answer(category) {
  if (busy || current === null) return;
  busy = true;
  const id = current;
  try {
    progress = await patiently(() => json(address(`audit/${id}`), { auditor: who, category }));
    last = id;
    $("undo").disabled = false;
  } catch (refusal) {
    if (refusal.code !== "already_labelled") {
      write("fault", refusal.message);
      busy = false;
      return;
    }
    say("Somebody else was faster.");
    ahead = null; // what was asked for ahead may be labelled, too
  }
  busy = false;
  await next();
}

function skip() {
  if (busy || current === null) return;
  skipped.push(current);
  next();
}

/* The piece before comes again; another answer replaces the one that was given. */
async function back() {
  if (busy || last === null) return;
  busy = true;
  const id = last;
  last = null;
  $("undo").disabled = true;
  const url = await patiently(() => picture(address(`pieces/${id}/picture`)));
  const { item } = await patiently(async () => ({ item: await ask([]) }));
  ahead = null;
  progress = item;
  busy = false;
  show({ ...item, id }, url);
}
