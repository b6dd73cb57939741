// The live picture of the fleet: asks for the scaler's status while the page is seen.

import { element } from "./page-cards.js";
import { draw } from "./page-chart.js";
import { costs, priced } from "./page-cost.js";
import { ago, counted, duration, sentence } from "./page-words.js";

const LIVELY_MS = 1000;
const CALM_MS = 4000;
const MOST_MS = 30000;
// The scaler writes an unchanged status once a minute; after three it does not live.
const SILENT_SECONDS = 180;
const SHOWN_DECISIONS = 5;
const STATES = [
  "busy", "idle", "booting", "draining", "drained", "stopping", "stuck", "crashing", "broken", "failed",
];

const part = (id) => document.getElementById(id);

export class Fleet {
  // `lively` tells whether answers are waited for; `onStatus` hears of each status.
  constructor(door, lively, onStatus) {
    this.door = door;
    this.lively = lively;
    this.onStatus = onStatus;
    this.failures = 0;
    this.timer = 0;
    this.asking = false;
    this.picked = false;
    for (const radio of document.getElementsByName("span")) {
      radio.addEventListener("change", () => { this.picked = true; this.render(); });
    }
    document.addEventListener("visibilitychange", () => this.soon());
    this.soon();
  }

  soon() {
    clearTimeout(this.timer);
    if (document.visibilityState === "visible" && !this.asking) this.poll();
  }

  async poll() {
    this.asking = true;
    try {
      await this.look();
      this.failures = 0;
    } catch {
      this.failures += 1;
      part("freshness").textContent = "not reachable, trying again";
    }
    this.asking = false;
    clearTimeout(this.timer);
    if (document.visibilityState !== "visible") return;
    const busy = this.lively() || (this.status && working(this.status));
    const pause = (busy ? LIVELY_MS : CALM_MS) * 2 ** Math.min(this.failures, 5);
    this.timer = setTimeout(() => this.poll(), Math.min(pause, MOST_MS));
  }

  async look() {
    const answer = await this.door.ask("v1/fleet");
    if (answer.status === 404) return; // the scaler has said nothing yet
    if (!answer.ok) throw new Error(String(answer.status));
    this.status = await answer.json();
    // What they agree on counts: the clocks of this machine and of the web daemon's may be wrong.
    this.skew = (this.status.now ?? this.status.at) - Date.now() / 1000;
    this.render();
    this.onStatus(this.status);
  }

  render() {
    const status = this.status;
    if (!status) return;
    const now = Math.max(Date.now() / 1000 + this.skew, status.at);
    part("fleet-empty").hidden = true;
    part("fleet-body").hidden = false;
    figures(status);
    crew(status.states);
    markets(status.markets || {}, status.market_reason);
    alarms(status.alarms || []);
    pulse(status);
    cost(status.cost);
    part("freshness").textContent = now - status.at > SILENT_SECONDS
      ? `the scaler was last heard of ${ago(now - status.at)}`
      : "live";
    this.chart(status, now);
    decisions(status, now);
  }

  chart(status, now) {
    const samples = status.history.map((entry) => sample(entry));
    samples.push({ ...sample(status), at: status.at, workers: total(status.states), reason: "" });
    if (!this.picked) pick(fitting(now - samples[0].at));
    const span = Number(document.querySelector("[name=span]:checked").value);
    draw(part("chart"), samples, { now, span, maximum: status.maximum });
    const seen = samples.filter((one) => one.at >= now - span);
    const most = (key) => Math.max(...(seen.length ? seen : samples.slice(-1)).map((one) => one[key]));
    part("chart-text").textContent = `Last ${duration(span)}: at most ${most("queue")} images waiting or in flight, `
      + `${counted(most("workers"), "worker", "workers")} at most, ${total(status.states)} now.`;
    const changes = seen.filter((one) => one.reason).length;
    part("caption").textContent = changes
      ? `${counted(changes, "decision", "decisions")}, a dot each; the dashed line is the most workers allowed.`
      : "Nothing had to change in this time. Give it some images.";
  }
}

export function total(states) {
  return Object.values(states).reduce((sum, count) => sum + count, 0);
}

function working(status) {
  return status.visible + status.in_flight + total(status.states) > 0;
}

function sample(entry) {
  const { at, workers, reason } = entry;
  return { at, workers, reason, queue: entry.visible + entry.in_flight };
}

function fitting(age) {
  return [300, 900].find((span) => age <= span) || 3600;
}

function pick(span) {
  document.querySelector(`[name=span][value="${span}"]`).checked = true;
}

function figures(status) {
  part("visible").textContent = status.visible;
  part("in-flight").textContent = status.in_flight;
  part("workers").textContent = total(status.states);
  part("maximum").textContent = `of ${status.maximum}`;
}

function pulse(status) {
  const count = total(status.states);
  part("pulse").hidden = false;
  part("pulse").classList.toggle("awake", count > 0);
  part("pulse").textContent = count ? counted(count, "worker", "workers") : "asleep, no workers";
}

function crew(states) {
  const known = [...STATES, ...Object.keys(states).filter((state) => !STATES.includes(state))];
  const items = known.filter((state) => states[state]).map((state) => {
    const item = element("li", state);
    const blocks = element("span", "blocks");
    blocks.setAttribute("aria-hidden", "true");
    for (let i = 0; i < Math.min(states[state], 24); i += 1) blocks.append(element("i"));
    item.append(blocks, `${states[state]} ${state}`);
    return item;
  });
  if (!items.length) items.push(element("li", "", "No worker runs, and none costs anything."));
  same(part("crew"), items);
}

// Of workers that are bought: which share is of which market, and why.
function markets(counts, reason) {
  const all = total(counts);
  const shares = Object.entries(counts).sort(([, one], [, other]) => other - one)
    .map(([market, count]) => `${count} ${market} (${Math.round((100 * count) / all)} %)`);
  part("markets").hidden = !all && !reason;
  part("markets").textContent = [shares.join(", ") || "none is bought", reason].filter(Boolean).join("; ");
}

function alarms(texts) {
  part("alarms").hidden = !texts.length;
  same(part("alarms"), texts.map((text) => element("li", "", sentence(text))));
}

function decisions(status, now) {
  const changes = status.history.filter((entry) => entry.reason);
  const latest = status.reason || status.decision;
  part("decision").textContent = `${sentence(latest)}.`;
  part("decision").hidden = changes.at(-1)?.reason === latest;
  const items = changes.slice(-SHOWN_DECISIONS).reverse().map((entry) => {
    const item = element("li");
    const time = element("time", "", ago(now - entry.at));
    time.dateTime = new Date(entry.at * 1000).toISOString();
    item.append(time, element("span", "", sentence(entry.reason)));
    return item;
  });
  part("decisions").replaceChildren(...items);
}

function cost(told) {
  const items = costs(told).map(([when, what]) => {
    const item = element("li");
    item.append(element("span", "", when), element("span", "", what));
    return item;
  });
  part("cost").hidden = !items.length;
  same(part("costs"), items);
  part("prices").textContent = told ? priced(told) : "";
}

// Replaces children only when they differ, so that animations go on.
function same(parent, items) {
  const made = element("ul");
  made.append(...items);
  if (made.innerHTML !== parent.innerHTML) parent.replaceChildren(...made.childNodes);
}
