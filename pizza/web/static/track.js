// The tracker: the page itself, fetched again whenever something has happened.
import { adopt, live, pageFetcher } from "./live.js";
import { tell } from "./clock.js";

const tracker = document.getElementById("tracker");
const link = document.getElementById("link");
const fetchPage = pageFetcher();

function ended() {
  return "ended" in document.getElementById("now").dataset;
}

function onLink(connected) {
  link.textContent = connected ? "" : "No connection at the moment. This page comes back by itself.";
  link.hidden = connected;
}

tell();
setInterval(tell, 1000);
if (!ended()) {
  live({
    events: tracker.dataset.events,
    every: 2000,
    onLink,
    async refresh() {
      const newer = await fetchPage();
      if (newer) {
        adopt(newer);
        document.title = newer.title;
        tell();
      }
      return ended();
    },
  });
}
