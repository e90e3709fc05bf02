// Which rows are to be seen: what is collapsed, folded into one, or left out by "matches only".

import { BELOW, ERRORS } from "./data.js";

export const SPAN = -1;
export const GROUP = -2;
const ALIKE = 5;

export class Outline {
  constructor() {
    this.collapsed = new Set();
    this.openGroups = new Set();
    this.openAttempts = new Set();
    this.only = null;
    this.folding = true;
  }

  show(trace) {
    if (trace !== this.trace) {
      this.trace = trace;
      this.groups = alike(trace);
    }
    this.build();
  }

  // Fills rows (of the trace), subs (SPAN, GROUP, or the number of an attempt) and levels.
  build() {
    const { trace, collapsed } = this;
    const rows = [];
    const subs = [];
    const levels = [];
    const places = new Int32Array(trace.length).fill(-1);
    const open = [];
    const put = (row, sub, level) => {
      rows.push(row);
      subs.push(sub);
      levels.push(level);
    };
    for (let row = 0; row < trace.length; ) {
      while (open.length && row >= open.at(-1).end) open.pop();
      if (this.only && !this.only[row]) {
        // Only what matches and what is above it: a row that is out has nothing below that is in.
        row = trace.end[row];
        continue;
      }
      const level = trace.depth[row] + 1 + open.length;
      const group = this.only || !this.folding ? undefined : this.groups.get(row);
      if (group && open.at(-1) !== group) {
        put(row, GROUP, level);
        if (!this.openGroups.has(trace.ids[row])) {
          row = group.end;
          continue;
        }
        open.push(group);
        continue;
      }
      places[row] = rows.length;
      put(row, SPAN, level);
      const id = trace.ids[row];
      if (this.openAttempts.has(id)) {
        trace.attempts(row).forEach((_, number) => put(row, number, level + 1));
      }
      row = collapsed.has(id) && !this.only ? trace.end[row] : row + 1;
    }
    this.rows = rows;
    this.subs = subs;
    this.levels = levels;
    this.places = places;
    this.length = rows.length;
  }

  groupAt(row) {
    return this.groups.get(row);
  }

  expandable(row) {
    return this.trace.hasChildren(row) || this.trace.attempts(row).length > 1;
  }

  expanded(row) {
    const id = this.trace.ids[row];
    return this.trace.hasChildren(row) ? !this.collapsed.has(id) : this.openAttempts.has(id);
  }

  toggle(row, sub, expand) {
    const id = this.trace.ids[row];
    if (sub === GROUP) change(this.openGroups, id, expand);
    else if (this.trace.hasChildren(row)) change(this.collapsed, id, !expand);
    else change(this.openAttempts, id, expand);
    this.build();
  }

  toggleAttempts(row) {
    const id = this.trace.ids[row];
    change(this.openAttempts, id, !this.openAttempts.has(id));
    this.build();
  }

  // Opens whatever hides a row; returns its place.
  reveal(row) {
    const { trace } = this;
    if (this.only && !this.only[row]) this.only = null;
    for (let above = trace.parent[row]; above >= 0; above = trace.parent[above]) {
      this.collapsed.delete(trace.ids[above]);
    }
    for (let at = row; at >= 0; at = trace.parent[at]) {
      const start = this.groups.startOf(at);
      if (start >= 0) this.openGroups.add(trace.ids[start]);
    }
    this.build();
    return this.places[row];
  }

  get anyCollapsed() {
    return this.collapsed.size > 0;
  }

  collapseAll() {
    const { trace } = this;
    for (let row = 0; row < trace.length; row += 1) {
      if (trace.parent[row] >= 0 && trace.hasChildren(row)) this.collapsed.add(trace.ids[row]);
    }
    this.openAttempts.clear();
    this.openGroups.clear();
    this.build();
  }

  expandAll() {
    this.collapsed.clear();
    this.build();
  }

  // Shows only rows that match, and what is above them.
  restrict(matches) {
    if (!matches) this.only = null;
    else {
      const keep = new Uint8Array(this.trace.length);
      for (const row of matches) {
        for (let at = row; at >= 0 && !keep[at]; at = this.trace.parent[at]) keep[at] = 1;
      }
      this.only = keep;
    }
    this.build();
  }
}

function change(set, id, add) {
  if (add) set.add(id);
  else set.delete(id);
}

// Five or more siblings in a row that are alike and have no error in or below them.
function alike(trace) {
  const groups = new Map();
  const start = new Int32Array(trace.length).fill(-1);
  const fine = (row) => !trace.has(row, ERRORS | BELOW);
  const like = (one, other) =>
    trace.name[one] === trace.name[other] &&
    trace.kind[one] === trace.kind[other] &&
    trace.colour[one] === trace.colour[other] &&
    trace.end[one] - one === trace.end[other] - other &&
    trace.typeOf(one) === trace.typeOf(other);
  for (let row = 0; row < trace.length; row += 1) {
    if (start[row] >= 0 || trace.parent[row] < 0 || !fine(row)) continue;
    const members = [];
    let next = row;
    while (next < trace.length && trace.depth[next] === trace.depth[row] && fine(next) && like(row, next)) {
      members.push(next);
      next = trace.end[next];
    }
    if (members.length < ALIKE) {
      // None of these begins a longer run; they need not be looked at again.
      for (const member of members) start[member] = -1;
      continue;
    }
    for (const member of members) start[member] = row;
    groups.set(row, { start: row, end: next, members });
  }
  return Object.assign(groups, { startOf: (row) => start[row] });
}
