// The manager's page: fetched again at each event and every few seconds, as the figures move by themselves.
import { adopt, live, pageFetcher } from "./live.js";
import { tell } from "./clock.js";
import { ROOT } from "./root.js";

const link = document.getElementById("link");
const fetchPage = pageFetcher(`${ROOT}/manage`);

tell();
live({
  events: `${ROOT}/events`,
  every: 5000,
  gap: 2000,
  safety: 5000,
  onLink(connected) {
    link.textContent = connected ? "" : "No connection at the moment. The page comes back by itself.";
    link.hidden = connected;
  },
  async refresh() {
    const newer = await fetchPage();
    if (!newer) return;
    const paused = document.getElementById("state").textContent;
    adopt(newer);
    // Pause becomes resume, and the other way round, when somebody else has pressed it.
    const pause = document.getElementById("pause");
    if (document.getElementById("state").textContent !== paused && !pause.contains(document.activeElement))
      pause.innerHTML = newer.getElementById("pause").innerHTML;
    tell();
  },
});
