// Staff actions on orders. A request is sent after five seconds, so that it can be undone.
import { ROOT } from "./root.js";

export const UNDO_MS = 5000;

const ASK = {
  recall: { title: "Remake", button: "Remake", priority: false },
  cancel: { title: "Cancel", button: "Cancel the order", priority: false },
  priority: { title: "Change priority of", button: "Change", priority: true },
};
const PATHS = { bump: "deliver", recall: "send-back", cancel: "cancel", priority: "priority" };

export class OrderActions {
  #pending = []; // newest last: { verb, order, fields, timer, text }
  #tools;
  #bar = document.getElementById("undo");

  /** tools: onChange(), orderOf(element), elementOf(number), announce(text). */
  constructor(tools) {
    this.#tools = tools;
    document.getElementById("undo-button").addEventListener("click", () => this.undo());
    // Leaving the page sends the pending actions.
    addEventListener("pagehide", () => { for (const each of [...this.#pending]) this.#send(each, true); });
  }

  /** Start an action on the order of this ticket, if its button is shown. */
  async start(verb, element) {
    const order = this.#tools.orderOf(element);
    const button = element.querySelector(`.${verb}`);
    if (!order || !button || button.hidden || this.#pending.some((each) => each.order.order_number === order.order_number)) return;
    const fields = verb === "bump" ? {} : await this.#ask(verb, order);
    if (!fields) return;
    const name = `#${order.order_number.split("_").pop()}`;
    const action = { verb, order, fields, text: `${name}: ${button.textContent}` };
    action.timer = setTimeout(() => this.#send(action), UNDO_MS);
    this.#pending.push(action);
    element.classList.add("pending");
    element.querySelector(".failed").hidden = true;
    this.#show();
  }

  /** Undo the last pending action. */
  undo() {
    const action = this.#pending.pop();
    if (!action) return;
    clearTimeout(action.timer);
    this.#tools.elementOf(action.order.order_number)?.classList.remove("pending");
    this.#tools.announce(`${action.text}: undone`);
    this.#show();
  }

  #show() {
    const last = this.#pending.at(-1);
    this.#bar.hidden = !last;
    document.getElementById("undo-what").textContent = last ? last.text : "";
  }

  #ask(verb, order) {
    const dialog = document.getElementById("ask");
    const prompt = ASK[verb];
    document.getElementById("ask-title").textContent = `${prompt.title} #${order.order_number.split("_").pop()}`;
    document.getElementById("ask-do").textContent = prompt.button;
    document.getElementById("ask-priority").hidden = !prompt.priority;
    const number = document.getElementById("ask-number");
    const reason = document.getElementById("ask-reason");
    number.required = prompt.priority;
    number.value = order.priority;
    reason.value = "";
    dialog.returnValue = "";
    dialog.showModal();
    (prompt.priority ? number : reason).focus();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => {
        if (dialog.returnValue !== "do") { resolve(null); return; }
        const found = { reason: reason.value.trim() };
        if (prompt.priority) found.priority = Number(number.value);
        resolve(found);
      }, { once: true });
    });
  }

  async #send(action, leaving = false) {
    clearTimeout(action.timer);
    this.#pending = this.#pending.filter((each) => each !== action);
    this.#show();
    let detail = "";
    try {
      const answer = await fetch(`${ROOT}/orders/${action.order.order_number}/${PATHS[action.verb]}`, {
        method: "POST",
        // Only this version of the order: of two pages that bump it, one gets an error.
        headers: { "Content-Type": "application/json", "If-Match": `"${action.order.version}"` },
        body: JSON.stringify(action.fields),
        keepalive: leaving,
      });
      if (!answer.ok) detail = (await answer.json()).detail;
    } catch {
      detail = "We didn’t hear back. Check the order before you try again.";
    }
    const element = this.#tools.elementOf(action.order.order_number);
    element?.classList.remove("pending");
    const failed = element?.querySelector(".failed");
    if (failed) {
      failed.textContent = detail;
      failed.hidden = !detail;
    }
    this.#tools.announce(detail || `${action.text}: done`);
    this.#tools.onChange();
  }
}
