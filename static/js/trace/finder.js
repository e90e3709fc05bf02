// The find box: how many rows match, which of them is chosen, and only those on demand.

import { find } from "./find.js";
import { count } from "./words.js";

const PATIENCE = 120;

export class Finder {
  constructor({ root, view, state, grid, chooser, save }) {
    Object.assign(this, { view, state, grid, chooser, save });
    this.field = root.querySelector("[data-find]");
    this.output = root.querySelector("[data-find-count]");
    this.steps = root.querySelectorAll("[data-match]");
    this.onlyButton = root.querySelector("[data-only]");
    this.rows = null;
    this.field.value = state.find;
    this.field.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.changed(), PATIENCE);
    });
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.onlyButton.addEventListener("click", () => {
      this.state.only = !this.state.only;
      this.apply();
    });
  }

  focus() {
    this.field.focus();
    this.field.select();
  }

  key(event) {
    if (event.key === "Enter") {
      clearTimeout(this.timer);
      this.changed();
      this.step(event.shiftKey ? -1 : 1, { focus: false });
    } else if (event.key === "Escape") {
      this.field.value = "";
      this.changed();
      this.field.blur();
    } else return;
    event.preventDefault();
  }

  changed() {
    if (this.state.find === this.field.value) return;
    this.state.find = this.field.value;
    this.apply();
  }

  apply() {
    this.grid.steady(() => {
      this.look();
      this.chooser.settle();
    });
    this.save();
    this.chooser.changed();
  }

  // Finds again, in what the trace now is.
  look() {
    const { view, state } = this;
    this.rows = find(view.trace, state.find);
    view.matches = this.rows && new Set(this.rows);
    view.outline.restrict(state.only && this.rows ? this.rows : null);
    for (const step of this.steps) step.disabled = !this.rows?.length;
    this.onlyButton.hidden = !this.rows;
    this.count();
  }

  count() {
    const row = this.view.trace.index.get(this.view.selected);
    const at = this.rows?.indexOf(row) ?? -1;
    if (!this.rows) this.output.textContent = "";
    else if (!this.rows.length) this.output.textContent = "none";
    else this.output.textContent = at < 0 ? count(this.rows.length) : `${count(at + 1)} of ${count(this.rows.length)}`;
  }

  step(direction, { focus = true } = {}) {
    if (!this.rows?.length) return;
    const here = this.view.trace.index.get(this.view.selected) ?? (direction > 0 ? -1 : Infinity);
    const next = direction > 0
      ? this.rows.find((row) => row > here) ?? this.rows[0]
      : this.rows.findLast((row) => row < here) ?? this.rows.at(-1);
    this.chooser.select(this.view.trace.ids[next], { focus, centre: true, soon: true });
  }
}
