// A trace's rows as the server sends them (tracing/rows.py), unpacked into typed arrays.

export const FAILED = 1;
export const OPEN = 2;
export const ERRORS = 4;
export const BELOW = 8;
const WAITS = -2;

export class Trace {
  constructor(doc) {
    const n = doc.id.length;
    this.doc = doc;
    this.length = n;
    this.first = doc.first;
    this.total = doc.total;
    this.duration = doc.duration;
    this.ids = doc.id;
    this.depth = Int32Array.from(doc.depth);
    this.kinds = doc.K;
    this.kind = Uint8Array.from(doc.kind);
    this.name = Int32Array.from(doc.name);
    this.actor = Int32Array.from(doc.actor);
    this.start = Float64Array.from(doc.t);
    this.took = Float64Array.from(doc.d);
    this.handled = Float64Array.from(doc.h);
    this.flags = Uint8Array.from(doc.f);
    this.strings = doc.S;
    this.errorOf = new Map(doc.x);
    this.attemptsOf = new Map(doc.A.map(([row, ...rest]) => [row, attempts(rest)]));
    this.index = new Map();
    for (let row = 0; row < n; row += 1) this.index.set(doc.id[row], row);
    this.relate();
    this.colourRows();
  }

  get whole() {
    return this.length === this.total;
  }

  // Parents, and where each row's descendants end.
  relate() {
    const n = this.length;
    this.parent = new Int32Array(n).fill(-1);
    this.end = new Int32Array(n).fill(n);
    const path = [];
    for (let row = 0; row < n; row += 1) {
      while (path.length && this.depth[path.at(-1)] >= this.depth[row]) this.end[path.pop()] = row;
      if (path.length) this.parent[row] = path.at(-1);
      path.push(row);
    }
  }

  colourRows() {
    const types = new Map(this.doc.types.map((type, at) => [type, at]));
    const colours = this.strings.map((text) => types.get(text.split("/", 1)[0]) ?? 0);
    this.colour = Uint8Array.from(this.actor, (number) => (number < 0 ? 0 : colours[number]));
  }

  nameOf(row) {
    return this.strings[this.name[row]] ?? "";
  }

  actorOf(row) {
    return this.strings[this.actor[row]] ?? "";
  }

  typeOf(row) {
    return this.actorOf(row).split("/", 1)[0];
  }

  errorText(row) {
    return this.strings[this.errorOf.get(row)] ?? "";
  }

  kindOf(row) {
    return this.kinds[this.kind[row]];
  }

  has(row, flag) {
    return (this.flags[row] & flag) !== 0;
  }

  hasChildren(row) {
    return this.end[row] > row + 1;
  }

  attempts(row) {
    const known = this.attemptsOf.get(row);
    if (known) return known;
    if (this.handled[row] < 0) return [];
    const end = this.has(row, OPEN) ? -1 : this.took[row];
    return [{ number: 1, start: this.handled[row], end, error: -1, waits: false }];
  }

  // The parts of a row's bar: [kind, start, end], in nanoseconds from the trace's start.
  bars(row) {
    const start = this.start[row];
    const stop = start + this.took[row];
    const open = this.has(row, OPEN);
    const tries = this.attempts(row);
    if (!tries.length) {
      const kind = this.kindOf(row) === "message" ? "waiting" : open ? "open" : "handling";
      return [[kind, start, stop]];
    }
    const parts = [];
    if (tries[0].start > 0) parts.push(["waiting", start, start + tries[0].start]);
    tries.forEach((each, at) => {
      const end = each.end < 0 ? stop : start + each.end;
      parts.push([each.end < 0 ? "open" : "handling", start + each.start, end]);
      const next = tries[at + 1];
      if (each.end >= 0 && next) parts.push(["backoff", end, start + next.start]);
      else if (each.end >= 0 && end < stop) parts.push(["backoff", end, stop]);
    });
    return parts;
  }
}

function attempts(flat) {
  const found = [];
  for (let at = 0; at < flat.length; at += 4) {
    const error = flat[at + 3];
    found.push({ number: flat[at], start: flat[at + 1], end: flat[at + 2], error: Math.max(error, -1), waits: error === WAITS });
  }
  return found;
}

// Returns the rows, or null when they are still the ones that were known.
export async function fetchRows(address, known, { signal } = {}) {
  const headers = known ? { "If-None-Match": known } : {};
  const answer = await fetch(address, { headers, signal, cache: known ? "no-store" : "default" });
  if (answer.status === 304) return null;
  if (!answer.ok) throw new Error(`the rows could not be loaded (${answer.status})`);
  return { trace: new Trace(await answer.json()), etag: answer.headers.get("ETag") };
}
