// The trace page: puts its parts together. What is shown is in the address.

import { readAddress, writeAddress } from "./address.js";
import { Chooser } from "./chooser.js";
import { Trace, fetchRows } from "./data.js";
import { Finder } from "./finder.js";
import { Grid } from "./grid.js";
import { listen } from "./keys.js";
import { Live } from "./live.js";
import { Outline } from "./outline.js";
import { Overview } from "./overview.js";
import { Panel } from "./panel.js";
import { Scale } from "./scale.js";
import { Tabs } from "./tabs.js";
import { Travel } from "./travel.js";
import { count, duration, element } from "./words.js";

const root = document.getElementById("trace");
const { address = null, rows: rowsAddress } = root.dataset;
const state = readAddress();
const view = { trace: null, outline: new Outline(), scale: null, selected: null, active: 0, matches: null, path: null, address };
const save = () => writeAddress(state);

const grid = new Grid(document.getElementById("rows"), view);
const panel = new Panel(document.getElementById("panel"), address);
const chooser = new Chooser({ view, state, grid, panel, save });
const select = (id) => chooser.select(id);
const finder = new Finder({ root, view, state, grid, chooser, save });
const tabs = new Tabs(root, view, { select, change: changeTab });
const overview = new Overview(document.getElementById("overview"), view, { zoom, select });
const travel = new Travel({ root, view, state, save, reveal });
const button = (name) => root.querySelector(`[data-${name}]`);
let etag = null;

chooser.changed = () => {
  countFailing();
  finder.count();
  tabs.redraw();
  toggles();
};

function changeTab(tab) {
  state.tab = tabs.names.includes(tab) ? tab : "waterfall";
  tabs.show(state.tab);
  save();
  if (state.tab === "waterfall" && view.trace) grid.shown();
}

function rescale() {
  view.scale = new Scale(view.trace.duration, state.idle ? [] : view.trace.doc.gaps);
  view.scale.zoom(state.zoom);
}

function zoom(range) {
  state.zoom = range && range[1] > range[0] ? range : null;
  view.scale.zoom(state.zoom);
  grid.redrawBars();
  overview.draw();
  travel.draw();
  toggles();
  save();
}

// Moves what is zoomed in on, so that a time is within.
function reveal(time) {
  const [from, to] = state.zoom ?? [0, Infinity];
  if (time >= from && time <= to) return;
  const low = Math.max(0, time - (to - from) / 2);
  zoom([low, low + to - from]);
}

function zoomToSelection() {
  const row = view.trace.index.get(view.selected);
  if (row === undefined) return;
  const start = view.trace.start[row];
  const rim = Math.max(view.trace.took[row] * 0.05, 1_000);
  zoom([Math.max(0, start - rim), Math.min(view.trace.duration, start + view.trace.took[row] + rim)]);
}

function toggles() {
  const set = (name, on) => button(name)?.setAttribute("aria-pressed", String(Boolean(on)));
  set("only", state.only);
  set("path", state.path);
  set("idle", state.idle);
  button("idle").hidden = !view.trace.doc.gaps.length;
  button("fit").hidden = !view.scale.zoomed;
  button("fold-all").textContent = view.outline.anyCollapsed ? "Expand all" : "Collapse all";
}

async function showPath() {
  if (!state.path) view.path = null;
  else if (!view.path && address) {
    const answer = await fetch(`${address}path/`);
    if (!answer.ok) return;
    const rows = new Map();
    for (const [row, start, end] of (await answer.json()).path) {
      if (!rows.has(row)) rows.set(row, []);
      rows.get(row).push([start, end]);
    }
    view.path = rows;
  }
  root.classList.toggle("with-path", Boolean(view.path));
  grid.redrawBars();
}

function foldAll() {
  const { outline } = view;
  if (outline.anyCollapsed) outline.expandAll();
  else outline.collapseAll();
  chooser.settle();
  grid.draw();
  toggles();
}

function countFailing() {
  const box = root.querySelector("[data-error-count]");
  if (!box) return;
  const all = Number(box.dataset.errorCount);
  const ids = [...new Set(view.trace.doc.errors.map((error) => error[1]))];
  const at = ids.indexOf(view.selected);
  const spans = `${count(all)} failing span${all === 1 ? "" : "s"}`;
  box.textContent = at < 0 ? spans : `${count(at + 1)} of ${count(all)} failing`;
  // So that what follows does not move when the number changes.
  box.style.minInlineSize = `${Math.max(spans.length, `${count(all)} of ${count(all)} failing`.length)}ch`;
}

function showWindow() {
  const { trace } = view;
  const box = root.querySelector("[data-window]");
  box.hidden = trace.whole;
  if (trace.whole) return;
  const link = (text, from) => {
    const made = element("a", "", text);
    const url = new URL(location.href);
    for (const name of ["span", "detail"]) url.searchParams.delete(name);
    url.searchParams.set("from", Math.max(0, from));
    made.href = url.search;
    return made;
  };
  const [first, last] = [trace.first, trace.first + trace.length];
  box.replaceChildren(`Showing rows ${count(first + 1)}–${count(last)} of ${count(trace.total)}; finding and sequence are of these rows. `);
  if (first > 0) box.append(link("Earlier rows", first - trace.length), " ");
  if (last < trace.total) box.append(link("Later rows", last));
}

function take(trace) {
  view.trace = trace;
  rescale();
  view.outline.show(trace);
  finder.look();
  chooser.settle();
}

// Returns whether the trace still runs.
async function refresh() {
  const [found, head] = await Promise.all([fetchRows(rowsAddress, etag), fetch(`${address}live/`)]);
  if (found) {
    etag = found.etag;
    view.path = null;
    grid.steady(() => take(found.trace));
    overview.draw();
    showWindow();
    tabs.forget();
    tabs.redraw();
    travel.restore();
    showPath();
  }
  if (head.status === 200) {
    const fresh = element("template");
    fresh.innerHTML = await head.text();
    const old = document.getElementById("trace-head");
    const shown = old.querySelector(".live")?.textContent;
    old.replaceWith(fresh.content);
    const pill = root.querySelector(".live");
    if (pill && shown) pill.textContent = shown;
    countFailing();
  }
  return running();
}

// The header and the rows are read one after the other, and either may be the older one.
function running() {
  return view.trace.doc.live || document.getElementById("trace-head").hasAttribute("data-live");
}

function showLive(status) {
  const pill = root.querySelector(".live");
  if (!status) pill?.remove();
  else if (pill) {
    pill.textContent = status;
    pill.dataset.state = status;
  }
}

function goOn() {
  for (const box of root.querySelectorAll("[data-so-far]")) {
    box.textContent = `${duration((Date.now() - Number(box.dataset.soFar)) * 1e6)} so far`;
  }
}

root.addEventListener("click", (event) => {
  const { target } = event;
  const on = (name) => target.closest(`[data-${name}]`);
  if (on("error")) chooser.error(Number(on("error").dataset.error));
  else if (on("match")) finder.step(Number(on("match").dataset.match));
  else if (on("close-panel")) chooser.close();
  else if (on("fold-all")) foldAll();
  else if (on("fit")) zoom(null);
  else if (on("travel")) travel.toggle();
  else if (on("help")) document.getElementById("help").showModal();
  else if (on("path")) {
    state.path = !state.path;
    save();
    toggles();
    showPath();
  } else if (on("idle")) {
    state.idle = !state.idle;
    rescale();
    zoom(state.zoom);
  } else chooser.clicked(event);
});

listen({
  ...chooser.keys(),
  n: () => finder.step(1),
  N: () => finder.step(-1),
  f: () => zoom(null),
  z: zoomToSelection,
  t: () => address && travel.toggle(),
  "[": () => travel.step(-1),
  "]": () => travel.step(1),
  "/": () => {
    if (state.tab !== "waterfall") changeTab("waterfall");
    finder.focus();
  },
  ".": () => document.querySelector("[data-copy-link]")?.click(),
  "?": () => document.getElementById("help").showModal(),
  ...Object.fromEntries(tabs.names.map((name, at) => [String(at + 1), () => changeTab(name)])),
});

async function start() {
  const sent = document.getElementById("rows-data");
  try {
    if (sent) take(new Trace(JSON.parse(sent.textContent)));
    else {
      const found = await fetchRows(rowsAddress, null);
      etag = found.etag;
      take(found.trace);
    }
  } catch {
    root.querySelector("[data-tools]").after(element("p", "problem", "The rows could not be loaded: what is below is the first of them. Reload to try again."));
    return;
  }
  root.classList.add("scripted");
  button("tools").hidden = false;
  overview.box.hidden = false;
  changeTab(state.tab);
  showWindow();
  chooser.restore();
  overview.draw();
  travel.restore();
  root.dataset.ready = "";
  if (state.path) showPath();
  if (address && running()) {
    new Live(`${address}stream/`, refresh, showLive).start();
    setInterval(goOn, 1_000);
  }
}

start();
