// What the page says: failures, durations and decisions in plain words. Nothing here touches it.

const FAILURES = {
  bad_body: "The upload arrived broken.",
  cannot_be_decoded: "This image is broken: its content cannot be read.",
  empty: "This file is empty.",
  expired: "No worker took it in time.",
  gave_up: "Workers failed over this image too often, so it was given up.",
  gone: "The service has no result of this image any more; send it again.",
  image_missing: "The image was deleted before a worker could read it.",
  image_refused: "The storage behind the service does not give this image out.",
  internal: "The server made a mistake; its log tells more.",
  not_an_image: "This is not an image that the service reads.",
  overloaded: "There is more work than the service takes at the moment.",
  rate_limited: "That was too many requests in a short time.",
  too_large: "This file is too large.",
  too_many_pixels: "This image has too many pixels.",
  try_later: "The storage behind the service does not answer at the moment.",
  unknown_job: "The service does not know this image any more.",
  unreachable: "The service cannot be reached.",
};

export function failure(problem) {
  return FAILURES[problem.code] || problem.detail || problem.reason || "That did not work.";
}

export function detail(problem) {
  const text = problem.detail || problem.reason || "";
  return FAILURES[problem.code] && text ? `Told by the service: ${text}.`.replace("..", ".") : "";
}

export function duration(seconds) {
  if (seconds < 0.0095) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.5) return `${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export function ago(seconds) {
  return seconds < 2 ? "now" : `${duration(Math.max(1, Math.round(seconds)))} ago`.replace(".0", "");
}

export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return share >= 0.9995 ? "100 %" : `${(100 * share).toFixed(1)} %`;
}

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  return count < 1e6 ? `${Math.round(count / 1000)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

export function counted(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

// "Launch 2: ..." reads better than "launch 2: ..."
export function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : "";
}
