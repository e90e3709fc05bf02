// The details of the selected span: fetched when asked for, the latest request wins.

import { duration, element } from "./words.js";

const PATIENCE = 90;

export class Panel {
  constructor(box, address) {
    this.box = box;
    this.address = address;
    this.asked = null;
    this.timer = 0;
    this.hint = [...box.children].filter((child) => !child.matches("p.panel-hint")).map((child) => child.cloneNode(true));
  }

  // `soon` waits a little: whoever holds a key down passes many rows.
  open(id, detail, { soon = false } = {}) {
    clearTimeout(this.timer);
    this.asked?.abort();
    if (soon) this.timer = setTimeout(() => this.load(id, detail), PATIENCE);
    else this.load(id, detail);
  }

  async load(id, detail) {
    const asked = new AbortController();
    this.asked = asked;
    this.box.setAttribute("aria-busy", "true");
    const address = `${this.address}spans/${id}/${detail ? `?tab=${encodeURIComponent(detail)}` : ""}`;
    try {
      const answer = await fetch(address, { headers: { "HX-Request": "true" }, signal: asked.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      if (asked.signal.aborted) return;
      this.box.innerHTML = text;
      this.box.scrollTop = 0;
      window.htmx?.process(this.box);
    } catch (error) {
      if (error.name === "AbortError") return;
      const again = element("button", "button", "Try again");
      again.type = "button";
      again.addEventListener("click", () => this.open(id, detail));
      const what = element("p", "", "The details could not be loaded; the rows are still complete.");
      const hint = element("div", "panel-hint");
      hint.append(what, again);
      this.box.replaceChildren(hint);
    } finally {
      if (this.asked === asked) this.box.removeAttribute("aria-busy");
    }
  }

  // What a row itself tells: all there is of an uploaded trace.
  tell(trace, row) {
    const head = element("div", "panel-head");
    const title = element("div", "panel-title");
    const close = element("button", "icon-button", "×");
    close.type = "button";
    close.dataset.closePanel = "";
    close.setAttribute("aria-label", "Close the details");
    title.append(element("h2", "", trace.nameOf(row)), close);
    head.append(title, element("p", "panel-facts actor-id", trace.actorOf(row) || trace.kindOf(row)));
    const facts = element("dl", "facts");
    const fact = (name, value) => facts.append(element("dt", "", name), element("dd", "mono", value));
    fact("Begins after", duration(trace.start[row]));
    fact("Takes", duration(trace.took[row]));
    if (trace.errorText(row)) fact("Error", trace.errorText(row));
    trace.attempts(row).forEach((attempt) => {
      const error = trace.strings[attempt.error];
      fact(`Attempt ${attempt.number}`, attempt.end < 0 ? "open" : `${duration(attempt.end - attempt.start)}${error ? ` · ${error}` : ""}`);
    });
    fact("Span", trace.ids[row]);
    const body = element("div", "panel-body");
    body.append(facts, element("p", "muted", "This trace was uploaded: what it refers to is not followed."));
    this.box.replaceChildren(head, body);
  }

  close() {
    clearTimeout(this.timer);
    this.asked?.abort();
    this.box.replaceChildren(...this.hint.map((child) => child.cloneNode(true)));
  }
}
