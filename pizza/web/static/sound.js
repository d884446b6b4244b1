// A sound for each new order; off by default.

const STORAGE_KEY = "pizza.sound";

export class Sound {
  #button;
  #context = null;

  constructor(button) {
    this.#button = button;
    button.addEventListener("click", () => this.toggle());
    // A browser plays no sound before a click on the page.
    if (localStorage.getItem(STORAGE_KEY) === "on") addEventListener("pointerdown", () => this.#context ||= new AudioContext(), { once: true });
    this.#show();
  }

  get on() {
    return localStorage.getItem(STORAGE_KEY) === "on";
  }

  toggle() {
    localStorage.setItem(STORAGE_KEY, this.on ? "off" : "on");
    if (this.on) this.#context ||= new AudioContext();
    this.#show();
    this.ring();
  }

  /** Two short notes, unless it is off. */
  ring() {
    if (!this.on || !this.#context) return;
    for (const [pitch, start] of [[660, 0], [880, 0.18]]) {
      const note = this.#context.createOscillator();
      const volume = this.#context.createGain();
      const at = this.#context.currentTime + start;
      note.frequency.value = pitch;
      volume.gain.setValueAtTime(0.2, at);
      volume.gain.exponentialRampToValueAtTime(0.001, at + 0.16);
      note.connect(volume).connect(this.#context.destination);
      note.start(at);
      note.stop(at + 0.17);
    }
    this.#button.dataset.rung = String(Number(this.#button.dataset.rung || 0) + 1);
  }

  #show() {
    this.#button.setAttribute("aria-pressed", String(this.on));
    this.#button.textContent = this.on ? "Sound on" : "Sound off";
  }
}
