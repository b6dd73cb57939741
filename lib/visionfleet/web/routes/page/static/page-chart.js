// Draws the queue and the workers over time: two lanes of steps above one axis of time.

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 44;
const RIGHT = 628;
const LANES = [
  { key: "queue", title: "images waiting or in flight", top: 34, bottom: 162 },
  { key: "workers", title: "workers", top: 206, bottom: 310 },
];
const TICKS = { 300: 60, 900: 180, 3600: 900 };

// `samples` are {at, queue, workers, reason}, oldest first; the last value holds until `now`.
export function draw(svg, samples, { now, span, maximum }) {
  const from = now - span;
  const across = (at) => LEFT + ((RIGHT - LEFT) * (Math.max(from, at) - from)) / span;
  const parts = [];
  for (const lane of LANES) {
    const most = Math.max(1, ...held(samples, from).map((sample) => sample[lane.key]),
      lane.key === "workers" ? maximum : 0);
    const up = (value) => lane.bottom - ((lane.bottom - lane.top) * value) / most;
    parts.push(
      line("grid", LEFT, lane.bottom, RIGHT),
      line(lane.key === "workers" ? "most" : "grid", LEFT, lane.top, RIGHT),
      text(lane.title, LEFT, lane.top - 10, "start", "lane"),
      text(String(most), LEFT - 8, lane.top + 5, "end"),
      text("0", LEFT - 8, lane.bottom + 5, "end"),
      make("path", { class: lane.key, d: steps(held(samples, from), lane, across, up, now) }),
    );
    if (lane.key === "workers") parts.push(...marks(samples, from, across, up));
  }
  svg.querySelectorAll(":scope > g").forEach((group) => group.remove());
  const group = make("g", { "aria-hidden": "true" });
  group.append(...parts, ...times(now, span, across));
  svg.append(group);
}

// The samples in view, with the one before it, which holds at its left edge.
function held(samples, from) {
  const first = samples.findIndex((sample) => sample.at >= from);
  if (first < 0) return samples.slice(-1);
  return samples.slice(Math.max(0, first - 1));
}

function steps(samples, { key, bottom }, across, up, now) {
  if (!samples.length) return "";
  let path = `M${across(samples[0].at).toFixed(1)} ${bottom}`;
  for (const sample of samples) {
    path += `H${across(sample.at).toFixed(1)}V${up(sample[key]).toFixed(1)}`;
  }
  return `${path}H${across(now).toFixed(1)}V${bottom}`;
}

function marks(samples, from, across, up) {
  return samples.filter((sample) => sample.reason && sample.at >= from).map((sample) => {
    const dot = make("circle", { class: "mark", r: 5, cx: across(sample.at), cy: up(sample.workers) });
    const title = make("title", {});
    title.textContent = sample.reason;
    dot.append(title);
    return dot;
  });
}

function times(now, span, across) {
  const made = [];
  for (let back = 0; back <= span; back += TICKS[span]) {
    const words = back === 0 ? "now" : `${back / 60} min`;
    made.push(text(words, across(now - back), 340, back === span ? "start" : back ? "middle" : "end"));
  }
  return made;
}

function line(className, x1, y, x2) {
  return make("path", { class: className, d: `M${x1} ${y}H${x2}` });
}

function text(words, x, y, anchor, className = "") {
  const made = make("text", { x, y, "text-anchor": anchor, class: className });
  made.textContent = words;
  return made;
}

function make(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
