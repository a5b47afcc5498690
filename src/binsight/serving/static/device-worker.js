/* The network in a thread of its own, so that the page stays quick: a photo's file in, the answer out. */

import * as ort from "./ort.wasm.bundle.min.mjs";

import { interpret } from "./decide.js";
import { Refusal, prepare } from "./prepare.js";

const DECISIVE = ["logits", "biodegradable_logit", "unfamiliarity"];
let manifest;
let session;

// One thread: more would need headers that no other server may spoil, for a photo that takes a fraction of a second.
ort.env.wasm.numThreads = 1;

async function load({ manifest: given, model }) {
  session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
  manifest = given;
  const [high, wide] = manifest.preprocess.size;
  await run(new Uint8Array(high * wide * 3)); // the first run allocates, and shows a network that cannot run
}

async function classify({ file }) {
  const start = performance.now();
  const pixels = await prepare(file, manifest.preprocess);
  const decoded = performance.now();
  const answer = interpret(await run(pixels), manifest);
  return { ...answer, timing_ms: { decode: decoded - start, infer: performance.now() - decoded } };
}

async function run(pixels) {
  const images = new ort.Tensor("uint8", new Uint8Array(pixels.buffer), [1, ...manifest.preprocess.size, 3]);
  const found = await session.run({ images }, DECISIVE.filter((name) => session.outputNames.includes(name)));
  return Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, tensor.data]));
}

function failure(error) {
  if (error instanceof Refusal) return { code: error.code };
  const detail = String(error?.message ?? error).slice(0, 300);
  return { code: /memory|alloc|OOM/i.test(detail) ? "device_memory" : "device_broken", detail };
}

const CALLS = { load, classify };
let last = Promise.resolve(); // one photo at a time: memory, and a session is not to be entered twice

self.onmessage = ({ data }) => {
  last = last.then(() => CALLS[data.call](data)).then(
    (answer) => self.postMessage({ id: data.id, answer }),
    (error) => self.postMessage({ id: data.id, failure: failure(error) }),
  );
};
