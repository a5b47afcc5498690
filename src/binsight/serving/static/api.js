/* The server's API as this page uses it. Waits and tries again where that can help, and says so. */

const STALL_MS = 20_000; // no byte either way for this long: the connection is stuck
const FIRST_WAIT_MS = 600;
const LONGEST_WAIT_MS = 8_000;
const WAITS = { 408: "slow", 429: "busy", 502: "restarting", 503: "restarting", 504: "restarting", 511: "intercepted" };
const ATTEMPTS = 12; // about 80 s in all: longer than a restart
const POLL_MS = 1_000;
const SELDOM_MS = 30_000;

/** Says when waiting requests should try at once: the server is back, the network is back, or a person asks. */
export const wake = new EventTarget();
window.addEventListener("online", () => wake.dispatchEvent(new Event("now")));

/** A refusal: `code`, and `title`, `detail`, `status` where the server gave them; `wait` where trying again helps. */
export class Failure extends Error {
  constructor(fields) {
    super(fields.detail ?? fields.code);
    Object.assign(this, fields);
  }
}

let key = sessionStorage.getItem("binsight.key");
// A page that is one camera's, on a bin or a belt, is opened with ?camera=NAME.
const ownCamera = new URLSearchParams(location.search).get("camera");

/** Use this API key from now on. */
export function useKey(value) {
  key = value;
  sessionStorage.setItem("binsight.key", value);
}

/** Whether requests carry a key. */
export const hasKey = () => Boolean(key);

/** The header that carries it. */
export const keyHeader = () => (key ? { Authorization: `Bearer ${key}` } : {});

/**
 * Post a form and give the JSON answer, trying again while the server is away or busy, or something else answers.
 *
 * `isAnswer(json)` says whether it is this server's answer: a network's sign-in page or a proxy may have one of its own.
 * onState({ kind: "sending", progress } | { kind: "thinking" } | { kind: "waiting", why, seconds, attempt }
 *         | { kind: "strange", camera }), the last where this client's photos are strange to the model as a whole
 */
export async function post(path, makeForm, { signal, isAnswer, onState = () => {} }) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await postOnce(path, makeForm(), { signal, isAnswer, onState });
    } catch (failure) {
      if (!failure.wait || attempt >= ATTEMPTS) throw failure;
      const backoff = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1)) * (0.75 + Math.random() / 2);
      const ms = failure.retryAfter ? Math.min(30_000, 1000 * failure.retryAfter) : backoff;
      onState({ kind: "waiting", why: failure.wait, seconds: Math.ceil(ms / 1000), attempt: attempt + 1 });
      await pause(ms, signal);
    }
  }
}

// XMLHttpRequest and not fetch: only it tells how much of an upload is through.
function postOnce(path, form, { signal, isAnswer, onState }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let stalled;
    const alive = () => {
      clearTimeout(stalled);
      stalled = setTimeout(() => {
        reject(new Failure({ code: "unreachable", wait: "slow" }));
        request.abort();
      }, STALL_MS);
    };
    const cancel = () => request.abort();
    request.open("POST", path);
    request.setRequestHeader("Accept", "application/json");
    if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);
    // What no header can hold becomes one that the server refuses with its reason.
    if (ownCamera !== null) request.setRequestHeader("X-Binsight-Camera", encodeURIComponent(ownCamera));
    request.upload.onprogress = (event) => {
      alive();
      if (event.lengthComputable) onState({ kind: "sending", progress: event.loaded / event.total });
    };
    request.upload.onload = () => {
      alive();
      onState({ kind: "thinking" });
    };
    request.onprogress = alive;
    request.onload = () => {
      const answer = parse(request.responseText);
      const camera = request.getResponseHeader("X-Binsight-Camera");
      if (camera?.startsWith("strange")) onState({ kind: "strange", camera });
      if (request.status >= 400) reject(refusal(request, answer ?? {}));
      else if (answer && isAnswer(answer)) resolve(answer);
      else reject(new Failure({ code: "intercepted", wait: "intercepted", status: request.status }));
    };
    request.onerror = () => reject(new Failure({ code: "unreachable", wait: "unreachable" }));
    request.onabort = () => reject(new Failure({ code: "cancelled" }));
    request.onloadend = () => {
      clearTimeout(stalled);
      signal?.removeEventListener("abort", cancel);
    };
    if (signal?.aborted) return void reject(new Failure({ code: "cancelled" }));
    signal?.addEventListener("abort", cancel);
    alive();
    onState({ kind: "sending", progress: 0 });
    request.send(form);
  });
}

/* The object or list in a JSON text; null where it is something else. */
function parse(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/* `problem` is empty where the answer is a proxy's own page: the status has to do. */
function refusal(request, problem) {
  const { status } = request;
  const fields = { code: problem.code ?? `http_${status}`, title: problem.title, detail: problem.detail, status };
  if (status === 401) fields.code = "unauthorized";
  if (status === 413) fields.code = "too_large";
  const after = Number(request.getResponseHeader("Retry-After"));
  let wait = WAITS[status] ?? (status >= 500 && !problem.code ? "restarting" : undefined);
  if (problem.code === "deadline") wait = "busy";
  if (["feedback_unavailable", "lesson_unavailable"].includes(problem.code)) wait = after > 0 ? "busy" : undefined;
  if (wait) Object.assign(fields, { code: ["busy", "intercepted"].includes(wait) ? wait : "unreachable", wait });
  if (after > 0) fields.retryAfter = after;
  return new Failure(fields);
}

/** Wait, unless woken or cancelled before. */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const end = (then) => () => {
      clearTimeout(timer);
      wake.removeEventListener("now", go);
      signal?.removeEventListener("abort", stop);
      then();
    };
    const go = end(resolve);
    const stop = end(() => reject(new Failure({ code: "cancelled" })));
    const timer = setTimeout(go, ms);
    wake.addEventListener("now", go);
    signal?.addEventListener("abort", stop);
  });
}

/** Follow whether the server is ready; `onChange(state, wasAway)` with "ready", "starting" or "away". */
export class Watch {
  constructor(onChange) {
    this.onChange = onChange;
    this.state = "asking";
    this.timer = undefined;
    this.isPatient = false; // whether nobody waits for the server
    this.ask();
  }

  /** Look now. */
  async ask() {
    clearTimeout(this.timer);
    let state = "away";
    try {
      const answer = await fetch("health/ready", { cache: "no-store", signal: AbortSignal.timeout(5_000) });
      // A sign-in page of the network says 200, too.
      if (!answer.ok) state = "starting";
      else if ((await answer.json()).status === "ready") state = "ready";
    } catch {
      // away
    }
    const wasAway = this.state === "away" || this.state === "starting";
    if (state !== this.state) {
      this.state = state;
      this.onChange(state);
      if (state === "ready" && wasAway) wake.dispatchEvent(new Event("now"));
    }
    if (state !== "ready") this.timer = setTimeout(() => this.ask(), this.isPatient ? SELDOM_MS : POLL_MS);
  }
}

/** The server's models, each with `name`, `version` and `classes`; the default one first. */
export async function fetchModels() {
  const { models } = await getJson("models");
  const details = await Promise.all(models.map((m) => getJson(`models/${encodeURIComponent(m.name)}`)));
  return details
    .map((m) => ({ name: m.name, bundle: m.bundle.name, version: m.bundle.version, isDefault: m.default, classes: m.classes }))
    .sort((a, b) => b.isDefault - a.isDefault);
}

/** The JSON at an address. */
export const getJson = async (path) => (await get(path)).json();

/** What is at an address; a `Failure` where the server refuses it, or does not answer to the end within `patienceMs`. */
export const get = (path, patienceMs) => call(path, undefined, patienceMs);

/** The same, or the answer to POST where there is something to `send` as JSON. */
export async function call(path, send, patienceMs = STALL_MS) {
  const post = send === undefined ? {} : { method: "POST", body: JSON.stringify(send) };
  const headers = { ...keyHeader(), ...(send === undefined ? {} : { "Content-Type": "application/json" }) };
  let answer;
  try {
    answer = await fetch(path, { ...post, headers, cache: "no-store", signal: AbortSignal.timeout(patienceMs) });
  } catch {
    throw new Failure({ code: "unreachable", detail: "The server does not answer." });
  }
  if (answer.ok) return answer;
  const { code = "unexpected", title, detail } = (await answer.json().catch(() => null)) ?? {};
  throw new Failure({ code: answer.status === 401 ? "unauthorized" : code, title, detail, status: answer.status });
}
