// Time travel: an instant on the time axis, and what state each actor had then.

import { drawn, duration, element } from "./words.js";

const PATIENCE = 80;
const PAGE = 10;

export class Travel {
  constructor({ root, view, state, save, reveal }) {
    Object.assign(this, { root, view, state, save, reveal });
    this.slider = root.querySelector("[data-instant]");
    this.ticks = root.querySelector("[data-ticks]");
    this.button = root.querySelector("[data-travel]");
    this.table = document.getElementById("waterfall");
    this.box = document.getElementById("states");
    this.steps = null;
    this.wanted = null;
    this.snap = false;
    this.pressed = false;
    this.late = null;
    if (this.box) this.listen();
  }

  get on() {
    return this.state.at !== null;
  }

  listen() {
    this.slider.addEventListener("input", () => this.go(this.view.scale.time(Number(this.slider.value))));
    this.slider.addEventListener("keydown", (event) => this.key(event));
    // What is pressed must still be there when it is let go: otherwise there is no click.
    this.box.addEventListener("pointerdown", () => { this.pressed = true; });
    for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => setTimeout(() => this.released()));
    this.box.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      const step = event.target.closest("[data-step]");
      const further = event.target.closest("[data-further]");
      if (!step && !further && !event.target.closest("[data-travel-end]")) return;
      event.preventDefault();
      if (step) this.step(Number(step.dataset.step));
      else if (further) this.load(Number(further.dataset.further));
      else this.close();
    });
    this.box.addEventListener("submit", (event) => {
      event.preventDefault();
      this.state.among = event.target.elements.among.value.trim();
      this.save();
      this.load();
    });
  }

  released() {
    this.pressed = false;
    if (this.late !== null) this.show(this.late);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = {
      ArrowLeft: () => this.step(-1),
      ArrowDown: () => this.step(-1),
      ArrowRight: () => this.step(1),
      ArrowUp: () => this.step(1),
      PageDown: () => this.step(-PAGE),
      PageUp: () => this.step(PAGE),
      Home: () => this.whenKnown(() => this.go(this.steps.first)),
      End: () => this.whenKnown(() => this.go(this.steps.last)),
      Escape: () => this.close(),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  // Begins where the selected row ends, or at the end of the trace.
  toggle() {
    if (this.on) {
      this.close();
      return;
    }
    const { trace, selected } = this.view;
    const row = trace.index.get(selected);
    this.go(row === undefined ? trace.duration : trace.start[row] + trace.took[row]);
    this.snap = true;
    this.slider.focus({ preventScroll: true });
  }

  close() {
    const held = this.box.contains(document.activeElement) || document.activeElement === this.slider;
    this.forget();
    Object.assign(this.state, { at: null, among: "" });
    this.save();
    this.draw();
    if (held) this.button.focus();
  }

  // To a change further on, or back; where none is on, it is turned on.
  step(by) {
    if (!this.box) return;
    if (!this.on) {
      this.toggle();
      return;
    }
    this.whenKnown(() => {
      const { at } = this.state;
      const { times } = this.steps;
      const next = by > 0 ? times.filter((time) => time > at) : times.filter((time) => time < at).reverse();
      if (next.length) this.go(next[Math.min(Math.abs(by), next.length) - 1]);
    });
  }

  // Does something now, or as soon as it is known where the changes are.
  whenKnown(action) {
    if (this.steps) {
      if (this.steps.marks.length) action();
    } else this.wanted = action;
  }

  // What was asked of the server and has not come, or has come and is not shown.
  drop() {
    clearTimeout(this.timer);
    this.asked?.abort();
    this.late = null;
  }

  // And what was to be done when it comes.
  forget() {
    this.drop();
    this.wanted = null;
    this.snap = false;
  }

  go(time) {
    this.forget();
    this.state.at = Math.round(Math.max(0, Math.min(time, this.view.trace.duration)));
    this.save();
    this.reveal(this.state.at);
    this.draw();
    this.timer = setTimeout(() => this.load(), PATIENCE);
  }

  // As the address has it.
  restore() {
    if (!this.box) this.state.at = null;
    this.draw();
    if (this.on) this.load();
  }

  draw() {
    if (!this.box) return;
    const { on, view, state } = this;
    this.button.setAttribute("aria-pressed", String(on));
    this.slider.hidden = this.box.hidden = !on;
    this.ticks.toggleAttribute("hidden", !on);
    const x = on ? view.scale.x(state.at) : -1;
    this.table.classList.toggle("playhead", x >= 0 && x <= 1);
    if (!on) return;
    this.table.style.setProperty("--playhead", String(x));
    this.slider.value = String(x);
    const place = this.steps && this.steps.at === state.at ? `, ${this.steps.number} of ${this.steps.count}` : "";
    this.slider.setAttribute("aria-valuetext", `${duration(state.at)} after the start${place}`);
    this.ticks.replaceChildren(...(this.steps?.marks ?? []).flatMap(([time, failed]) => {
      const at = view.scale.x(time);
      if (at < 0 || at > 1) return [];
      return [drawn("rect", { x: `${(at * 100).toFixed(3)}%`, width: 1.5, height: 6, class: failed ? "failed" : "" })];
    }));
  }

  async load(from = 0) {
    this.drop();
    const asked = new AbortController();
    this.asked = asked;
    this.box.setAttribute("aria-busy", "true");
    const query = new URLSearchParams({ at: String(Number((this.state.at / 1e6).toFixed(6))) });
    if (this.state.among) query.set("among", this.state.among);
    if (from) query.set("from", from);
    try {
      const address = `${this.view.address}states/?${query}`;
      const answer = await fetch(address, { headers: { "HX-Request": "true" }, signal: asked.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      if (asked.signal.aborted) return;
      this.show(text);
    } catch (error) {
      if (error.name === "AbortError") return;
      const again = element("button", "button", "Try again");
      again.type = "button";
      again.addEventListener("click", () => this.load(from));
      this.box.replaceChildren(element("p", "problem", "The states could not be loaded; the rows are still complete."), again);
    } finally {
      if (this.asked === asked) this.box.removeAttribute("aria-busy");
    }
  }

  show(text) {
    this.late = this.pressed ? text : null;
    if (this.pressed) return;
    const { box } = this;
    const held = box.contains(document.activeElement) ? document.activeElement : null;
    const again = held?.dataset.step ? `[data-step="${held.dataset.step}"]` : held?.name === "among" ? "[name=among]" : null;
    const top = box.scrollTop;
    box.innerHTML = text;
    const end = element("button", "icon-button", "×");
    end.type = "button";
    end.dataset.travelEnd = "";
    end.setAttribute("aria-label", "End time travel");
    const head = box.querySelector(".states-head");
    head.append(end);
    this.read(head.dataset);
    // Where nobody chose an instant, it is that of the change before.
    const { snap, wanted } = this;
    Object.assign(this, { snap: false, wanted: null });
    const moment = snap ? this.steps.times.findLast((time) => time <= this.state.at) : undefined;
    if (moment !== undefined && moment !== this.state.at) this.go(moment);
    wanted?.();
    box.scrollTop = top;
    const card = box.querySelector(".state-card.now, .state-card.hit");
    if (card && card.offsetTop + 40 > box.scrollTop + box.clientHeight) box.scrollTop = card.offsetTop - head.offsetHeight;
    else if (card && card.offsetTop < box.scrollTop + head.offsetHeight) box.scrollTop = card.offsetTop - head.offsetHeight;
    if (again) box.querySelector(again)?.focus();
    this.draw();
  }

  // The changes around the instant, so that going from one to the next need not wait.
  read({ at, around, first, last, number, steps }) {
    const nanoseconds = (text) => Math.round(parseFloat(text) * 1e6);
    const marks = around ? around.split(" ").map((each) => [nanoseconds(each), each.endsWith("!")]) : [];
    this.steps = {
      at: nanoseconds(at),
      number,
      count: steps,
      first: nanoseconds(first),
      last: nanoseconds(last),
      marks,
      times: [...new Set(marks.map(([time]) => time))],
    };
  }
}
