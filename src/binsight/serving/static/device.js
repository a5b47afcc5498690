/* "On this device": the page classifies by itself, and goes on without the server. Kept by the browser: this page, ONNX Runtime, one model. */

import { Failure, get } from "./api.js";

const ON = "binsight.device"; // the model's name, while the switch is on
const MODELS = "binsight-model"; // the cache that the model is in
const MAX_MODEL = 100_000_000; // bytes: a phone's browser gives a page some hundred megabytes
const PATIENCE_MS = 300_000; // for a model over a slow network
const MANIFEST = "bundle.json";
const BROKEN = new Set(["device_broken", "device_memory"]); // after these nothing is known of the network's memory

// Where scripts come from is not to be decided by data: the page's policy allows this way only.
const policy = globalThis.trustedTypes?.createPolicy("binsight", { createScriptURL: (url) => url });
const script = (name) => policy?.createScriptURL(name) ?? name;

/** Why this browser cannot, in words for a notice; empty where it can. */
export function hindrance() {
  if (!window.isSecureContext) return "Browsers keep a page for later only over HTTPS or on this very computer. Open it so, then turn this on.";
  const parts = [globalThis.WebAssembly, navigator.serviceWorker, globalThis.caches, globalThis.OffscreenCanvas, globalThis.Worker];
  return parts.every(Boolean) ? "" : "This browser is too old to classify photos by itself. The server still does it.";
}

/** The network in this browser. `onState({ kind: "off" | "preparing" | "ready", progress })`. */
export class Device {
  constructor(onState) {
    this.onState = onState;
    this.manifest = null; // of the model that is ready
    this.name = localStorage.getItem(ON);
    this.isReady = null; // a promise, while it is on
  }

  get isOn() {
    return this.isReady !== null;
  }

  /** What `fetchModels` would say of the model that is ready. */
  get model() {
    const { name, version, taxonomy } = this.manifest;
    return { name: this.name, bundle: name, version, isDefault: true, classes: taxonomy.classes };
  }

  /** Be ready for photos, with the model of that name: fetched where it is not here, or another by now. */
  turnOn(name) {
    this.name = name;
    const isReady = this.prepare().then(() => this.onState({ kind: "ready" }), (failure) => {
      if (this.isReady === isReady) {
        this.end();
        this.onState({ kind: "off" });
      }
      throw failure;
    });
    isReady.catch(() => {}); // whoever waits for it hears it
    this.isReady = isReady;
    return isReady;
  }

  /** Forget all that was kept. */
  async turnOff() {
    this.end();
    localStorage.removeItem(ON);
    this.name = null;
    this.onState({ kind: "off" });
    const registration = await navigator.serviceWorker?.getRegistration("./");
    await registration?.unregister();
    for (const name of (await globalThis.caches?.keys()) ?? []) if (name.startsWith("binsight-")) await caches.delete(name);
  }

  /** The answer for a photo's file. */
  async classify(file, signal) {
    if (!this.worker && this.manifest) this.turnOn(this.name); // it broke on another photo
    await this.isReady;
    if (signal.aborted) throw new Failure({ code: "cancelled" });
    return { ...(await this.call("classify", { file })), served: this.name, onDevice: true };
  }

  /** Where the server has another model by now, take it. */
  async update() {
    if (!this.manifest) return;
    const found = await fetchManifest(this.name).catch(() => null);
    if (!found || !this.manifest || found.sha256 === this.manifest.sha256) return;
    this.isReady = this.prepare().catch(() => {}).then(() => this.isOn && this.onState({ kind: "ready" })); // the old one goes on
  }

  async prepare() {
    const { name } = this;
    this.onState({ kind: "preparing", progress: 0 });
    const kept = await readKept(name);
    const fresh = await fetchManifest(name).catch((failure) => {
      if (!kept || failure.code === "unknown_model") throw failure;
      return kept; // the server is away, or asks for a key that this tab has not
    });
    if (fresh.sha256 !== kept?.sha256) await keep(name, fresh, (progress) => this.onState({ kind: "preparing", progress }));
    const model = await readModel(name, fresh);
    if (this.name !== name) throw new Failure({ code: "cancelled" }); // turned off meanwhile, or to another
    await this.start(fresh, model);
    this.manifest = fresh;
    localStorage.setItem(ON, name);
    await keepPage();
  }

  async start(manifest, model) {
    this.stop();
    const worker = new Worker(script(new URL("device-worker.js", import.meta.url).href), { type: "module" });
    Object.assign(this, { worker, calls: new Map(), calling: 0 });
    worker.onmessage = ({ data: { id, answer, failure } }) => {
      const { resolve, reject } = this.calls.get(id);
      this.calls.delete(id);
      if (!failure) return resolve(answer);
      reject(new Failure(failure));
      if (BROKEN.has(failure.code)) this.stop(new Failure(failure));
    };
    // It did not start, or its memory is used up.
    worker.onerror = (event) => {
      event.preventDefault();
      this.stop(new Failure({ code: "device_broken", detail: event.message }));
    };
    await this.call("load", { manifest, model }, [model]);
  }

  call(call, values, transferred = []) {
    return new Promise((resolve, reject) => {
      if (!this.worker) return reject(new Failure({ code: "device_broken" }));
      this.calling += 1;
      this.calls.set(this.calling, { resolve, reject });
      this.worker.postMessage({ id: this.calling, call, ...values }, transferred);
    });
  }

  stop(failure = new Failure({ code: "cancelled" })) {
    this.worker?.terminate();
    this.worker = null;
    for (const { reject } of this.calls?.values() ?? []) reject(failure);
    this.calls?.clear();
  }

  end() {
    this.stop();
    Object.assign(this, { isReady: null, manifest: null });
  }
}

/* --- what is kept --------------------------------------------------------------------------------------------- */

const place = (name, file) => `models/${encodeURIComponent(name)}/bundle/${file}`;

async function fetchManifest(name) {
  return (await get(place(name, MANIFEST))).json();
}

async function readKept(name) {
  const found = await (await caches.open(MODELS)).match(place(name, MANIFEST));
  return found?.json() ?? null;
}

/* Where the cache has it; the digest makes two versions two entries. */
const modelPlace = (name, manifest) => `${place(name, "model.onnx")}?${manifest.files["model.onnx"].sha256}`;

async function readModel(name, manifest) {
  return (await (await caches.open(MODELS)).match(modelPlace(name, manifest))).arrayBuffer();
}

/* The old one stays until the new one is there. */
async function keep(name, manifest, onProgress) {
  const { bytes, sha256 } = manifest.files["model.onnx"];
  if (bytes > MAX_MODEL) throw new Failure({ code: "device_large" });
  const model = await readAll(await get(place(name, "model.onnx"), PATIENCE_MS), bytes, onProgress);
  if (hex(await crypto.subtle.digest("SHA-256", model)) !== sha256) throw new Failure({ code: "device_changed" });
  await navigator.storage?.persist?.();
  const cache = await caches.open(MODELS);
  const places = [modelPlace(name, manifest), place(name, MANIFEST)];
  try {
    await cache.put(places[0], new Response(model));
    await cache.put(places[1], new Response(JSON.stringify(manifest)));
  } catch {
    throw new Failure({ code: "device_full" });
  }
  const wanted = places.map((path) => new URL(path, document.baseURI).href);
  for (const { url } of await cache.keys()) if (!wanted.includes(url)) await cache.delete(url);
}

async function readAll(answer, size, onProgress) {
  const parts = [];
  let received = 0;
  const reader = answer.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    received += part.value.length;
    onProgress(Math.min(1, received / size));
  }
  return new Blob(parts).arrayBuffer();
}

const hex = (digest) => Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");

/* The service worker keeps the page's own files; they are there before this is done. */
async function keepPage() {
  const { serviceWorker } = navigator;
  const registration = await serviceWorker.register(script("sw.js"), { scope: "./" }).catch(() => serviceWorker.getRegistration("./"));
  if (!registration) throw new Failure({ code: "unreachable" });
  if (registration.active) return;
  const worker = registration.waiting ?? registration.installing;
  await new Promise((resolve, reject) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve();
      if (worker.state === "redundant") reject(new Failure({ code: "device_full" }));
    });
  });
}
