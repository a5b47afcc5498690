/* Keeps the page's own files, so that it opens without the server; registered when "On this device" is turned on.

   Nothing that the server answers is kept here: no photo, no result. The model is kept by device.js. */

const CACHE = "binsight-page-{{ version }}"; // another version of the page has a worker and a cache of its own
const FILES = {{ files | tojson }};
const PATIENCE_MS = 3_000; // a network that is there, but leads nowhere
const page = new URL("./", self.location).pathname;

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(["./", ...FILES])));
});

self.addEventListener("activate", (event) => event.waitUntil(begin()));

async function begin() {
  for (const name of await caches.keys()) if (name.startsWith("binsight-page-") && name !== CACHE) await caches.delete(name);
  await self.clients.claim();
}

self.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (origin !== self.location.origin || event.request.method !== "GET") return;
  if (event.request.mode === "navigate" && pathname === page) event.respondWith(openPage(event.request));
  else if (pathname.startsWith(`${page}static/`)) event.respondWith(readFile(event.request));
});

/* The server's page where it answers, since another version may be there; else the one that is kept. */
async function openPage(request) {
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  const answer = await Promise.race([fetch(request).catch(() => null), late]);
  const isPage = answer?.ok || answer?.type === "opaqueredirect"; // a proxy's error page is none
  return isPage ? answer : (await caches.match("./")) ?? answer ?? Response.error();
}

async function readFile(request) {
  return (await caches.match(request)) ?? fetch(request);
}
