// Finding in a trace: words, key=value, and -what for what does not match.

const KEYS = new Set(["actor", "type", "name", "error", "kind"]);

export function parse(text) {
  const terms = [];
  for (const [, minus, key, quoted, plain] of text.matchAll(/(-?)(?:([a-z]+)=)?(?:"([^"]*)"?|([^\s"]+))/gi)) {
    const value = (quoted ?? plain ?? "").toLowerCase();
    if (!value) continue;
    const known = key && KEYS.has(key.toLowerCase());
    terms.push({
      not: minus === "-",
      key: known ? key.toLowerCase() : null,
      value: key && !known ? `${key}=${value}`.toLowerCase() : value,
    });
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
  const at = (table, number) => number !== undefined && number >= 0 && table[number];
  const ways = {
    actor: (row) => at(holds, trace.actor[row]),
    type: (row) => at(types, trace.actor[row]),
    name: (row) => at(holds, trace.name[row]),
    error: (row) => at(holds, trace.errorOf.get(row)),
    kind: (row) => trace.kindOf(row).startsWith(value),
  };
  const one = key
    ? ways[key]
    : (row) => ways.name(row) || ways.actor(row) || ways.error(row) || trace.ids[row] === value;
  return not ? (row) => !one(row) : one;
}
