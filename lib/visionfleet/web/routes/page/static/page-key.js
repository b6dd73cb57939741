// Asks the service, with the API key once there is one. Requests that lack it wait for it.

const STORED = "visionfleet-key";

export class Door {
  constructor(form, onKeyNeeded) {
    this.form = form;
    this.input = form.querySelector("input");
    this.label = form.querySelector("label");
    this.onKeyNeeded = onKeyNeeded;
    this.key = sessionStorage.getItem(STORED) || "";
    this.needed = Boolean(this.key);
    this.waiting = [];
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.use(this.input.value.trim());
    });
  }

  use(key) {
    if (!key) return;
    this.key = key;
    this.input.value = "";
    this.form.hidden = true;
    for (const go of this.waiting.splice(0)) go();
  }

  // Resolves with an answer that is no 401, however long the key takes.
  async ask(path, options = {}) {
    for (;;) {
      const key = this.key;
      const headers = { ...options.headers };
      if (key) headers.Authorization = `Bearer ${key}`;
      const answer = await fetch(path, { ...options, headers, cache: "no-store" });
      if (answer.status !== 401) {
        if (key) sessionStorage.setItem(STORED, key);
        return answer;
      }
      if (this.key === key) await this.refused(key);
    }
  }

  refused(key) {
    sessionStorage.removeItem(STORED);
    this.needed = true;
    this.label.textContent = key
      ? "The service does not accept this key. Try another one"
      : "This service asks for an API key";
    this.form.classList.toggle("bad", Boolean(key));
    if (this.form.hidden) {
      this.form.hidden = false;
      this.input.focus();
    }
    this.onKeyNeeded();
    return new Promise((go) => this.waiting.push(go));
  }
}

// The JSON of an answer, or a problem made up for an answer that has none.
export async function read(answer) {
  try {
    return await answer.json();
  } catch {
    return { code: "", detail: `The service answered with status ${answer.status}.` };
  }
}
