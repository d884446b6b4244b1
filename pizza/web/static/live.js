// Keeps a page up to date: refreshes at each event of a stream, and polls without one.

const RECONNECT_MS = 15_000;
const GAP_MS = 200; // several events cause one refresh
const SAFETY_MS = 30_000; // for changes without an event, such as a small change of an estimate

let leaving = false; // a form was submitted; the next page is loading

addEventListener("submit", (event) => {
  if (!event.defaultPrevented && event.target.method !== "dialog") leaving = true;
});
addEventListener("pageshow", () => { leaving = false; });

/** Reload this page, which leads to the login when the session has ended; not while leaving it. */
export function reload() {
  if (!leaving) location.reload();
}

/**
 * @param {object} options
 * @param {string} options.events   address of the stream (Server-Sent Events)
 * @param {() => Promise<boolean|void>} options.refresh  fetch the whole state; true: it is final.
 *        Events only trigger it, so a missed one does no harm.
 * @param {number} options.every    milliseconds between two refreshes without a stream
 * @param {number} [options.gap]    at least so many milliseconds between two refreshes
 * @param {number} [options.safety] milliseconds between two refreshes while the stream is silent
 * @param {(connected: boolean) => void} [options.onLink]  whether the service was reached
 */
export function keepUpdated({ events, refresh, every, gap = GAP_MS, safety = SAFETY_MS, onLink = () => {} }) {
  let stream = null, timer = 0, reconnectTimer = 0, last = -Infinity;
  let running = false, pending = false, finished = false;
  let disconnected = false; // the connection was lost during a refresh: its result is older

  async function update() {
    if (finished) return;
    if (running) { pending = true; return; }
    clearTimeout(timer);
    const early = last + gap - performance.now();
    if (early > 0) { timer = setTimeout(update, early); return; }
    running = true;
    disconnected = false;
    let reached = true;
    try {
      const final = await refresh();
      if (!disconnected) onLink(true);
      if (final === true) stop();
    } catch (error) {
      reached = false;
      onLink(false);
    }
    running = false;
    last = performance.now();
    if (finished) return;
    if (pending) { pending = false; update(); return; }
    // A stream counts as open long after its connection was lost.
    const healthy = reached && navigator.onLine && stream && stream.readyState === EventSource.OPEN;
    timer = setTimeout(update, healthy ? safety : every);
  }

  function connect() {
    if (finished || !window.EventSource) return;
    stream = new EventSource(events);
    stream.addEventListener("open", update);
    stream.addEventListener("order", update);
    stream.addEventListener("end", () => { update(); stream.close(); });
    stream.addEventListener("error", () => {
      // The browser reconnects after a lost connection, but not after an error response.
      if (stream.readyState === EventSource.CLOSED) {
        clearTimeout(reconnectTimer);
        reconnectTimer = setTimeout(connect, RECONNECT_MS);
      }
      update();
    });
  }

  function stop() {
    finished = true;
    clearTimeout(timer);
    clearTimeout(reconnectTimer);
    if (stream) stream.close();
  }

  addEventListener("online", update);
  addEventListener("offline", () => {
    if (finished) return;
    disconnected = true;
    onLink(false);
    update();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) update(); });
  addEventListener("pagehide", () => { if (stream) stream.close(); clearTimeout(reconnectTimer); });
  addEventListener("pageshow", (event) => { if (event.persisted && !finished) { connect(); update(); } });
  connect();
  timer = setTimeout(update, every);
  return { update, stop };
}

/** Returns a function that fetches the page: its document, or null if nothing has changed. */
export function pageFetcher(address = location.href) {
  let tag = "";
  return async () => {
    const headers = { Accept: "text/html" };
    if (tag) headers["If-None-Match"] = tag;
    const answer = await fetch(address, { headers, cache: "no-store", signal: AbortSignal.timeout(10_000) });
    if (answer.status === 304) return null;
    if (answer.redirected) { reload(); return null; }
    if (!answer.ok) throw new Error(`${answer.status}`);
    tag = answer.headers.get("ETag") || "";
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };
}

// The live parts as the server rendered them; scripts change their times.
const seen = new Map([...document.querySelectorAll("[data-live]")].map((each) => [each.id, each.outerHTML]));

/** Replace the changed `data-live` parts by those of a newer document of this page. */
export function applyUpdate(newer) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const part = newer.getElementById(old.id);
    if (!part || part.outerHTML === seen.get(old.id)) continue;
    const focus = old.contains(document.activeElement) ? document.activeElement : null;
    if (focus?.matches("input, select")) continue; // being edited
    seen.set(old.id, part.outerHTML);
    for (const { name } of [...old.attributes]) if (!part.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of part.attributes) old.setAttribute(name, value);
    old.innerHTML = part.innerHTML;
    if (focus?.id) document.getElementById(focus.id)?.focus();
  }
}
