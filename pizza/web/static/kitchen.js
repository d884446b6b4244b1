// The kitchen page: draws the list of orders, and sends the actions of staff.
import { keepUpdated, reload } from "./live.js";
import { minutes } from "./clock.js";
import { OrderActions } from "./order_actions.js";
import { ROOT } from "./root.js";
import { Sound } from "./sound.js";
import { isolated } from "./text.js";

const BOARD = document.getElementById("board");
const COLUMNS = {
  status: [["received", "Waiting"], ["cooking", "Cooking"], ["ready", "Ready"], ["out-for-delivery", "Out for delivery"], ["cancelled", "Cancelled"]],
  station: [["kitchen", "Kitchen"], ["quality", "Quality"], ["packaging", "Packaging"], ["courier", "Courier"], ["handover", "Pickup"], ["none", "Other"]],
};
const HIDDEN_WHEN_EMPTY = ["cancelled", "none"];
const SOON = 0.75; // of the estimated time
const SHAPES = { ok: "●", soon: "▲", late: "■", none: "○" };

const tickets = new Map(); // by order number: { order, text, element }
const columns = new Map(); // by column: { section, list, number }
const link = document.getElementById("link");
const announcer = document.getElementById("announcer");
const groupBy = document.getElementById("group");
const station = document.getElementById("station");
const sound = new Sound(document.getElementById("sound"));
let known = null; // numbers of all orders so far; null before the first update
let clockOffset = 0; // milliseconds by which the server's clock is ahead

// --- one ticket ----------------------------------------------------------------------------------

const steps = { ready: (order) => (order.order_type === "delivery" ? "Send out" : "Hand over"), "out-for-delivery": () => "Delivered" };

export function bumpName(order) {
  return steps[order.status]?.(order) || "";
}

function badge(text, kind = "") {
  const found = document.createElement("span");
  found.className = `badge ${kind}`;
  found.textContent = text;
  return found;
}

function draw(ticket) {
  const { element, order } = ticket;
  const article = element.querySelector("article");
  const short = order.order_number.split("_").pop();
  element.dataset.number = order.order_number;
  element.classList.toggle("cancelled", order.status === "cancelled");
  element.querySelector(".no").textContent = `#${short}`;
  const badges = [badge(order.order_type)];
  if (order.rush) badges.unshift(badge("Rush", "rush"));
  if (order.customer_type === "vip") badges.unshift(badge("VIP", "vip"));
  if (order.priority > 1) badges.push(badge(`priority ${order.priority}`));
  if (order.status === "cancelled") badges.push(badge("cancelled"));
  element.querySelector(".badges").replaceChildren(...badges);
  element.querySelector(".items").replaceChildren(...order.items.map((item) => {
    const line = document.createElement("li");
    const count = document.createElement("b");
    count.textContent = `${item.quantity} × `;
    line.append(count, isolated(item.name));
    return line;
  }));
  const table = order.table_number ? `, table ${order.table_number}` : "";
  const cook = order.processed_by ? [" · ", isolated(order.processed_by)] : [];
  element.querySelector(".customer").replaceChildren(isolated(order.customer_name), table, ...cook);
  article.setAttribute("aria-label", `Order ${short}, ${badges.map((each) => each.textContent).join(", ")}`);
  const bump = element.querySelector(".bump");
  bump.textContent = bumpName(order);
  bump.hidden = !bump.textContent;
  element.querySelector(".recall").hidden = order.status !== "ready";
  element.querySelector(".priority").hidden = !["received", "cooking"].includes(order.status);
  element.querySelector(".cancel").hidden = !["received", "cooking", "ready"].includes(order.status);
  tick(ticket);
}

function age(order, now) {
  const since = (time) => (now - new Date(time)) / 1000;
  if (order.status === "ready") return ["none", since(order.completed_at || order.updated_at), "ready"];
  if (order.status === "out-for-delivery") return ["none", since(order.updated_at), "out for delivery"];
  if (order.status === "cancelled") return ["none", since(order.updated_at), "cancelled"];
  const waited = since(order.created_at);
  const promised = order.promised_at || order.estimated_completion;
  if (!promised) return ["ok", waited, "no estimate"];
  const late = since(promised);
  const whole = (new Date(promised) - new Date(order.created_at)) / 1000;
  if (late > 0) return ["late", waited, `late by ${minutes(late)}`];
  return [waited > SOON * whole ? "soon" : "ok", waited, `due in ${minutes(-late)}`];
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tick({ element, order }, now = Date.now() + clockOffset) {
  const [level, seconds, word] = age(order, now);
  if (element.dataset.age !== level) {
    element.dataset.age = level;
    element.querySelector(".shape").textContent = SHAPES[level];
  }
  write(element.querySelector(".timer"), minutes(seconds));
  write(element.querySelector(".word"), `· ${word}`);
}

// --- the board -----------------------------------------------------------------------------------

function columnOf(order) {
  if (groupBy.value === "status") return order.status;
  return COLUMNS.station.some(([name]) => name === order.stage) && order.status !== "cancelled" ? order.stage : "none";
}

function build() {
  columns.clear();
  const template = document.getElementById("column");
  BOARD.replaceChildren(...COLUMNS[groupBy.value].map(([key, name]) => {
    const section = template.content.firstElementChild.cloneNode(true);
    section.querySelector(".name").textContent = name;
    section.setAttribute("aria-label", name);
    section.dataset.column = key;
    columns.set(key, { section, list: section.querySelector("ol"), number: section.querySelector(".number") });
    return section;
  }));
}

function isShown(order) {
  const types = [...document.querySelectorAll("[name=type]:checked")].map((each) => each.value);
  return types.includes(order.order_type) && (!station.value || order.stage === station.value);
}

/** Move every ticket to its place; those in place stay untouched. */
function arrange() {
  const focus = document.activeElement;
  const wanted = new Map([...columns.keys()].map((key) => [key, []]));
  for (const ticket of tickets.values()) if (isShown(ticket.order)) wanted.get(columnOf(ticket.order)).push(ticket.element);
  for (const [key, elements] of wanted) {
    const { section, list, number } = columns.get(key);
    const kept = new Set(elements);
    for (const each of [...list.children]) if (!kept.has(each)) each.remove();
    elements.forEach((each, place) => {
      if (list.children[place] !== each) list.insertBefore(each, list.children[place] || null);
    });
    write(number, String(elements.length));
    section.hidden = !elements.length && HIDDEN_WHEN_EMPTY.includes(key);
  }
  if (focus !== document.activeElement && focus.isConnected) focus.focus();
  allDay();
}

function allDay() {
  const counts = new Map();
  for (const { order } of tickets.values()) {
    if (!isShown(order) || !["received", "cooking"].includes(order.status)) continue;
    for (const { name, quantity } of order.items) {
      const dish = sameDish(name);
      const counted = counts.get(dish) || [name, 0];
      counts.set(dish, [counted[0], counted[1] + quantity]);
    }
  }
  const list = document.getElementById("allday");
  const lines = [...counts.values()].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  const text = JSON.stringify(lines);
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.replaceChildren(...lines.map(([name, count]) => {
    const line = document.createElement("li");
    const number = document.createElement("b");
    number.textContent = `${count} × `;
    line.append(number, isolated(name));
    return line;
  }));
}

/** One form for all spellings of a dish, as pizza/domain/names.py has it. */
function sameDish(name) {
  return name.normalize("NFC").trim().split(/\s+/).join(" ").toUpperCase().toLowerCase();
}

function show(orders) {
  const template = document.getElementById("ticket");
  const before = new Map(tickets);
  const fresh = [];
  tickets.clear();
  for (const order of orders) { // most urgent first
    const text = JSON.stringify(order);
    let ticket = before.get(order.order_number);
    before.delete(order.order_number);
    if (!ticket) {
      ticket = { element: template.content.firstElementChild.cloneNode(true) };
      if (known && !known.has(order.order_number)) fresh.push(ticket);
    }
    tickets.set(order.order_number, ticket);
    if (ticket.text === text) continue;
    Object.assign(ticket, { order, text });
    draw(ticket);
  }
  for (const gone of before.values()) gone.element.remove();
  known = new Set([...(known || []), ...orders.map((order) => order.order_number)]);
  if (fresh.length) {
    sound.ring();
    write(announcer, `New: ${fresh.map((each) => each.element.querySelector("article").getAttribute("aria-label")).join("; ")}`);
    for (const { element } of fresh) {
      element.classList.add("fresh");
      setTimeout(() => element.classList.remove("fresh"), 3000);
    }
  }
  arrange();
}

let tag = "";
async function refresh() {
  const headers = tag ? { "If-None-Match": tag } : {};
  const answer = await fetch(`${ROOT}/kitchen/board`, { headers, cache: "no-store", signal: AbortSignal.timeout(10_000) });
  if (answer.status === 401) reload();
  if (answer.status === 304) return;
  if (!answer.ok) throw new Error(`${answer.status}`);
  const date = Date.parse(answer.headers.get("Date"));
  if (Math.abs(date - Date.now()) > 2000) clockOffset = date - Date.now();
  show(await answer.json());
  tag = answer.headers.get("ETag") || "";
}

// --- actions -------------------------------------------------------------------------------------

const actions = new OrderActions({
  onChange: () => board.update(),
  orderOf: (element) => tickets.get(element.dataset.number)?.order,
  elementOf: (number) => tickets.get(number)?.element,
  announce: (text) => write(announcer, text),
});

function ticketAt(element) {
  return element?.closest?.(".ticket") || null;
}

BOARD.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const ticket = ticketAt(event.target);
  if (!ticket) return;
  ticket.querySelector("article").focus();
  if (button) actions.start(button.classList[0], ticket);
});

function walk(key, from) {
  const lists = [...BOARD.querySelectorAll("section:not([hidden]) ol")].filter((list) => list.children.length);
  if (!lists.length) return;
  let next = lists[0].children[0];
  if (from) {
    const list = lists.indexOf(from.parentElement);
    const place = [...from.parentElement.children].indexOf(from);
    const side = lists[list + (key === "ArrowRight" ? 1 : -1)];
    if (key === "ArrowDown") next = from.nextElementSibling || from;
    else if (key === "ArrowUp") next = from.previousElementSibling || from;
    else next = side ? side.children[Math.min(place, side.children.length - 1)] : from;
  }
  next.querySelector("article").focus();
}

const VERBS = { b: "bump", enter: "bump", r: "recall", p: "priority", c: "cancel" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, dialog, textarea")) return;
  const ticket = ticketAt(document.activeElement);
  const key = event.key.toLowerCase();
  if (event.key.startsWith("Arrow")) walk(event.key, ticket);
  else if (key === "u") actions.undo();
  else if (key === "m") sound.toggle();
  else if (ticket && VERBS[key] && !(key === "enter" && event.target.closest("button, a, summary"))) actions.start(VERBS[key], ticket);
  else return;
  event.preventDefault();
});

for (const each of document.querySelectorAll("[name=type], #station")) each.addEventListener("change", arrange);
groupBy.addEventListener("change", () => { build(); arrange(); });

build();
const board = keepUpdated({
  events: BOARD.dataset.events,
  every: 1000,
  refresh,
  onLink(connected) {
    write(link, connected ? "" : "You’re offline. Reconnecting…");
    link.hidden = connected;
  },
});
board.update();
setInterval(() => { const now = Date.now() + clockOffset; for (const each of tickets.values()) if (each.element.isConnected) tick(each, now); }, 1000);
