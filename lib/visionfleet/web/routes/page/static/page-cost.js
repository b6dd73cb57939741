// What the fleet costs, in words. Nothing here touches the page.

import { counted, sentence } from "./page-words.js";

const SHOWN = ["today", "last 30 days"];

function money(dollars) {
  return `${dollars.toFixed(dollars >= 1 || dollars === 0 ? 2 : 4)} dollars`;
}

// Yields when, and what that time cost.
export function costs(cost) {
  const shown = cost ? cost.periods.filter((one) => SHOWN.includes(one.period)) : [];
  return shown.map((one) => [sentence(one.period), what(one)]);
}

// Says what the prices are of, and what has none.
export function priced(cost) {
  const missing = [...new Set(cost.periods.flatMap((one) => one.unpriced))];
  const known = cost.periods.some((one) => one.worker_dollars);
  const parts = known ? [`At prices of ${cost.prices}.`] : [];
  if (missing.length) parts.push(`No price is known of: ${missing.join("; ")}.`);
  return parts.join(" ");
}

function what(one) {
  const hours = one.worker_seconds / 3600;
  const work = `${counted(one.images, "image", "images")} in ${hours.toFixed(2)} worker-hours`;
  if (one.worker_dollars === null) return work;
  const thousand = one.dollars_per_thousand_images;
  const least = one.unpriced.length ? "more than " : "";
  const each = thousand === null ? "" : `; ${money(thousand)} per thousand images`;
  return `${least}${money(one.dollars)} for ${work}${each}`;
}
