// Choosing rows: by click, key or link. The chosen span is in the address and in the panel.

import { ERRORS } from "./data.js";
import { ROW } from "./grid.js";
import { GROUP, SPAN } from "./outline.js";

export class Chooser {
  constructor({ view, state, grid, panel, save }) {
    Object.assign(this, { view, state, grid, panel, save });
    this.changed = () => {};
  }

  // As the address has it.
  restore() {
    const { view, state } = this;
    const row = state.span === null ? undefined : view.trace.index.get(state.span);
    if (row === undefined) {
      if (state.span !== null) this.panel.close();
      state.span = null;
      view.selected = null;
      this.grid.draw();
      this.changed();
      return;
    }
    view.selected = state.span;
    view.active = view.outline.reveal(row);
    this.grid.draw();
    this.grid.scrollTo(view.active, { centre: true });
    this.open(row, state.detail);
    this.changed();
  }

  select(id, { soon = false, focus = true, centre = false } = {}) {
    const { view, state, grid } = this;
    const row = view.trace.index.get(id);
    if (row === undefined) {
      this.leave(id);
      return;
    }
    const kept = view.trace.has(row, ERRORS) || !state.detail ? null : state.detail;
    state.detail = kept;
    state.span = id;
    view.selected = id;
    const restricted = Boolean(view.outline.only);
    const shown = view.outline.places[row];
    view.active = shown >= 0 ? shown : view.outline.reveal(row);
    if (restricted && !view.outline.only) state.only = false;
    this.save();
    if (state.tab === "waterfall") {
      grid.draw();
      grid.scrollTo(view.active, { centre });
      if (focus) grid.rowAt(view.active)?.focus({ preventScroll: true });
    }
    this.open(row, kept, { soon });
    this.changed();
  }

  // A span outside the window: the server finds the one that holds it.
  leave(id) {
    const url = new URL(location.href);
    for (const name of ["from", "detail"]) url.searchParams.delete(name);
    url.searchParams.set("span", id);
    location.assign(url);
  }

  open(row, detail, options) {
    if (this.view.address) this.panel.open(this.view.trace.ids[row], detail, options);
    else this.panel.tell(this.view.trace, row);
  }

  close() {
    Object.assign(this.state, { span: null, detail: null });
    this.view.selected = null;
    this.panel.close();
    this.save();
    this.grid.draw();
    this.changed();
  }

  // After rows came or went: the active row is the selected one where that is to be seen.
  settle() {
    const { view } = this;
    const row = view.selected === null ? undefined : view.trace.index.get(view.selected);
    const place = row === undefined ? -1 : view.outline.places[row];
    view.active = place >= 0 ? place : Math.max(0, Math.min(view.active, view.outline.length - 1));
  }

  step(by) {
    const { view } = this;
    if (!view.outline.length) return;
    const started = view.selected !== null || view.active > 0 || document.activeElement?.closest("#waterfall");
    const from = started ? view.active : by > 0 ? -1 : view.outline.length;
    this.to(Math.max(0, Math.min(view.outline.length - 1, from + by)));
  }

  to(place) {
    const { view, grid } = this;
    view.active = place;
    if (view.outline.subs[place] === SPAN) {
      this.select(view.trace.ids[view.outline.rows[place]], { soon: true });
      return;
    }
    grid.draw();
    grid.focusActive();
  }

  error(direction) {
    const { view } = this;
    const errors = view.trace.doc.errors;
    if (!errors.length) return;
    const row = view.trace.index.get(view.selected);
    const here = row === undefined ? (direction > 0 ? -1 : Infinity) : row + view.trace.first;
    const next = direction > 0
      ? errors.find((error) => error[0] > here) ?? errors[0]
      : errors.findLast((error) => error[0] < here) ?? errors.at(-1);
    this.select(next[1], { centre: true });
  }

  toggle(place, expand) {
    const { view, grid } = this;
    const [row, sub] = [view.outline.rows[place], view.outline.subs[place]];
    view.outline.toggle(row, sub, expand);
    view.active = place;
    grid.draw();
    this.changed();
  }

  expandedAt(place) {
    const { outline, trace } = this.view;
    const [row, sub] = [outline.rows[place], outline.subs[place]];
    if (sub === GROUP) return outline.openGroups.has(trace.ids[row]);
    return sub === SPAN && outline.expandable(row) ? outline.expanded(row) : null;
  }

  left() {
    const { outline } = this.view;
    const place = this.view.active;
    if (this.expandedAt(place)) {
      this.toggle(place, false);
      this.grid.focusActive();
      return;
    }
    for (let above = place - 1; above >= 0; above -= 1) {
      if (outline.levels[above] < outline.levels[place]) {
        this.to(above);
        return;
      }
    }
  }

  right() {
    const expanded = this.expandedAt(this.view.active);
    if (expanded === false) {
      this.toggle(this.view.active, true);
      this.grid.focusActive();
    } else if (expanded) this.step(1);
  }

  clicked(event) {
    const { target } = event;
    const link = target.closest("a[href]");
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const tab = target.closest("#panel [role=tab]");
    if (tab) {
      this.state.detail = new URL(tab.href).searchParams.get("tab");
      this.save();
      return;
    }
    const row = target.closest("#waterfall tbody tr");
    if (!row) {
      this.follow(event, link);
      return;
    }
    if (row.place === undefined) return;
    event.preventDefault();
    const sub = this.view.outline.subs[row.place];
    if (target.closest("[data-attempts]")) {
      this.view.outline.toggleAttempts(this.view.outline.rows[row.place]);
      this.settle();
      this.grid.draw();
    } else if (target.closest("[data-fold]") || sub === GROUP) this.toggle(row.place, !this.expandedAt(row.place));
    else if (sub === SPAN) this.select(row.dataset.span);
  }

  // A link to a span of this trace selects it here.
  follow(event, link) {
    if (!link || !this.view.address || event.defaultPrevented) return;
    const url = new URL(link.getAttribute("href"), location.href);
    const span = url.searchParams.get("span");
    if (url.pathname !== this.view.address || !span) return;
    event.preventDefault();
    this.select(span, { centre: true });
  }

  keys() {
    const page = () => Math.max(1, Math.floor(this.grid.scroller.clientHeight / ROW) - 2);
    return {
      j: () => this.step(1),
      k: () => this.step(-1),
      ArrowDown: () => this.step(1),
      ArrowUp: () => this.step(-1),
      PageDown: () => this.step(page()),
      PageUp: () => this.step(-page()),
      Home: () => this.to(0),
      End: () => this.to(this.view.outline.length - 1),
      e: () => this.error(1),
      E: () => this.error(-1),
      ArrowLeft: () => this.left(),
      ArrowRight: () => this.right(),
      Enter: () => this.activate(),
      Escape: () => this.close(),
    };
  }

  activate() {
    const { outline, trace, active } = this.view;
    if (outline.subs[active] === GROUP) this.toggle(active, !this.expandedAt(active));
    else if (outline.length) this.select(trace.ids[outline.rows[active]]);
  }
}
