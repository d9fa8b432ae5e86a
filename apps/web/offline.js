/**
 * The page's service worker: answers from the files that are kept, else from the network, and keeps what it gets from there.
 * The build fills in the files; their names change with their content.
 */
const worker = /** @type {any} */ (globalThis);
const cacheName = "xception-page-VERSION";

worker.addEventListener("install", (/** @type {any} */ event) => {
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll("FILES")));
  worker.skipWaiting();
});

worker.addEventListener("activate", (/** @type {any} */ event) => {
  const isOld = (/** @type {string} */ name) => name.startsWith("xception-page-") && name !== cacheName;
  const cleared = caches.keys().then((names) => Promise.all(names.filter(isOld).map((name) => caches.delete(name))));
  event.waitUntil(cleared.then(() => worker.clients.claim()));
});

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const isOwn = new URL(request.url).origin === location.origin;
  if (request.method === "GET" && isOwn) event.respondWith(answer(request));
});

/** @param {Request} request */
async function answer(request) {
  const cache = await caches.open(cacheName);
  const kept = await cache.match(request, { ignoreSearch: true });
  // The document itself may have changed.
  if (kept && request.mode !== "navigate") return kept;
  try {
    const response = await fetch(request);
    const isPart = new URL(request.url).pathname.startsWith(new URL("./assets/", location.href).pathname);
    if (response.ok && isPart) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    if (kept) return kept;
    throw error;
  }
}
