// Shows times in the browser's time zone and language.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** 75 s → "1:15". */
export function minutes(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const rest = String(whole % 60).padStart(2, "0");
  return `${Math.floor(whole / 60)}:${rest}`;
}

function untilWords(seconds) {
  if (seconds < 0) return "(any moment now)";
  if (seconds < 60) return `(in ${Math.ceil(seconds)} s)`;
  return `(in ${Math.round(seconds / 60)} min)`;
}

/** Update all times below `root`. */
export function updateTimes(root = document) {
  for (const each of root.querySelectorAll("time[data-as=clock]")) {
    const text = clock.format(new Date(each.dateTime));
    if (each.textContent !== text) each.textContent = text;
  }
  for (const each of root.querySelectorAll("[data-until]")) {
    const text = untilWords((new Date(each.dataset.until) - Date.now()) / 1000);
    if (each.textContent !== text) each.textContent = text;
  }
}
