// On a card: what a person says that its image shows, kept by the service to learn from.

import { read } from "./page-key.js";
import { detail, failure } from "./page-words.js";

export class Correction {
  constructor(card, door) {
    this.card = card;
    this.door = door;
    this.part = card.part(".correct");
    [this.opener, this.form, this.told] = ["button", "form", "output"].map((tag) => this.part.querySelector(tag));
    this.input = this.form.querySelector("input");
    this.opener.addEventListener("click", () => this.open());
    this.form.querySelector("[type=button]").addEventListener("click", () => this.close());
    this.form.addEventListener("keydown", (event) => { if (event.key === "Escape") this.close(); });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.keep();
    });
  }

  offer() { this.part.hidden = false; }

  open() {
    this.opener.hidden = true;
    this.form.hidden = false;
    this.input.value = this.kept ?? "";
    this.input.select();
  }

  close() {
    this.form.hidden = true;
    this.opener.hidden = false;
    this.opener.focus();
    this.tell(this.words ?? "");
  }

  async keep() {
    this.input.value = this.input.value.trim();
    if (this.busy || !this.form.reportValidity()) return;
    this.busy = true;
    this.tell("Being kept");
    const said = await this.sent(this.input.value);
    this.busy = false;
    if (said.code !== undefined) return this.tell(`${failure(said)} ${detail(said)}`.trim(), true);
    this.kept = said.label;
    this.words = `Kept: it shows ${said.label}. ${said.image_kept
      ? "The image is kept as well, to learn from." : "The image itself is deleted already."}`;
    this.opener.textContent = "Change";
    this.close();
  }

  async sent(label) {
    const options = {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ label }),
    };
    try {
      return await read(await this.door.ask(`v1/jobs/${this.card.job}/label`, options));
    } catch {
      return { code: "unreachable" };
    }
  }

  tell(text, failed = false) {
    this.told.textContent = text;
    this.told.classList.toggle("bad", failed);
  }
}
