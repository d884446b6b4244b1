// What staff does to an order by hand. Nothing is sent for five seconds, so that all can be undone.
import { ROOT } from "./root.js";

export const UNDO_MS = 5000;

const ASK = {
  recall: { title: "Send back", button: "Send it back", priority: false },
  cancel: { title: "Cancel", button: "Cancel the order", priority: false },
  priority: { title: "Another priority for", button: "Change", priority: true },
};
const PATHS = { bump: "deliver", recall: "send-back", cancel: "cancel", priority: "priority" };

export class Moves {
  #pending = []; // newest last: { verb, order, words, timer, text }
  #tools;
  #bar = document.getElementById("undo");

  /** tools: onChange(), orderOf(element), elementOf(number), say(text). */
  constructor(tools) {
    this.#tools = tools;
    document.getElementById("undo-button").addEventListener("click", () => this.undo());
    // Who leaves the page has had the time to look: what was done is done.
    addEventListener("pagehide", () => { for (const each of [...this.#pending]) this.#send(each, true); });
  }

  /** Begin a move of the order of this ticket, if it is one that may be made. */
  async begin(verb, element) {
    const order = this.#tools.orderOf(element);
    const button = element.querySelector(`.${verb}`);
    if (!order || !button || button.hidden || this.#pending.some((each) => each.order.order_number === order.order_number)) return;
    const words = verb === "bump" ? {} : await this.#ask(verb, order);
    if (!words) return;
    const name = `#${order.order_number.split("_").pop()}`;
    const move = { verb, order, words, text: `${name}: ${button.textContent}` };
    move.timer = setTimeout(() => this.#send(move), UNDO_MS);
    this.#pending.push(move);
    element.classList.add("pending");
    element.querySelector(".failed").hidden = true;
    this.#show();
  }

  /** Take the last move back. */
  undo() {
    const move = this.#pending.pop();
    if (!move) return;
    clearTimeout(move.timer);
    this.#tools.elementOf(move.order.order_number)?.classList.remove("pending");
    this.#tools.say(`${move.text}: undone`);
    this.#show();
  }

  #show() {
    const last = this.#pending.at(-1);
    this.#bar.hidden = !last;
    document.getElementById("undo-what").textContent = last ? last.text : "";
  }

  #ask(verb, order) {
    const dialog = document.getElementById("ask");
    const words = ASK[verb];
    document.getElementById("ask-title").textContent = `${words.title} #${order.order_number.split("_").pop()}`;
    document.getElementById("ask-do").textContent = words.button;
    document.getElementById("ask-priority").hidden = !words.priority;
    const number = document.getElementById("ask-number");
    const reason = document.getElementById("ask-reason");
    number.required = words.priority;
    number.value = order.priority;
    reason.value = "";
    dialog.returnValue = "";
    dialog.showModal();
    (words.priority ? number : reason).focus();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => {
        if (dialog.returnValue !== "do") { resolve(null); return; }
        const found = { reason: reason.value.trim() };
        if (words.priority) found.priority = Number(number.value);
        resolve(found);
      }, { once: true });
    });
  }

  async #send(move, leaving = false) {
    clearTimeout(move.timer);
    this.#pending = this.#pending.filter((each) => each !== move);
    this.#show();
    let detail = "";
    try {
      const answer = await fetch(`${ROOT}/orders/${move.order.order_number}/${PATHS[move.verb]}`, {
        method: "POST",
        // Only the order that was looked at: of two boards that bump it, one is told.
        headers: { "Content-Type": "application/json", "If-Match": `"${move.order.version}"` },
        body: JSON.stringify(move.words),
        keepalive: leaving,
      });
      if (!answer.ok) detail = (await answer.json()).detail;
    } catch {
      detail = "No answer came; look at the order before you try again.";
    }
    const element = this.#tools.elementOf(move.order.order_number);
    element?.classList.remove("pending");
    const failed = element?.querySelector(".failed");
    if (failed) {
      failed.textContent = detail;
      failed.hidden = !detail;
    }
    this.#tools.say(detail || `${move.text}: done`);
    this.#tools.onChange();
  }
}
