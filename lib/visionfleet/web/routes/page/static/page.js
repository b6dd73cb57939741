// Puts the page together: where images come from, and who is told what.

import { Card } from "./page-cards.js";
import { Fleet, total } from "./page-fleet.js";
import { Door } from "./page-key.js";
import { Model } from "./page-model.js";
import { Uploads } from "./page-upload.js";
import { counted, duration } from "./page-words.js";

const part = (id) => document.getElementById(id);

const cards = [];
const said = [];
const door = new Door(part("key-form"), () => curl());
const uploads = new Uploads(door);

const page = {
  door,
  changed() {
    const count = (state) => cards.filter((card) => card.state === state).length;
    const failed = count("failed") ? `, ${count("failed")} failed` : "";
    part("progress").textContent = `${count("done")} of ${cards.length}${failed}`;
  },
  say(text) {
    said.push(text);
    if (said.length === 1) setTimeout(speak, 700);
  },
  again(card) {
    uploads.add(card);
  },
};

// Many answers at once are one sentence: a screen reader would drop all but the last.
function speak() {
  const texts = said.splice(0);
  part("said").textContent = texts.length > 3
    ? `${texts.length} more answers; the last: ${texts.at(-1)}`
    : texts.join(". ");
}

function take(files) {
  const chosen = [...files];
  if (!chosen.length) return;
  part("results").hidden = false;
  const made = chosen.map((file) => new Card(part("card"), file, page));
  cards.unshift(...made);
  part("cards").prepend(...made.map((card) => card.element));
  page.changed();
  for (const card of made) uploads.add(card);
  fleet.soon();
}

function clear() {
  uploads.clear();
  for (const card of cards.splice(0)) card.forget();
  part("results").hidden = true;
  part("files").focus();
}

function curl() {
  const key = door.needed ? '-H "Authorization: Bearer $KEY" ' : "";
  part("curl").textContent = `curl ${key}-F file=@cat.jpg ${new URL("v1/classify", document.baseURI)}`;
}

async function copy() {
  try {
    await navigator.clipboard.writeText(part("curl").textContent);
    part("copy").textContent = "Copied";
  } catch { // without HTTPS there is no clipboard but on this machine
    getSelection().selectAllChildren(part("curl"));
    part("copy").textContent = "Selected";
  }
  setTimeout(() => { part("copy").textContent = "Copy"; }, 2000);
}

function starting(status) {
  const ready = (status.states.idle || 0) + (status.states.busy || 0);
  const booting = status.states.booting || 0;
  const waits = cards.some((card) => card.state === "waiting");
  const shown = waits && ready === 0;
  const word = booting
    ? `${counted(booting, "worker is", "workers are")} starting.`
    : total(status.states) ? "No worker is ready; the scaler starts one."
      : "There is no worker yet; one is being started.";
  const usual = status.boot_seconds ? ` That usually takes about ${duration(status.boot_seconds)}.` : "";
  const text = shown ? word + usual : "";
  if (part("starting").textContent !== text) part("starting").textContent = text;
  part("starting").hidden = !shown;
}

function listen() {
  part("files").addEventListener("change", (event) => {
    take(event.target.files);
    event.target.value = "";
  });
  part("form").addEventListener("submit", (event) => event.preventDefault());
  part("clear").addEventListener("click", clear);
  part("copy").addEventListener("click", copy);
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  const over = (on) => document.body.classList.toggle("over", on);
  document.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    take(event.dataTransfer.files);
  });
}

const model = new Model(door);
const fleet = new Fleet(door, () => uploads.open > 0, (status) => {
  starting(status);
  model.look(status);
});
listen();
curl();
