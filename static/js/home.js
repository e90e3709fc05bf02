// The charts of Home. What they draw stands in the page as JSON, and below them as a table.

import { listen } from "./brush.js";
import { shifted, written } from "./time.js";

const charts = document.querySelector(".charts");
const source = document.getElementById("home-data");

// The numbers come first: the library is many times heavier than the page.
function painted() {
  return new Promise((resolve) => {
    new PerformanceObserver((paints, observer) => {
      // The background is painted before what stands on it.
      if (!paints.getEntriesByName("first-contentful-paint").length) return;
      observer.disconnect();
      resolve();
    }).observe({ type: "paint", buffered: true });
  });
}

async function plotly() {
  await painted();
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = charts.dataset.plotly;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("the chart library did not load"));
    document.head.append(script);
  });
}

// Plotly does not know CSS colours such as light-dark(): let the browser compute plain ones.
function plainColours(properties) {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const probe = document.createElement("span");
  probe.hidden = true;
  charts.append(probe);
  const colours = properties.map((property) => {
    probe.style.color = property;
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = getComputedStyle(probe).color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
    return `rgb(${r}, ${g}, ${b})`;
  });
  probe.remove();
  return colours;
}

const UNITS = [[60_000, "min"], [1_000, "s"], [1, "ms"], [0.001, "µs"]];

function duration(milliseconds) {
  if (milliseconds === null) return "–";
  const [size, unit] = UNITS.find(([size]) => milliseconds >= size) ?? UNITS.at(-1);
  return `${Number((milliseconds / size).toPrecision(3))} ${unit}`;
}

function open(data, slot) {
  if (data.queries[slot]) location.href = `${charts.dataset.traces}?${data.queries[slot]}`;
}

function openRange(data, [start, end]) {
  const slots = data.queries.length;
  const at = (share) => data.from + Math.min(slots - 1, Math.floor(share * slots)) * data.slot;
  location.href = `${charts.dataset.traces}?from=${at(start)}&to=${at(end) + data.slot}`;
}

function labelOf(data, slot) {
  return written(new Date(data.from + slot * data.slot), data.slot < 3_600_000 ? "minute" : "hour");
}

function layoutOf(box, data, colours, yaxis) {
  return {
    margin: { l: 56, r: 8, t: 8, b: 26 },
    height: box.clientHeight,
    showlegend: false,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colours.muted, size: 10, family: getComputedStyle(document.body).fontFamily },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colours.raised, bordercolor: colours.strong, font: { color: colours.text, size: 12 } },
    dragmode: false,
    barmode: "stack",
    xaxis: {
      type: "date",
      range: [shifted(data.from), shifted(data.to)],
      tickvals: data.ticks.map(([at]) => shifted(at)),
      ticktext: data.ticks.map(([at, style]) => written(new Date(at), style)),
      hoverformat: data.slot < 3_600_000 ? "%H:%M" : "%-d %b %H:%M",
      showgrid: false,
      zeroline: false,
      fixedrange: true,
      linecolor: colours.line,
      showline: true,
      showspikes: false,
    },
    yaxis: { fixedrange: true, gridcolor: colours.line, zeroline: false, ...yaxis },
  };
}

function messages(box, data, colours) {
  const starts = data.queries.map((_, at) => shifted(data.from + at * data.slot));
  const bar = (name, y, color, text) => ({
    type: "bar",
    name,
    x: starts,
    y,
    customdata: text,
    offset: data.slot * 0.08,
    width: data.slot * 0.84,
    marker: { color, line: { width: 0 } },
    hovertemplate: "%{customdata}<extra></extra>",
  });
  const well = data.handled.map((handled, at) => handled - data.failed[at]);
  const most = Math.max(...data.handled);
  return {
    traces: [
      bar("handled", well, colours.accent, data.handled.map((n) => `${n.toLocaleString("en")} handled`)),
      bar("failed", data.failed, colours.bad, data.failed.map((n) => `${n.toLocaleString("en")} failed`)),
    ],
    layout: layoutOf(box, data, colours, { rangemode: "tozero", range: [0, Math.max(1, most) * 1.08], nticks: 5, tickformat: ",~s" }),
  };
}

function times(box, data, colours) {
  const middles = data.queries.map((_, at) => shifted(data.from + (at + 0.5) * data.slot));
  const line = (name, color, dash) => ({
    type: "scatter",
    mode: "lines+markers",
    name,
    x: middles,
    y: data[name],
    customdata: data[name].map(duration),
    line: { color, width: 1.6, dash },
    marker: { color, size: data[name].filter((value) => value !== null).length > 3 ? 3.5 : 7 },
    hovertemplate: `${name} %{customdata}<extra></extra>`,
  });
  const bounds = data.heat?.bounds ?? [0.1, 1_000];
  const low = Math.max(bounds[0], 0.001);
  const high = bounds.at(-1);
  const powers = [];
  for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power += 1) powers.push(10 ** power);
  return {
    traces: [line("p99", colours.text, "dot"), line("p95", colours.accent), line("p50", colours.faint)],
    layout: layoutOf(box, data, colours, {
      type: "log",
      range: [Math.log10(low), Math.log10(high)],
      tickvals: powers,
      ticktext: powers.map(duration),
    }),
  };
}

const CHARTS = { messages, times };

async function draw(library, data) {
  const [accent, bad, text, muted, line, strong, raised, faint] = plainColours([
    "var(--accent)",
    "var(--bad)",
    "var(--text)",
    "var(--muted)",
    "var(--line)",
    "var(--line-strong)",
    "var(--raised)",
    "color-mix(in oklab, var(--accent) 65%, var(--surface))",
  ]);
  const colours = { accent, bad, text, muted, line, strong, raised, faint };
  for (const box of charts.querySelectorAll("[data-chart]")) {
    const { traces, layout } = CHARTS[box.dataset.chart](box, data, colours);
    await library.react(box, traces, layout, { displayModeBar: false, responsive: true });
    box.removeAllListeners("plotly_click");
    box.on("plotly_click", (event) => open(data, event.points[0].pointIndex));
  }
}

function followHeat(data) {
  const cells = charts.querySelector("[data-heat]");
  const readout = charts.querySelector("[data-readout]");
  if (!cells || !data.heat) return;
  const cursor = cells.querySelector(".heat-cursor");
  const counts = new Map(data.heat.cells.map(([column, row, n]) => [`${column} ${row}`, n]));
  const rows = data.heat.bounds.length - 1;
  const at = (event) => {
    const box = cells.getBoundingClientRect();
    const place = (part, whole, steps) => Math.min(steps - 1, Math.max(0, Math.floor((part / whole) * steps)));
    return [
      place(event.clientX - box.left, box.width, data.queries.length),
      rows - 1 - place(event.clientY - box.top, box.height, rows),
    ];
  };
  cells.addEventListener("pointermove", (event) => {
    const [column, row] = at(event);
    const [from, to] = [data.heat.bounds[row], data.heat.bounds[row + 1]];
    cursor.setAttribute("x", column);
    readout.textContent = `${labelOf(data, column)} · ${duration(from)} – ${duration(to)} · ${counts.get(`${column} ${row}`) ?? 0}`;
  });
  cells.addEventListener("pointerleave", () => {
    readout.textContent = "";
  });
  cells.addEventListener("click", (event) => open(data, at(event)[0]));
}

async function start() {
  const data = JSON.parse(source.textContent);
  followHeat(data);
  // A chart's own area of the plot, or all of one that is nothing else.
  const plotOf = (target) => {
    const box = target.closest("[data-span]");
    return box && (box.querySelector(".nsewdrag") ?? (box.matches("svg") ? box : null));
  };
  listen(plotOf, (_, { x }) => openRange(data, x), { flat: true });
  let library;
  try {
    library = await plotly();
  } catch {
    for (const box of charts.querySelectorAll("[data-chart]")) {
      box.textContent = "The chart could not be loaded; the table below is complete.";
    }
    return;
  }
  await draw(library, data);
  const again = () => draw(library, data);
  document.addEventListener("loom:theme", again);
  document.addEventListener("loom:zone", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
}

if (charts && source) start();
