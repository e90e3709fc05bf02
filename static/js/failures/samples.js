// The samples of a failure group: j and k step through them, the panel follows, so does the address.

import { Panel } from "../trace/panel.js";

const SPAN = /^(.*)spans\/([^/]+)\/$/;
const box = document.getElementById("panel");
const table = document.getElementById("samples");
const rows = [...(table?.querySelectorAll("tbody tr") ?? [])];
const panel = new Panel(box, "");
let at = rows.findIndex((row) => row.classList.contains("selected"));

function load(address, options) {
  const found = SPAN.exec(address);
  if (!found) return;
  // Whoever compares states goes on with states; a span without the tab opens its first.
  const tab = box.querySelector("[role=tab][aria-selected=true]")?.search;
  panel.address = found[1];
  panel.open(found[2], tab ? new URLSearchParams(tab).get("tab") : "", options);
}

function select(place, options) {
  const row = rows[place];
  if (!row) return;
  rows[at]?.classList.remove("selected");
  rows[at]?.querySelector("a.row-link").removeAttribute("aria-current");
  at = place;
  const link = row.querySelector("a.row-link");
  row.classList.add("selected");
  link.setAttribute("aria-current", "true");
  row.scrollIntoView({ block: "nearest" });
  history.replaceState(history.state, "", link.href);
  document.querySelector("[data-open-trace]").href = row.dataset.trace;
  document.querySelector("[data-open-compare]").href = row.dataset.compare;
  load(row.dataset.panel, options);
}

function step(by) {
  const next = at + by;
  if (rows[next]) return select(next, { soon: true });
  // Beyond the last sample of the page there may be another page.
  if (by > 0) document.querySelector(".samples .pager a[rel=next]")?.click();
  return undefined;
}

table?.addEventListener("click", (event) => {
  const link = event.target.closest("a.row-link");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  select(rows.indexOf(link.closest("tr")));
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  if (event.key !== "j" && event.key !== "k") return;
  event.preventDefault();
  step(event.key === "j" ? 1 : -1);
});

const opened = rows[at]?.dataset.panel ?? table?.dataset.elsewhere;
if (opened) load(opened);
document.getElementById("group").dataset.ready = "";

function countDown() {
  for (const time of document.querySelectorAll("time[data-due]")) {
    const seconds = Math.ceil((new Date(time.dateTime) - Date.now()) / 1000);
    time.textContent = seconds > 0 ? `in ${seconds} s` : "is due";
  }
}
countDown();
setInterval(countDown, 1_000);
