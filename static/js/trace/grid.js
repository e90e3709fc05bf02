// The waterfall as a treegrid of which only the rows in sight are in the document.

import { drawBars, fillRow, makeRow } from "./row.js";
import { count, duration } from "./words.js";

export const ROW = 28;
const SPARE = 8;
const MAX_PRINTED = 1_000;

export class Grid {
  constructor(scroller, view) {
    this.scroller = scroller;
    this.view = view;
    this.table = scroller.querySelector("table");
    this.head = this.table.tHead;
    this.body = this.table.tBodies[0];
    this.live = [];
    this.from = 0;
    this.waiting = false;
    this.kept = 0;
    scroller.addEventListener("scroll", () => {
      if (scroller.clientHeight) this.kept = scroller.scrollTop;
      this.later();
    }, { passive: true });
    this.height = scroller.clientHeight;
    new ResizeObserver(() => this.resized()).observe(scroller);
    this.printing = false;
    addEventListener("beforeprint", () => this.print(true));
    addEventListener("afterprint", () => this.print(false));
    matchMedia("print").addEventListener("change", (event) => this.print(event.matches));
  }

  // On paper all rows are there, one below the other; of very many those around the active one.
  print(on) {
    const { outline, trace } = this.view;
    if (!trace || on === this.printing) return;
    this.printing = on;
    this.table.classList.toggle("virtual", !on);
    const note = this.scroller.parentElement.querySelector("[data-printed]");
    note.hidden = true;
    this.live = [];
    this.body.replaceChildren();
    if (!on) {
      this.draw();
      return;
    }
    const from = Math.max(0, Math.min(this.view.active - MAX_PRINTED / 2, outline.length - MAX_PRINTED));
    const to = Math.min(outline.length, from + MAX_PRINTED);
    for (let place = from; place < to; place += 1) {
      const row = makeRow();
      fillRow(row, place, this.view);
      this.body.append(row);
    }
    if (to - from < outline.length) {
      note.textContent = `Rows ${count(from + 1)} to ${count(to)} of ${count(outline.length)} are on paper.`;
      note.hidden = false;
    }
    this.body.style.height = "";
  }

  // Draws what changed: rows are filled again, the place in the list stays.
  draw() {
    if (this.printing) return;
    const { outline, trace } = this.view;
    if (!this.table.classList.contains("virtual")) {
      this.body.replaceChildren();
      this.table.classList.add("virtual");
      this.table.tabIndex = -1;
    }
    this.table.setAttribute("aria-rowcount", trace.total - trace.length + outline.length + 1);
    this.head.rows[0].setAttribute("aria-rowindex", 1);
    this.body.style.height = `${outline.length * ROW}px`;
    this.axis();
    this.place(true);
  }

  // Out of sight it lost its place, and another row may have been chosen.
  shown() {
    this.draw();
    this.scroller.scrollTop = this.kept;
    if (this.view.selected !== null) this.scrollTo(this.view.active, { centre: true });
  }

  // Only the bars: after a zoom.
  redrawBars() {
    this.axis();
    for (const row of this.live) drawBars(row, this.view);
  }

  axis() {
    const marks = this.head.querySelectorAll(".axis span");
    marks.forEach((mark, at) => {
      mark.textContent = duration(this.view.scale.time(at / (marks.length - 1)));
    });
  }

  // A row that was in sight stays in sight when there is less room.
  resized() {
    const before = this.height;
    this.height = this.scroller.clientHeight;
    if (!this.view.outline?.length) return;
    const bottom = this.view.active * ROW + ROW - this.scroller.scrollTop + this.head.offsetHeight;
    if (this.height < before && bottom > this.height && bottom <= before) this.scrollTo(this.view.active);
    this.later();
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.view.trace) this.place(false);
    });
  }

  place(refill) {
    if (this.printing) return;
    const { outline } = this.view;
    const height = this.scroller.clientHeight || 600;
    const top = Math.floor(this.scroller.scrollTop / ROW);
    const from = Math.max(0, Math.min(top, outline.length) - SPARE);
    const to = Math.min(outline.length, top + Math.ceil(height / ROW) + SPARE);
    const before = this.from;
    const had = this.live.length;
    if (!refill && from === before && to - from === had) return;
    const held = document.activeElement?.closest?.("#waterfall tbody tr");
    // What scrolled out at one end is used again at the other.
    if (!refill && from > before && from < before + had) this.turn(from - before, true);
    else if (!refill && from < before && from + had > before) this.turn(before - from, false);
    this.from = from;
    while (this.live.length < to - from) {
      const row = makeRow();
      this.live.push(row);
      this.body.append(row);
    }
    while (this.live.length > to - from) this.live.pop().remove();
    this.live.forEach((row, at) => {
      if (!refill && row.place === from + at) return;
      fillRow(row, from + at, this.view);
      row.style.transform = `translateY(${(from + at) * ROW}px)`;
    });
    if (held) this.keepFocus();
    // Without a row in sight that takes the focus, the table itself does.
    this.table.tabIndex = this.rowAt(this.view.active) ? -1 : 0;
  }

  turn(steps, down) {
    for (let step = 0; step < steps; step += 1) {
      const row = down ? this.live.shift() : this.live.pop();
      if (down) {
        this.live.push(row);
        this.body.append(row);
      } else {
        this.live.unshift(row);
        this.body.prepend(row);
      }
    }
  }

  keepFocus() {
    const row = this.rowAt(this.view.active);
    const target = row ?? this.table;
    if (document.activeElement !== target) target.focus({ preventScroll: true });
  }

  rowAt(place) {
    const row = this.live[place - this.from];
    return row && row.place === place ? row : null;
  }

  focusActive() {
    this.scrollTo(this.view.active);
    this.rowAt(this.view.active)?.focus({ preventScroll: true });
  }

  // Brings a row into sight: where it is, when it is to be seen already.
  scrollTo(place, { centre = false } = {}) {
    const top = place * ROW;
    const height = this.scroller.clientHeight - this.head.offsetHeight;
    const { scrollTop } = this.scroller;
    if (centre && (top < scrollTop || top + ROW > scrollTop + height)) {
      this.scroller.scrollTop = Math.max(0, top - height / 2);
    } else if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + ROW > scrollTop + height) this.scroller.scrollTop = top + ROW - height;
    this.place(false);
  }

  // Runs a change and then puts the row that was on top back to where it was.
  steady(change) {
    const { outline, trace } = this.view;
    const top = Math.floor(this.scroller.scrollTop / ROW);
    const id = trace && outline.length ? trace.ids[outline.rows[Math.min(top, outline.length - 1)]] : null;
    const rest = this.scroller.scrollTop - top * ROW;
    change();
    const row = id === null ? undefined : this.view.trace.index.get(id);
    const place = row === undefined ? -1 : this.view.outline.places[row];
    if (place >= 0 && place !== top) {
      this.body.style.height = `${this.view.outline.length * ROW}px`;
      this.scroller.scrollTop = place * ROW + rest;
    }
    this.draw();
  }
}
