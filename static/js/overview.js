// The overview chart: every span over time, errors as ticks on top. Plotly is loaded when needed.

let loading = null;

function plotly(source) {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("the chart library did not load"));
    document.head.append(script);
  });
  return loading;
}

// Plotly does not know CSS colours such as oklch(): let the browser compute plain ones.
function plainColours(classes) {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const plain = (property) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = getComputedStyle(probe).getPropertyValue(property);
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
    return `rgb(${r}, ${g}, ${b})`;
  };
  const colours = new Map();
  for (const name of classes) {
    probe.className = `probe c${name}`;
    colours.set(name, plain("background-color"));
  }
  probe.className = "probe bad-probe";
  const bad = plain("background-color");
  probe.className = "probe text-probe";
  const text = plain("background-color");
  probe.remove();
  return { colours, bad, text };
}

export async function drawOverview(box, data, source, onSelect) {
  let library;
  try {
    library = await plotly(source);
  } catch {
    box.textContent = "The overview chart could not be loaded; the rows below are complete.";
    return;
  }
  const { colours, bad, text } = plainColours(new Set(data.spans.map((span) => span.c)));
  const bars = {
    type: "bar",
    orientation: "h",
    base: data.spans.map((span) => span.x),
    // Thinner than a pixel would vanish.
    x: data.spans.map((span) => Math.max(span.w, data.duration / 700)),
    y: data.spans.map((span) => span.row),
    customdata: data.spans.map((span) => span.id),
    hovertext: data.spans.map((span) => span.n.replaceAll("<", "‹")),
    hovertemplate: "%{hovertext}<extra></extra>",
    marker: { color: data.spans.map((span) => (span.f ? bad : colours.get(span.c))), line: { width: 0 } },
    width: Math.max(0.8, data.total / 90),
  };
  const ticks = {
    type: "scatter",
    mode: "markers",
    x: data.errors.map((error) => error.x),
    y: data.errors.map(() => -data.total * 0.12 - 0.6),
    customdata: data.errors.map((error) => error.id),
    hovertext: data.errors.map((error) => error.n.replaceAll("<", "‹")),
    hovertemplate: "%{hovertext}<extra></extra>",
    marker: { color: bad, symbol: "triangle-down", size: 9 },
  };
  const layout = {
    margin: { l: 8, r: 8, t: 4, b: 20 },
    height: box.clientHeight,
    showlegend: false,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: text, size: 10 },
    hovermode: "closest",
    dragmode: false,
    bargap: 0,
    xaxis: { range: [0, data.duration], ticksuffix: " ms", showgrid: false, zeroline: false, fixedrange: true, nticks: 8 },
    yaxis: { range: [data.total - 0.4, -data.total * 0.22 - 1.4], visible: false, fixedrange: true },
  };
  await library.react(box, [bars, ticks], layout, { displayModeBar: false, responsive: true });
  box.removeAllListeners?.("plotly_click");
  box.on("plotly_click", (event) => onSelect(event.points[0].customdata));
}
