// What every page has: theme switch, relative times, copy buttons.

const root = document.documentElement;

function currentTheme() {
  return root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

document.querySelector("[data-theme-toggle]")?.addEventListener("click", () => {
  root.dataset.theme = currentTheme() === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("loom-theme", root.dataset.theme);
  } catch {
    // The choice then lasts as long as the page.
  }
  document.dispatchEvent(new CustomEvent("loom:theme"));
});

const STEPS = [[60, "second"], [60, "minute"], [24, "hour"], [Infinity, "day"]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });

function ago(date) {
  let amount = (date - Date.now()) / 1000;
  for (const [size, unit] of STEPS) {
    if (Math.abs(amount) < size) return relative.format(Math.round(amount), unit);
    amount /= size;
  }
  return "";
}

function refreshTimes() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    time.textContent = ago(new Date(time.dateTime));
  }
}
refreshTimes();
setInterval(refreshTimes, 10_000);
document.addEventListener("htmx:afterSwap", refreshTimes);

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return;
  }
  button.dataset.done = "";
  setTimeout(() => delete button.dataset.done, 1_500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copy-link]");
  if (button) copy(button, button.dataset.copy ?? location.href);
});

// What could not be loaded says so where it was asked for; asking again takes that back.
document.addEventListener("htmx:beforeRequest", (event) => event.detail.elt.removeAttribute("data-failed"));
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.failed) event.detail.elt.setAttribute("data-failed", "");
});

const waiting = document.querySelector("[data-reload]");
if (waiting) setTimeout(() => location.reload(), Number(waiting.dataset.reload));

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.defaultPrevented || event.target.closest("input, select, textarea")) return;
  const find = document.querySelector("[data-find], .jump input");
  if (find) {
    event.preventDefault();
    find.focus();
  }
});
