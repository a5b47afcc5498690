/* Puts the page together: photos come in, are sent, and their results are shown. */

import { Failure, Watch, fetchModels, hasKey, post, wake } from "./api.js";
import { Camera } from "./camera.js";
import { Correction } from "./correction.js";
import { DeviceSwitch } from "./device-switch.js";
import { $, make, say, tell } from "./dom.js";
import { takeIn } from "./intake.js";
import { withKey } from "./key.js";
import { shrink, thumbnail } from "./photo.js";
import { Session, newEntry } from "./session.js";
import { Tiles, drawStage } from "./view.js";
import { curlCommand, sentence, spoken, strange, waiting } from "./words.js";

const AT_ONCE = 2; // uploads at a time
const MODELS_AGAIN_MS = 5_000;
const MOST = 100; // photos in one go
const hasFeedback = document.body.dataset.feedback === "on";
const maxBytes = Number(document.body.dataset.maxBytes) || Infinity;

const session = new Session();
const tiles = new Tiles(select);
const correction = new Correction({ onStored: corrected });
const deviceSwitch = new DeviceSwitch({ onChange: deviceChanged, tell });
const camera = new Camera({ onPhoto: (file) => take([file]), onChoose: () => $("files").click() });
let current = session.entries[0] ?? null;
let models = [];
let showsAll = false;
let modelsLater; // the timer for the next attempt
let running = 0;
let batch = [];
const queue = [];

/* --- photos come in ------------------------------------------------------------------------------------------- */

function take(files) {
  if (!files.length) return;
  tell(files.length > MOST ? `Only the first ${MOST} of ${files.length} photos were taken. Add the others when these are done.` : "");
  const entries = files.slice(0, MOST).map(newEntry);
  session.add(entries);
  batch = running || queue.length ? [...batch, ...entries] : entries;
  queue.push(...entries);
  select(entries[0]);
  window.scrollTo({ top: 0 });
  $("tiles").scrollTo({ left: 0 });
  work();
}

function work() {
  while (running < AT_ONCE && queue.length) {
    const entry = queue.shift();
    if (!session.entries.includes(entry)) continue; // cleared meanwhile
    running += 1;
    classify(entry).finally(() => {
      running -= 1;
      if (!running && !queue.length) announceBatch();
      work();
    });
  }
}

async function classify(entry) {
  entry.abort = new AbortController();
  Object.assign(entry, { state: "waiting", failure: null, wait: null, progress: 0 });
  refresh();
  try {
    const { device } = deviceSwitch;
    await prepare(entry, device.isOn);
    const served = $("model").value;
    entry.result = device.isOn ? await look(entry, device) : { ...(await send(entry)), served };
    entry.state = "done";
  } catch (error) {
    entry.failure = error instanceof Failure ? error : new Failure({ code: "unexpected", title: "That did not work", detail: String(error) });
    entry.state = "failed";
    if (["unreachable", "intercepted"].includes(entry.failure.code)) watch.ask();
  }
  entry.wait = null;
  session.save();
  refresh();
}

async function prepare(entry, isStaying) {
  const { file } = entry;
  if (!file.size) throw new Failure({ code: "empty" });
  if (file.type && !file.type.startsWith("image/")) throw new Failure({ code: "not_an_image" });
  if (!isStaying) entry.upload ??= await shrink(file).catch(() => { throw new Failure({ code: "broken" }); });
  if (entry.upload?.size > maxBytes) throw new Failure({ code: "too_large" });
  entry.thumb ??= await thumbnail(entry.upload ?? file);
  entry.isShowable = entry.thumb !== null;
  refresh();
}

function look(entry, device) {
  Object.assign(entry, { state: "sending", progress: 1 });
  refresh();
  return device.classify(entry.file, entry.abort.signal);
}

async function send(entry, { heatmap = false, model = chosenModel() } = {}) {
  const query = new URLSearchParams();
  if (heatmap) query.set("heatmap", "1");
  if (model) query.set("model", model);
  const makeForm = () => {
    const form = new FormData();
    form.set("file", entry.upload, entry.name);
    return form;
  };
  const onState = (state) => {
    if (state.kind === "strange") return tellStrange(state.camera);
    entry.wait = state.kind === "waiting" ? state : null;
    if (state.kind === "sending") entry.progress = state.progress;
    if (state.kind === "thinking") entry.progress = 1;
    if (entry.state === "done") tell(entry.wait ? waiting(entry.wait) : ""); // the heat map
    else entry.state = state.kind === "waiting" ? "retrying" : "sending";
    if (state.kind === "waiting" && state.why !== "busy") watch.ask();
    refresh();
  };
  const url = query.size ? `predict?${query}` : "predict";
  const answer = await withKey(() => post(url, makeForm, { signal: entry.abort.signal, isAnswer: isPrediction, onState }), loadModels);
  entry.wait = null;
  return answer;
}

function isPrediction(answer) {
  return typeof answer.predicted_category === "string" && Boolean(answer.confidence_scores && answer.model);
}

/* --- what is shown -------------------------------------------------------------------------------------------- */

/* The model that gave a result: by the name it was asked for by, which may differ from its bundle's own name. */
function modelOf(result) {
  return models.find((m) => m.name === result.served) ?? models.find((m) => m.bundle === result.model.name);
}

function classOf(result, id) {
  return modelOf(result)?.classes.find((c) => c.id === id);
}

function titleOf(result) {
  return classOf(result, result.predicted_category)?.title ?? sentence(result.predicted_category);
}

function classesOf(result) {
  return modelOf(result)?.classes ?? Object.keys(result.confidence_scores).map((id) => ({ id, title: sentence(id) }));
}

function select(entry) {
  if (entry !== current) showsAll = false;
  current = entry;
  refresh();
}

function refresh() {
  document.body.classList.toggle("active", Boolean(current));
  tiles.draw(session.entries, current, classOf);
  $("stage").hidden = !current;
  if (!current) return;
  if (current.state === "done") correction.show(current, classesOf(current.result));
  drawStage(current, { classOf, canCorrect: hasFeedback, showsAll });
}

function announceBatch() {
  const done = batch.filter((e) => e.state === "done" || e.state === "failed");
  batch = [];
  if (done.length === 1) return say(spoken(done[0], titleOf));
  const failed = done.filter((e) => e.state === "failed").length;
  const unsure = done.filter((e) => e.state === "done" && e.result.decision === "review").length;
  say(`${done.length} photos done: ${done.length - failed - unsure} recognised, ${unsure} not sure, ${failed} failed.`);
}

/** Once in a session; a camera does not become another. */
function tellStrange(camera) {
  if (sessionStorage.getItem("binsight.strange")) return;
  sessionStorage.setItem("binsight.strange", "told");
  $("strange-text").textContent = strange(camera);
  $("strange").hidden = false;
}

$("strange-close").addEventListener("click", () => {
  $("strange").hidden = true;
  $("choose").focus();
});

function corrected(entry, id) {
  entry.corrected = id;
  session.save();
  refresh();
  say($("thanks").textContent);
}

function deviceChanged({ device }) {
  watch.isPatient = device.isOn;
  drawServer();
  if (device.manifest && !models.length) {
    models = [device.model];
    showModels();
  }
}

/* --- choosing, dropping, pasting, the camera ------------------------------------------------------------------ */

for (const id of ["choose", "another"]) $(id).addEventListener("click", () => $("files").click());
takeIn([$("files"), $("capture")], {
  onPhotos: take,
  onDragging: (isDragging) => { $("curtain").hidden = !isDragging; },
  tell,
});

$("open-camera").addEventListener("click", () => {
  tell("");
  camera.open();
});

/* --- buttons of a result -------------------------------------------------------------------------------------- */

$("again").addEventListener("click", () => requeue(current));
$("cancel").addEventListener("click", () => {
  const place = queue.indexOf(current);
  if (place < 0) return current.abort?.abort();
  queue.splice(place, 1);
  Object.assign(current, { state: "failed", failure: new Failure({ code: "cancelled" }) });
  refresh();
});
$("try-now").addEventListener("click", () => wake.dispatchEvent(new Event("now")));
$("more").addEventListener("click", () => {
  showsAll = true;
  refresh();
});

function requeue(entry) {
  if (entry.state !== "failed") return;
  batch = running || queue.length ? [...batch, entry] : [entry];
  queue.push(entry);
  Object.assign(entry, { state: "waiting" });
  refresh();
  work();
}

$("heat-toggle").addEventListener("click", async () => {
  const entry = current;
  entry.showsHeat = !entry.showsHeat;
  refresh();
  if (!entry.showsHeat || entry.heat !== null) return;
  entry.heat = undefined; // on its way
  entry.abort = new AbortController();
  try {
    entry.heat = (await send(entry, { heatmap: true, model: entry.result.served || null })).heatmap ?? null;
    if (entry.heat === null) throw new Failure({ code: "unexpected" });
  } catch {
    Object.assign(entry, { heat: null, showsHeat: false });
    if (entry === current) tell("The heat map could not be drawn. Try again.");
  }
  refresh();
});

$("curl").addEventListener("click", async () => {
  const url = new URL("predict", document.baseURI);
  if (chosenModel()) url.searchParams.set("model", chosenModel());
  const keyHeader = hasKey() ? "Authorization: Bearer YOUR_KEY" : null;
  const isCopied = await copy(curlCommand({ name: current.name, url: url.href, keyHeader }));
  const label = $("curl").lastChild;
  label.textContent = isCopied ? "Copied" : "Copying is blocked";
  say(isCopied ? "The curl command is copied." : "The browser does not allow copying.");
  setTimeout(() => { label.textContent = "Copy as curl"; }, 2000);
});

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyOldWay(text); // over plain HTTP there is no clipboard object
  }
}

function copyOldWay(text) {
  const field = make("textarea", { value: text, className: "visually-hidden" });
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  $("curl").focus();
  return isCopied;
}

$("clear").addEventListener("click", () => {
  queue.length = 0;
  session.clear();
  select(null);
  tell("");
  say("The session is empty.");
  $("open-camera").focus();
});

/* --- the server ----------------------------------------------------------------------------------------------- */

const SERVER = { ready: "Ready", starting: "Starting", away: "No connection" };
const watch = new Watch((state) => {
  drawServer();
  if (state !== "ready") return;
  loadModels();
  deviceSwitch.device.update();
});

function drawServer() {
  const [state, text] = deviceSwitch.status ?? [watch.state, SERVER[watch.state] ?? "Connecting"];
  $("server").dataset.state = state;
  $("server-text").textContent = text;
}

/* Which model was chosen, or null for the default one. */
function chosenModel() {
  const name = $("model").value;
  return name && name !== models[0]?.name ? name : null;
}

async function loadModels() {
  clearTimeout(modelsLater);
  try {
    models = await fetchModels();
  } catch (failure) {
    // With a key they are asked for again.
    if (failure.code !== "unauthorized") modelsLater = setTimeout(loadModels, MODELS_AGAIN_MS);
    return;
  }
  showModels();
}

function showModels() {
  const chosen = deviceSwitch.device.name ?? $("model").value;
  $("model").replaceChildren(...models.map((m) => new Option(m.name, m.name)));
  if (models.some((m) => m.name === chosen)) $("model").value = chosen;
  $("model-choice").hidden = models.length < 2;
  refresh();
}

/* --- without the server --------------------------------------------------------------------------------------- */

$("device").addEventListener("change", () => deviceSwitch.turn($("device").checked, async () => {
  if (!models.length) models = await fetchModels();
  return $("model").value || models[0].name;
}));
$("model").addEventListener("change", () => deviceSwitch.device.isOn && deviceSwitch.turn(true, () => $("model").value));
deviceSwitch.begin();

refresh();
