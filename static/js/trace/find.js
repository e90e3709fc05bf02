// Finding in a trace: words, key=value, key= for any value, and -what for what does not match.

import { ERRORS, FAILED, OPEN } from "./data.js";

const KEYS = new Set(["actor", "type", "name", "error", "kind", "status"]);

export function parse(text) {
  const terms = [];
  for (const [, minus, key, quoted, plain] of text.matchAll(/(-?)(?:([a-z]+)=)?(?:"([^"]*)"?|([^\s"]*))/gi)) {
    const not = minus === "-";
    const value = (quoted ?? plain ?? "").toLowerCase();
    const known = key && KEYS.has(key.toLowerCase());
    if (known) terms.push({ not, key: key.toLowerCase(), value });
    else if (key) terms.push({ not, key: null, value: `${key}=${value}`.toLowerCase() });
    // A key alone: what has none of it.
    else if (not && KEYS.has(value)) terms.push({ not, key: value, value: "" });
    else if (value) terms.push({ not, key: null, value });
  }
  return terms;
}

// Returns the rows that match all terms, in order; null when nothing is looked for.
export function find(trace, text) {
  const terms = parse(text);
  if (!terms.length) return null;
  const lower = trace.strings.map((each) => each.toLowerCase());
  const tests = terms.map((term) => test(trace, lower, term));
  const found = [];
  for (let row = 0; row < trace.length; row += 1) {
    if (tests.every((matches) => matches(row))) found.push(row);
  }
  return found;
}

function test(trace, lower, { not, key, value }) {
  const holds = lower.map((text) => text.includes(value));
  const types = lower.map((text) => text.split("/", 1)[0] === value);
  const at = (table, number) => number !== undefined && number >= 0 && (!value || table[number]);
  const ways = {
    actor: (row) => at(holds, trace.actor[row]),
    type: (row) => at(types, trace.actor[row]),
    name: (row) => at(holds, trace.name[row]),
    error: (row) => at(holds, trace.errorOf.get(row)),
    kind: (row) => trace.kindOf(row).startsWith(value),
    status: (row) => statusOf(trace, row).startsWith(value),
  };
  const one = key
    ? ways[key]
    : (row) => ways.name(row) || ways.actor(row) || ways.error(row) || trace.ids[row] === value;
  return not ? (row) => !one(row) : one;
}

function statusOf(trace, row) {
  if (trace.has(row, FAILED)) return "failed";
  if (trace.has(row, OPEN)) return "open";
  return trace.has(row, ERRORS) ? "recovered" : "done";
}
