// Marking points of a scatter narrows the list of traces to their times and durations.

import { listen } from "./brush.js";

const UNITS = [[60e9, "min"], [1e9, "s"], [1e6, "ms"]];

// As the filters take it: at most six digits after the point, and never an exponent.
function duration(nanoseconds) {
  const [size, unit] = UNITS.find(([size]) => nanoseconds >= size) ?? UNITS.at(-1);
  return `${Number((nanoseconds / size).toFixed(unit === "ms" ? 4 : 3))} ${unit}`;
}

function narrow(plot, { x, y }) {
  const { from, to, low, high, traces } = plot.closest("[data-scatter]").dataset;
  const time = (share) => Math.round(Number(from) + share * (Number(to) - Number(from)));
  const powers = Math.log10(Number(high) / Number(low));
  const height = (share) => Number(low) * 10 ** ((1 - share) * powers);
  // On the list what is filtered already stays so.
  const query = new URLSearchParams(location.pathname === traces ? location.search : "");
  for (const name of ["since", "cursor"]) query.delete(name);
  query.set("from", time(x[0]));
  query.set("to", Math.max(time(x[1]), time(x[0]) + 1));
  query.set("least", duration(height(y[1])));
  query.set("most", duration(height(y[0])));
  location.href = `${traces}?${query}`;
}

listen((target) => target.closest("[data-scatter] [data-brush]"), narrow);
