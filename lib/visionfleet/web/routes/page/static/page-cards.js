// One card per image: its thumbnail, and what becomes of it.

import { Correction } from "./page-correct.js";
import { bytes, detail, duration, failure, percent } from "./page-words.js";

const STAGES = [
  ["queue", "in the queue"],
  ["fetch", "fetched"],
  ["decode", "decoded"],
  ["infer", "recognised"],
];

export class Card {
  constructor(template, file, page) {
    this.file = file;
    this.page = page;
    this.name = file.name || "pasted image";
    this.element = template.content.firstElementChild.cloneNode(true);
    this.part(".name").textContent = `${this.name}, ${bytes(file.size)}`;
    this.part(".name").title = this.name;
    this.thumb();
    this.part(".again button").addEventListener("click", () => page.again(this));
    this.correction = new Correction(this, page.door);
    this.show("waiting", "Waiting for its turn");
  }

  part(selector) {
    return this.element.querySelector(selector);
  }

  thumb() {
    const image = this.part("img");
    const none = () => { image.hidden = true; this.part(".thumb").classList.add("none"); };
    image.addEventListener("error", none);
    this.url = URL.createObjectURL(this.file);
    image.src = this.url;
  }

  // A request that is under way goes on; nobody is told how it ends.
  forget() {
    this.gone = true;
    URL.revokeObjectURL(this.url);
    this.element.remove();
  }

  show(state, text) {
    if (this.gone) return;
    this.state = state;
    this.element.className = `card ${state}`;
    this.part(".state").textContent = text;
    this.part(".again").hidden = true;
    this.part(".detail").hidden = true;
    this.page.changed();
  }

  sending() { this.show("waiting", "Uploading"); }

  queued() { this.show("waiting", "In the queue"); }

  later(problem, seconds) {
    this.show("waiting", `${failure(problem)} Trying again in ${duration(seconds)}.`);
  }

  failed(problem, repeatable) {
    this.show("failed", failure(problem));
    this.part(".detail").textContent = detail(problem);
    this.part(".detail").hidden = !detail(problem);
    this.part(".again").hidden = !repeatable;
    if (!this.gone) this.page.say(`${this.name}: ${failure(problem)}`);
  }

  done(result, seconds) {
    const unsure = result.label === null;
    const told = unsure ? "Not sure what this is. The best guesses:" : result.label;
    const best = result.top[0].label;
    this.show("done", told);
    this.element.classList.toggle("unsure", unsure);
    this.part("img").alt = `What was sent: ${unsure ? `perhaps ${best}` : best}`;
    this.part(".bars").replaceChildren(...result.top.map(bar));
    this.part(".bars").hidden = false;
    this.stages(result, seconds);
    this.correction.offer();
    if (!this.gone) this.page.say(`${this.name}: ${unsure ? "not sure, perhaps " : ""}${best}, ${percent(result.score)}`);
  }

  stages(result, seconds) {
    const known = STAGES.filter(([key]) => Number.isFinite(result.timings[key]));
    this.part(".strip").replaceChildren(...known.map(([key]) => {
      const piece = element("i");
      piece.style.flexGrow = String(Math.max(0, result.timings[key]) * 1000);
      return piece;
    }));
    const items = known.map(([key, word]) => stage(duration(Math.max(0, result.timings[key])), word));
    this.part(".stages ul").replaceChildren(stage(duration(seconds), "in all"), ...items);
    this.part(".stages").hidden = false;
  }
}

function bar({ label, score }) {
  const item = element("li");
  const track = element("div", "track");
  const fill = element("div", "fill");
  fill.style.width = `${Math.max(0, Math.min(1, score)) * 100}%`;
  track.append(fill);
  const named = element("span", "label", label);
  named.title = label;
  item.append(named, track, element("span", "share", percent(score)));
  return item;
}

function stage(time, word) {
  const item = element("li");
  item.append(element("b", "", time), ` ${word}`);
  return item;
}

export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
