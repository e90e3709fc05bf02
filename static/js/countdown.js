// Counts down to what is due; without this script the time itself stands there.

function left(milliseconds) {
  const seconds = Math.ceil(milliseconds / 1000);
  if (seconds <= 0) return "due now";
  if (seconds < 60) return `in ${seconds} s`;
  const [size, unit, below, small] = seconds < 3_600 ? [60, "min", 1, "s"] : seconds < 86_400 ? [3_600, "h", 60, "min"] : [86_400, "d", 3_600, "h"];
  const rest = Math.floor((seconds % size) / below);
  return `in ${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${small}` : ""}`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-until]")) {
    const text = left(new Date(time.dateTime) - Date.now());
    if (time.textContent !== text) time.textContent = text;
  }
}

tick();
setInterval(tick, 1_000);
document.addEventListener("htmx:afterSwap", tick);
