// The tracking page: fetched again at each event.
import { applyUpdate, keepUpdated, pageFetcher } from "./live.js";
import { updateTimes } from "./clock.js";

const tracker = document.getElementById("tracker");
const link = document.getElementById("link");
const fetchPage = pageFetcher();

function ended() {
  return "ended" in document.getElementById("now").dataset;
}

function onLink(connected) {
  link.textContent = connected ? "" : "You’re offline. Reconnecting…";
  link.hidden = connected;
}

updateTimes();
setInterval(updateTimes, 1000);
if (!ended()) {
  keepUpdated({
    events: tracker.dataset.events,
    every: 2000,
    onLink,
    async refresh() {
      const newer = await fetchPage();
      if (newer) {
        applyUpdate(newer);
        document.title = newer.title;
        updateTimes();
      }
      return ended();
    },
  });
}
