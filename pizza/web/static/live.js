// Keeps a page up to date: a stream of events says when to look again; without one it asks.

const STREAM_AGAIN_MS = 15_000;
const GAP_MS = 200; // a rush of events is one look
const SAFETY_MS = 30_000; // what no event tells of, such as an estimate that moves by a little

let leaving = false; // a form has been sent, and its page is on the way

addEventListener("submit", (event) => {
  if (!event.defaultPrevented && event.target.method !== "dialog") leaving = true;
});
addEventListener("pageshow", () => { leaving = false; });

/** Load this page anew, which leads to the login when the session is over; not under way to another. */
export function reload() {
  if (!leaving) location.reload();
}

/**
 * @param {object} options
 * @param {string} options.events   address of the stream (Server-Sent Events)
 * @param {() => Promise<boolean|void>} options.refresh  fetch the whole state anew; true: it is final.
 *        Events only say that there is something new, so one that was missed is no loss.
 * @param {number} options.every    milliseconds between two looks while there is no stream
 * @param {number} [options.gap]    milliseconds between two looks, however many events come
 * @param {number} [options.safety] milliseconds between two looks while the stream is silent
 * @param {(connected: boolean) => void} [options.onLink]  whether the service was reached
 */
export function live({ events, refresh, every, gap = GAP_MS, safety = SAFETY_MS, onLink = () => {} }) {
  let stream = null, timer = 0, again = 0, last = -Infinity;
  let running = false, wanted = false, over = false;
  let cut = false; // the connection went away while a look was under way: its answer is older than that

  async function look() {
    if (over) return;
    if (running) { wanted = true; return; }
    clearTimeout(timer);
    const early = last + gap - performance.now();
    if (early > 0) { timer = setTimeout(look, early); return; }
    running = true;
    cut = false;
    let reached = true;
    try {
      const final = await refresh();
      if (!cut) onLink(true);
      if (final === true) stop();
    } catch (error) {
      reached = false;
      onLink(false);
    }
    running = false;
    last = performance.now();
    if (over) return;
    if (wanted) { wanted = false; look(); return; }
    // A stream passes for open long after its connection is dead.
    const sound = reached && navigator.onLine && stream && stream.readyState === EventSource.OPEN;
    timer = setTimeout(look, sound ? safety : every);
  }

  function listen() {
    if (over || !window.EventSource) return;
    stream = new EventSource(events);
    stream.addEventListener("open", look);
    stream.addEventListener("order", look);
    stream.addEventListener("end", () => { look(); stream.close(); });
    stream.addEventListener("error", () => {
      // The browser tries again by itself after a cut, and not after an answer that was no stream.
      if (stream.readyState === EventSource.CLOSED) {
        clearTimeout(again);
        again = setTimeout(listen, STREAM_AGAIN_MS);
      }
      look();
    });
  }

  function stop() {
    over = true;
    clearTimeout(timer);
    clearTimeout(again);
    if (stream) stream.close();
  }

  addEventListener("online", look);
  addEventListener("offline", () => {
    if (over) return;
    cut = true;
    onLink(false);
    look();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  addEventListener("pagehide", () => { if (stream) stream.close(); clearTimeout(again); });
  addEventListener("pageshow", (event) => { if (event.persisted && !over) { listen(); look(); } });
  listen();
  timer = setTimeout(look, every);
  return { look, stop };
}

/** Fetch this page again; gives its document, or null while nothing has changed. */
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

// The live parts as the service wrote them: scripts write their times anew.
const seen = new Map([...document.querySelectorAll("[data-live]")].map((each) => [each.id, each.outerHTML]));

/** Put the changed `data-live` parts of a newer document of this page in place of the old ones. */
export function adopt(newer) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const part = newer.getElementById(old.id);
    if (!part || part.outerHTML === seen.get(old.id)) continue;
    const focus = old.contains(document.activeElement) ? document.activeElement : null;
    if (focus?.matches("input, select")) continue; // somebody is writing in there
    seen.set(old.id, part.outerHTML);
    for (const { name } of [...old.attributes]) if (!part.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of part.attributes) old.setAttribute(name, value);
    old.innerHTML = part.innerHTML;
    if (focus?.id) document.getElementById(focus.id)?.focus();
  }
}
