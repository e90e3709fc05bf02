// How durations and numbers are written, as the server writes them.

const UNITS = [[86400e9, "d"], [3600e9, "h"], [60e9, "min"], [1e9, "s"], [1e6, "ms"], [1e3, "µs"]];

export function duration(nanoseconds) {
  const size = Math.abs(nanoseconds);
  for (const [unit, name] of UNITS) {
    if (size >= unit) {
      const value = nanoseconds / unit;
      const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
      return `${value.toFixed(digits)} ${name}`;
    }
  }
  return `${Math.round(nanoseconds)} ns`;
}

export const count = (number) => number.toLocaleString("en-US");

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

export function drawn(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
