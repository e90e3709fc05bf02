// The trace page: selection, folding, keys, and the overview chart. The selection is in the URL.

const split = document.querySelector(".trace-split");
const panel = document.getElementById("panel");
const collapsed = new Set();

const rows = () => [...document.querySelectorAll("#waterfall tbody tr")];
const visible = () => rows().filter((row) => !row.hidden);
const rowOf = (id) => document.getElementById(`s-${id}`);
const selected = () => new URL(location.href).searchParams.get("span");
const level = (row) => Number(row.getAttribute("aria-level"));

function setUrl(span) {
  const url = new URL(location.href);
  url.searchParams.delete("new");
  if (span) url.searchParams.set("span", span);
  else url.searchParams.delete("span");
  history.replaceState(null, "", url);
}

function mark() {
  const id = selected();
  for (const row of rows()) {
    const on = row.dataset.span === id;
    row.classList.toggle("selected", on);
    row.setAttribute("aria-selected", String(on));
    row.tabIndex = on ? 0 : -1;
  }
  if (!rows().some((row) => row.tabIndex === 0) && rows()[0]) rows()[0].tabIndex = 0;
}

function select(id, { open = true } = {}) {
  const row = rowOf(id);
  if (!row) {
    // Outside the rendered window: the server finds the right one.
    location.search = `?span=${encodeURIComponent(id)}`;
    return;
  }
  reveal(row);
  setUrl(id);
  mark();
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
  if (open) htmx.ajax("GET", row.querySelector(".w-link").pathname, { target: "#panel", swap: "innerHTML" });
}

function fold(row, closed) {
  if (!row.hasAttribute("aria-expanded")) return;
  row.setAttribute("aria-expanded", String(!closed));
  if (closed) collapsed.add(row.dataset.span);
  else collapsed.delete(row.dataset.span);
  applyFolds();
}

function applyFolds() {
  let hiddenBelow = Infinity;
  for (const row of rows()) {
    const depth = level(row);
    if (depth <= hiddenBelow) hiddenBelow = Infinity;
    row.hidden = depth > hiddenBelow;
    const closed = collapsed.has(row.dataset.span);
    if (row.hasAttribute("aria-expanded")) row.setAttribute("aria-expanded", String(!closed));
    if (closed && hiddenBelow === Infinity) hiddenBelow = depth;
  }
  const all = document.querySelector("[data-fold-all]");
  if (all) all.textContent = collapsed.size ? "Expand all" : "Collapse all";
}

function reveal(row) {
  let depth = level(row);
  for (let above = row.previousElementSibling; above && depth > 1; above = above.previousElementSibling) {
    if (level(above) < depth) {
      depth = level(above);
      collapsed.delete(above.dataset.span);
    }
  }
  applyFolds();
}

function step(direction, { only = () => true } = {}) {
  const list = (only === errors ? rows() : visible()).filter(only);
  if (!list.length) return;
  const all = rows();
  const here = all.indexOf(rowOf(selected()));
  const next = direction > 0
    ? list.find((row) => all.indexOf(row) > here) ?? list[0]
    : list.findLast((row) => all.indexOf(row) < here) ?? list.at(-1);
  select(next.dataset.span);
}

const errors = (row) => row.hasAttribute("data-err");

function closePanel() {
  setUrl(null);
  mark();
  panel.replaceChildren();
}

document.addEventListener("click", (event) => {
  const target = event.target;
  const foldButton = target.closest("[data-fold]");
  if (foldButton) {
    const row = foldButton.closest("tr");
    fold(row, row.getAttribute("aria-expanded") === "true");
    return;
  }
  if (target.closest("[data-fold-all]")) {
    const closing = collapsed.size === 0;
    collapsed.clear();
    if (closing) {
      for (const row of rows()) if (row.hasAttribute("aria-expanded") && level(row) > 1) collapsed.add(row.dataset.span);
    }
    applyFolds();
    return;
  }
  const jump = target.closest("[data-error]");
  if (jump) {
    step(Number(jump.dataset.error), { only: errors });
    return;
  }
  if (target.closest("[data-close-panel]")) {
    closePanel();
    return;
  }
  const row = target.closest("#waterfall tbody tr");
  if (row && !target.closest("a")) select(row.dataset.span);
});

// htmx loads the panel for a clicked link; what remains is to show which row it belongs to.
document.addEventListener("htmx:beforeRequest", (event) => {
  const row = event.target.closest?.("#waterfall tbody tr");
  if (row) {
    setUrl(row.dataset.span);
    mark();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  const row = rowOf(selected());
  const actions = {
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    e: () => step(1, { only: errors }),
    E: () => step(-1, { only: errors }),
    ArrowLeft: () => row && fold(row, true),
    ArrowRight: () => row && fold(row, false),
    Enter: () => row && select(row.dataset.span),
    Escape: closePanel,
    ".": () => document.querySelector("[data-copy-link]")?.click(),
    "?": () => document.getElementById("help").showModal(),
  };
  const inPanel = event.target.closest("#panel");
  if (!actions[event.key] || (inPanel && event.key.startsWith("Arrow")) || (event.key === "Enter" && event.target.closest("a, button, summary"))) return;
  event.preventDefault();
  actions[event.key]();
});

async function redraw() {
  const data = document.getElementById("overview-data");
  const box = document.getElementById("overview");
  if (!data || !box) return;
  // The address is in the page, because the file's name carries its hash.
  const { drawOverview } = await import(split.dataset.overview);
  drawOverview(box, JSON.parse(data.textContent), split.dataset.plotly, (id) => select(id));
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "live" || event.detail.target?.id === "live" || event.target.querySelector?.("#waterfall")) {
    applyFolds();
    mark();
    redraw();
  }
});
document.addEventListener("loom:theme", redraw);

setUrl(selected());
mark();
const start = selected() && rowOf(selected());
start?.scrollIntoView({ block: "center" });
// After the first paint: the waterfall is what a person came for.
requestAnimationFrame(() => setTimeout(redraw, 0));
