// Sends images and waits for their answers: a few at a time, so that browsers, which open six
// connections to one host, have some left for the fleet.

import { read } from "./page-key.js";

const SENDERS = 3;
const WAITERS = 2;
const WAIT_SECONDS = 20;
const TRIES = 6;
const PASSING = new Set(["try_later", "overloaded", "rate_limited", "unreachable"]);

export class Uploads {
  constructor(door) {
    this.door = door;
    this.unsent = [];
    this.unanswered = [];
    this.senders = 0;
    this.waiters = 0;
  }

  get open() {
    return this.unsent.length + this.unanswered.length + this.senders + this.waiters;
  }

  // `card` is told of each step: sending, queued, later, done, failed.
  add(card) {
    card.tries = 0;
    card.started = performance.now();
    this.unsent.push(card);
    this.work();
  }

  clear() {
    this.unsent = [];
    this.unanswered = [];
  }

  work() {
    while (this.senders < SENDERS && this.unsent.length) {
      this.senders += 1;
      this.send(this.unsent.shift()).finally(() => { this.senders -= 1; this.work(); });
    }
    while (this.waiters < WAITERS && this.unanswered.length) {
      this.waiters += 1;
      this.wait(this.unanswered.shift()).finally(() => { this.waiters -= 1; this.work(); });
    }
  }

  async send(card) {
    if (card.gone) return;
    card.sending();
    const body = new FormData();
    body.append("file", card.file, card.file.name || "pasted");
    const [answer, said] = await this.asked("v1/jobs", { method: "POST", body });
    if (!answer.ok) return this.refused(card, said, answer, this.unsent);
    card.job = said.job;
    card.tries = 0;
    card.queued();
    this.unanswered.push(card);
  }

  async wait(card) {
    if (card.gone) return;
    const path = `v1/jobs/${card.job}?wait=${WAIT_SECONDS}`;
    const [answer, said] = await this.asked(path);
    if (answer.status === 202) {
      this.unanswered.push(card);
    } else if (!answer.ok) {
      await this.refused(card, said, answer, this.unanswered);
    } else if (said.status === "succeeded") {
      card.done(said, (performance.now() - card.started) / 1000);
    } else {
      card.failed(said, false);
    }
  }

  async asked(path, options) {
    try {
      const answer = await this.door.ask(path, options);
      return [answer, await read(answer)];
    } catch {
      return [{ ok: false, status: 0, headers: new Headers() }, { code: "unreachable" }];
    }
  }

  // What passes is tried again in the time that the service names; the sender is held that long.
  async refused(card, problem, answer, queue) {
    card.tries += 1;
    const passing = PASSING.has(problem.code) || answer.status === 503;
    if (!passing || card.tries >= TRIES) return card.failed(problem, passing);
    const named = Number(answer.headers.get("Retry-After"));
    const seconds = Math.min(60, named > 0 ? named : 2 ** card.tries);
    card.later(problem, seconds);
    await new Promise((go) => setTimeout(go, seconds * 1000));
    queue.push(card);
  }
}
