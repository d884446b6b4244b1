// The order page: the basket, one order for one basket, and errors next to their fields.
import { ROOT } from "./root.js";
import { isolated } from "./text.js";

const form = document.getElementById("order");
const send = document.getElementById("send");
const problem = document.getElementById("problem");
const sum = document.getElementById("sum");
const lines = document.getElementById("lines");
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const FIELDS = ["items", "customer_name", "order_type", "table_number", "delivery_address"];
const STORAGE_KEY = "pizza.order"; // survives a reload: the key of this basket, and the bodies sent with it

function chosen() {
  return [...form.querySelectorAll(".dish")].flatMap((dish) => {
    const field = dish.querySelector("input[type=number]");
    const quantity = field ? field.value.trim() : "";
    if (quantity === "" || quantity === "0") return [];
    return [{ name: dish.dataset.name, quantity: Number(quantity), price: Number(dish.dataset.price) }];
  });
}

function showBasket() {
  const items = chosen();
  lines.replaceChildren(...items.map((item) => {
    const line = document.createElement("li");
    const what = document.createElement("span");
    const price = document.createElement("span");
    what.append(`${item.quantity} × `, isolated(item.name));
    price.textContent = dollars.format(item.quantity * item.price);
    price.className = "price";
    line.append(what, price);
    return line;
  }));
  const total = items.reduce((sum, item) => sum + item.quantity * item.price, 0);
  sum.textContent = items.length ? `Total ${dollars.format(total)}` : "Your basket is empty.";
}

function bodyOf() {
  const data = new FormData(form);
  const order = {
    customer_name: data.get("customer_name"),
    order_type: data.get("order_type"),
    items: chosen(),
  };
  if (order.order_type === "dine-in" && data.get("table_number").trim())
    order.table_number = Number(data.get("table_number"));
  if (order.order_type === "delivery" && data.get("delivery_address").trim())
    order.delivery_address = data.get("delivery_address").trim();
  return JSON.stringify(order);
}

// --- one order for one basket ------------------------------------------------------------------

function storedState() {
  try {
    const found = JSON.parse(sessionStorage.getItem(STORAGE_KEY));
    if (found && found.key && Array.isArray(found.sent)) return found;
  } catch { /* invalid */ }
  return { key: newKey(), sent: [] };
}

function newKey() {
  // randomUUID exists on secure pages only.
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

async function post(body, key) {
  const answer = await fetch(`${ROOT}/orders`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body,
    signal: AbortSignal.timeout(15_000),
  });
  return { status: answer.status, document: await answer.json() };
}

/** Send the basket. If a response was lost and the basket has changed since, the key belongs to an
 * earlier body: that order was placed, and its response is fetched. */
async function place(body) {
  const state = storedState();
  if (!state.sent.includes(body)) state.sent.push(body);
  sessionStorage.setItem(STORAGE_KEY, JSON.stringify(state));
  let found = await post(body, state.key);
  const taken = found.status === 422 && found.document.errors?.some((each) => each.field === "Idempotency-Key");
  for (const before of taken ? state.sent.filter((each) => each !== body) : []) {
    const earlier = await post(before, state.key);
    if (earlier.status === 201) found = earlier;
  }
  return found;
}

/** The problem with the page's texts in place of the API's, as pizza/web/pages/order.py has them. */
function worded({ detail, errors = [] }) {
  const { detail: [invalid, text], fields } = JSON.parse(form.dataset.messages);
  if (detail !== invalid) return [detail, errors];
  return [text, errors.map((each) => ({ ...each, message: fields[each.field] || each.message }))];
}

function showErrors(detail, errors) {
  for (const name of FIELDS) {
    const found = errors.find((each) => each.field === name || (name === "items" && each.field.startsWith("items")));
    const place = document.getElementById(`error-${name}`);
    place.textContent = found ? found.message : "";
    place.hidden = !found;
    document.getElementById(name)?.toggleAttribute("aria-invalid", Boolean(found));
    if (found) document.getElementById(name)?.setAttribute("aria-invalid", "true");
  }
  problem.textContent = detail;
  problem.hidden = !detail;
  const bad = form.querySelector("[aria-invalid=true]");
  if (detail) (bad || problem).focus();
}

/** Show the menu's current prices, which have changed since this page was loaded. */
async function showMenuPrices() {
  const answer = await fetch(`${ROOT}/`, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(15_000) });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const dish of form.querySelectorAll(".dish")) {
    const now = [...page.querySelectorAll(".dish")].find((each) => each.dataset.name === dish.dataset.name);
    if (!now || !now.dataset.price) continue;
    dish.dataset.price = now.dataset.price;
    dish.querySelector(".price").textContent = now.querySelector(".price").textContent;
  }
  showBasket();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (send.disabled) return;
  send.disabled = true;
  try {
    const { status, document: answer } = await place(bodyOf());
    if (status === 201) {
      sessionStorage.removeItem(STORAGE_KEY);
      location.assign(answer.tracking_url);
      return; // the button stays disabled until the tracking page is shown
    }
    const [detail, errors] = worded(answer);
    if (errors.some((each) => /^items\[\d+\]\.(price|name)$/.test(each.field))) await showMenuPrices();
    showErrors(detail, errors);
  } catch {
    showErrors("We didn’t hear back. Tap again – you won’t be charged or served twice.", []);
  }
  send.disabled = false;
});

// --- the fields --------------------------------------------------------------------------------

for (const dish of form.querySelectorAll(".dish")) {
  const field = dish.querySelector("input[type=number]");
  if (!field) continue;
  for (const [name, by] of [["less", -1], ["more", 1]]) {
    const button = dish.querySelector(`.${name}`);
    button.hidden = false;
    button.addEventListener("click", () => {
      const next = Math.max(0, Math.min(Number(field.max), (Number(field.value) || 0) + by));
      field.value = next || "";
      showBasket();
    });
  }
}
form.addEventListener("input", showBasket);
addEventListener("pageshow", () => { send.disabled = false; showBasket(); });
showBasket();
