// Waterfall, sequence, statistics, events: views of one selection.

import { drawSequence } from "./sequence.js";

export class Tabs {
  constructor(root, view, { select, change }) {
    this.root = root;
    this.view = view;
    this.select = select;
    this.tabs = [...root.querySelectorAll("[data-tab]")];
    this.loaded = new Set();
    for (const tab of this.tabs) {
      tab.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        change(tab.dataset.tab);
      });
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        event.stopPropagation();
        const next = this.tabs[(this.tabs.indexOf(tab) + step + this.tabs.length) % this.tabs.length];
        next.focus();
        change(next.dataset.tab);
      });
    }
  }

  get names() {
    return this.tabs.map((tab) => tab.dataset.tab);
  }

  show(name) {
    for (const tab of this.tabs) {
      const on = tab.dataset.tab === name;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      document.getElementById(`view-${tab.dataset.tab}`).hidden = !on;
      if (on) this.fill(name, tab);
    }
    this.root.dataset.showing = name;
  }

  fill(name, tab) {
    const box = document.getElementById(`view-${name}`);
    if (name === "sequence") this.redraw();
    else if (name !== "waterfall" && !this.loaded.has(name)) this.load(name, tab.href, box);
  }

  redraw() {
    const box = document.getElementById("view-sequence");
    if (!box.hidden) drawSequence(box, this.view, this.select);
  }

  // What was fetched before tells an earlier state.
  forget() {
    this.loaded.clear();
  }

  async load(name, address, box) {
    box.setAttribute("aria-busy", "true");
    if (!box.firstChild) box.textContent = "Loading…";
    try {
      const answer = await fetch(address, { headers: { "HX-Request": "true" } });
      if (!answer.ok) throw new Error(String(answer.status));
      box.innerHTML = await answer.text();
      window.htmx?.process(box);
      this.loaded.add(name);
    } catch {
      box.textContent = "This could not be loaded; the waterfall still can be read. Choose the tab again to try again.";
    }
    box.removeAttribute("aria-busy");
  }
}
