// The manager's page: fetched again at each event and every few seconds.
import { applyUpdate, keepUpdated, pageFetcher } from "./live.js";
import { updateTimes } from "./clock.js";
import { ROOT } from "./root.js";

const link = document.getElementById("link");
const fetchPage = pageFetcher(`${ROOT}/manage`);

updateTimes();
keepUpdated({
  events: `${ROOT}/events`,
  every: 5000,
  gap: 2000,
  safety: 5000,
  onLink(connected) {
    link.textContent = connected ? "" : "You’re offline. Reconnecting…";
    link.hidden = connected;
  },
  async refresh() {
    const newer = await fetchPage();
    if (!newer) return;
    const paused = document.getElementById("state").textContent;
    applyUpdate(newer);
    // The form changes when somebody else has paused or resumed.
    const pause = document.getElementById("pause");
    if (document.getElementById("state").textContent !== paused && !pause.contains(document.activeElement))
      pause.innerHTML = newer.getElementById("pause").innerHTML;
    updateTimes();
  },
});
