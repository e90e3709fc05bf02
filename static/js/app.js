// What every page has: theme and time zone, copy buttons, keys.

import { listenForKeys } from "./keys.js";
import { keepRange } from "./range.js";
import { keepTimes } from "./time.js";

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

keepTimes();
keepRange();
listenForKeys();

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
