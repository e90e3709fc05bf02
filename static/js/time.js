// How times read: relative or absolute, in UTC or in the zone of whoever looks. One switch for all.

const KEY = "loom-zone";

export function zone() {
  try {
    return localStorage.getItem(KEY) === "local" ? "local" : "utc";
  } catch {
    return "utc";
  }
}

function setZone(name) {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // The choice cannot be kept; nothing changes then.
  }
}

const two = (number) => String(number).padStart(2, "0");

// Minutes that the zone is ahead of UTC at that time.
function ahead(date) {
  return zone() === "utc" ? 0 : -date.getTimezoneOffset();
}

function offset(date) {
  if (zone() === "utc") return "UTC";
  const minutes = ahead(date);
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

// A date whose UTC fields read as the chosen zone's clock does, for what only knows UTC.
export function shifted(milliseconds) {
  return milliseconds + ahead(new Date(milliseconds)) * 60_000;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// `style`: "moment" 15:04:05 · "minute" 15:04 · "hour" 26 Nov 15:04 · "day" 26 Nov · "second", "millisecond" the whole time.
export function written(date, style) {
  const shown = new Date(shifted(date.getTime()));
  const minute = `${two(shown.getUTCHours())}:${two(shown.getUTCMinutes())}`;
  const day = `${shown.getUTCDate()} ${MONTHS[shown.getUTCMonth()]}`;
  if (style === "minute") return minute;
  if (style === "day") return day;
  if (style === "hour") return `${day} ${minute}`;
  const iso = shown.toISOString();
  if (style === "moment") return iso.slice(11, 19);
  return `${iso.slice(0, 10)} ${iso.slice(11, style === "second" ? 19 : 23)} ${offset(date)}`;
}

const STEPS = [[60, "second"], [60, "minute"], [24, "hour"], [Infinity, "day"]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });

function ago(date) {
  let amount = (date - Date.now()) / 1000;
  if (Math.abs(amount) < 1) return "just now";
  for (const [size, unit] of STEPS) {
    if (Math.abs(amount) < size) return relative.format(Math.round(amount), unit);
    amount /= size;
  }
  return "";
}

function show(time) {
  const date = new Date(time.dateTime);
  const text = "ago" in time.dataset ? ago(date) : written(date, time.dataset.clock);
  if (time.textContent !== text) time.textContent = text;
  const whole = written(date, "second");
  if (time.title !== whole) time.title = whole;
}

export function refreshTimes() {
  for (const time of document.querySelectorAll("time[data-ago], time[data-clock]")) show(time);
  for (const mark of document.querySelectorAll("text[data-at]")) {
    mark.textContent = written(new Date(Number(mark.dataset.at)), mark.dataset.clock);
  }
}

function name() {
  return zone() === "utc" ? "UTC" : `UTC${offset(new Date())}`;
}

function nameZone() {
  for (const place of document.querySelectorAll("[data-zone-name]")) place.textContent = name();
  const toggle = document.querySelector("[data-zone-toggle]");
  if (!toggle) return;
  toggle.hidden = false;
  toggle.textContent = zone() === "utc" ? "UTC" : "Local";
  toggle.title = `Times are ${name()}. Switch to ${zone() === "utc" ? "local time" : "UTC"}`;
}

export function keepTimes() {
  refreshTimes();
  nameZone();
  setInterval(refreshTimes, 10_000);
  document.addEventListener("htmx:afterSwap", refreshTimes);
  // The head of a trace that runs is replaced without htmx.
  const live = document.getElementById("trace-head")?.parentElement;
  if (live) new MutationObserver(refreshTimes).observe(live, { childList: true });
  document.querySelector("[data-zone-toggle]")?.addEventListener("click", () => {
    setZone(zone() === "utc" ? "local" : "utc");
    refreshTimes();
    nameZone();
    document.dispatchEvent(new CustomEvent("loom:zone"));
  });
}
