// Marking a part of a chart by dragging over it. What is marked is told as shares of its plot.

const LEAST_PIXELS = 6;

function shares(box, from, to) {
  const part = (at, start, length) => Math.min(1, Math.max(0, (at - start) / length));
  const x = [from.x, to.x].map((at) => part(at, box.left, box.width)).sort((a, b) => a - b);
  const y = [from.y, to.y].map((at) => part(at, box.top, box.height)).sort((a, b) => a - b);
  return { x, y };
}

// `plotOf` finds the plot below a pointer, or returns null; `flat` marks its whole height.
export function listen(plotOf, done, { flat = false } = {}) {
  let start = null;
  let mark = null;

  const draw = (plot, to) => {
    if (!mark) {
      mark = document.createElement("div");
      mark.className = "brushed";
      document.body.append(mark);
    }
    const box = plot.getBoundingClientRect();
    const { x, y } = shares(box, start, to);
    const rows = flat ? [0, 1] : y;
    mark.style.insetInlineStart = `${box.left + scrollX + x[0] * box.width}px`;
    mark.style.insetBlockStart = `${box.top + scrollY + rows[0] * box.height}px`;
    mark.style.inlineSize = `${(x[1] - x[0]) * box.width}px`;
    mark.style.blockSize = `${(rows[1] - rows[0]) * box.height}px`;
  };

  const stop = () => {
    mark?.remove();
    mark = null;
    start = null;
  };

  const far = (event) =>
    Math.max(Math.abs(event.clientX - start.x), flat ? 0 : Math.abs(event.clientY - start.y)) >= LEAST_PIXELS;

  document.addEventListener("pointerdown", (event) => {
    const plot = event.button === 0 && event.pointerType !== "touch" && plotOf(event.target);
    if (plot) start = { plot, x: event.clientX, y: event.clientY };
  });
  document.addEventListener("pointermove", (event) => {
    if (!start || (!mark && !far(event))) return;
    event.preventDefault();
    draw(start.plot, { x: event.clientX, y: event.clientY });
  });
  document.addEventListener("pointerup", (event) => {
    if (!start) return;
    const { plot } = start;
    const found = mark && shares(plot.getBoundingClientRect(), start, { x: event.clientX, y: event.clientY });
    stop();
    if (!found) return;
    // The click that ends a drag means nothing of its own.
    addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => removeEventListener("click", swallow, { capture: true }));
    done(plot, found);
  });
  document.addEventListener("pointercancel", stop);
  // A link under the pointer would be dragged away instead.
  document.addEventListener("dragstart", (event) => {
    if (start) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
  });
}

function swallow(event) {
  event.preventDefault();
  event.stopPropagation();
}
