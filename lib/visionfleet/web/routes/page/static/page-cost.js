// What the fleet costs, in words. Nothing here touches the page.

import { counted, sentence } from "./page-words.js";

const SHOWN = ["today", "last 30 days"];

export function money(dollars) {
  const places = dollars >= 1 || dollars === 0 ? 2 : 4;
  return `${dollars.toFixed(places)} dollars`;
}

export function costs(cost) {
  if (!cost) return "";
  const shown = cost.periods.filter((one) => SHOWN.includes(one.period));
  const missing = [...new Set(shown.flatMap((one) => one.unpriced))];
  const parts = shown.map(period);
  if (missing.length) parts.push(`No price, and left out: ${missing.join("; ")}.`);
  return `${parts.join(" ")} At prices of ${cost.prices}.`;
}

function period(one) {
  const images = counted(one.images, "image", "images");
  const hours = `${(one.worker_seconds / 3600).toFixed(2)} worker-hours`;
  if (one.worker_dollars === null) return `${sentence(one.period)}: ${images} in ${hours}.`;
  const thousand = one.dollars_per_thousand_images;
  const each = thousand === null ? "" : `, ${money(thousand)} per thousand`;
  return `${sentence(one.period)}: ${money(one.dollars)} for ${images} in ${hours}${each}.`;
}
