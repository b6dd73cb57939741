// What the model knows: its labels, and when it is not sure.

import { element } from "./page-cards.js";
import { counted, percent } from "./page-words.js";

const SHOWN_LABELS = 200;

const part = (id) => document.getElementById(id);

export class Model {
  constructor(door) {
    this.door = door;
    this.labels = [];
    part("model-find").addEventListener("input", () => this.find());
  }

  // Asks at first, and when other workers or other models are there; again until it is told.
  async look(status) {
    const there = status.workers.map((one) => one.worker + (one.model?.fingerprint ?? "")).sort().join();
    if (there === this.there) return;
    this.there = there;
    const answer = await this.door.ask("v1/model").catch(() => null);
    if (answer?.ok) this.show(await answer.json());
    else if (status.workers.some((one) => one.model)) this.there = undefined;
  }

  show(model) {
    const { name, labels, input, unknown_below: below } = model;
    this.labels = labels;
    part("known-labels").replaceChildren(...labels.map((label) => new Option(label)));
    part("model").hidden = false;
    part("model-name").textContent = `The model knows ${counted(labels.length, "class", "classes")}`;
    part("model-detail").textContent = `${name} sees the middle of an image, as ${input.side} x ${input.side} pixels. `
      + (below ? `Where its score is below ${percent(below)}, it is not sure.` : "It always gives a label.");
    this.find();
  }

  find() {
    const sought = part("model-find").value.trim().toLowerCase();
    const found = this.labels.filter((label) => label.toLowerCase().includes(sought));
    const more = found.length > SHOWN_LABELS ? `, of which the first ${SHOWN_LABELS} are shown` : "";
    part("model-found").textContent = counted(found.length, "label", "labels") + more;
    part("model-labels").replaceChildren(...found.slice(0, SHOWN_LABELS).map((label) => element("li", "", label)));
  }
}
