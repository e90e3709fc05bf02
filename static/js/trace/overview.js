// The strip above: the whole trace at a glance, errors always marked, a drag zooms.

import { FAILED } from "./data.js";

const TICKS = 12;
const LEAST_DRAG = 4;

export class Overview {
  constructor(box, view, { zoom, select }) {
    this.box = box;
    this.view = view;
    this.canvas = box.querySelector("canvas");
    this.brush = box.querySelector(".brush");
    this.zoom = zoom;
    this.select = select;
    new ResizeObserver(() => this.draw()).observe(box);
    document.addEventListener("loom:theme", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.listen();
  }

  listen() {
    let from = null;
    const place = (event) => {
      const { left, width } = this.box.getBoundingClientRect();
      return Math.min(1, Math.max(0, (event.clientX - left) / width));
    };
    const show = (one, other) => {
      this.brush.hidden = false;
      this.brush.style.insetInlineStart = `${Math.min(one, other) * 100}%`;
      this.brush.style.inlineSize = `${Math.abs(one - other) * 100}%`;
    };
    this.box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = place(event);
      this.box.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    this.box.addEventListener("pointermove", (event) => {
      if (from !== null) show(from, place(event));
      else this.box.classList.toggle("on-error", Boolean(this.errorAt(event)));
    });
    this.box.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const [one, other] = [from, place(event)].sort((a, b) => a - b);
      from = null;
      this.brush.hidden = true;
      if ((other - one) * this.box.clientWidth >= LEAST_DRAG) {
        const { scale } = this.view;
        this.zoom([scale.timeOfWhole(one), scale.timeOfWhole(other)]);
      } else {
        const error = this.errorAt(event);
        if (error) this.select(error[1]);
      }
    });
    this.box.addEventListener("pointercancel", () => {
      from = null;
      this.brush.hidden = true;
    });
    this.box.addEventListener("dblclick", () => this.zoom(null));
  }

  errorAt(event) {
    const { left, top, width } = this.box.getBoundingClientRect();
    if (event.clientY - top > TICKS + 6) return null;
    const { doc } = this.view.trace;
    let best = null;
    let nearest = 7;
    for (const error of doc.errors) {
      const distance = Math.abs(this.view.scale.whole(error[2]) * width - (event.clientX - left));
      if (distance < nearest) [nearest, best] = [distance, error];
    }
    return best;
  }

  colours() {
    const probe = document.createElement("span");
    probe.hidden = true;
    this.box.append(probe);
    const read = (name) => {
      probe.className = name;
      return getComputedStyle(probe).backgroundColor;
    };
    const types = Array.from({ length: 20 }, (_, at) => read(`probe c${at}`));
    const found = { types, bad: read("bad-probe"), shade: read("shade-probe"), line: read("line-probe") };
    probe.remove();
    return found;
  }

  draw() {
    const { trace, scale } = this.view;
    if (!trace || this.box.hidden) return;
    const [width, height] = [this.box.clientWidth, this.box.clientHeight];
    const ratio = devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const colours = this.colours();
    pen.fillStyle = colours.line;
    for (const [start, end] of scale.gaps) {
      const left = scale.whole(start) * width;
      pen.fillRect(left, 0, scale.whole(end) * width - left, height);
    }
    this.drawSpans(pen, colours, width, height);
    this.drawErrors(pen, colours, width, height);
    if (scale.zoomed) {
      const [from, to] = [scale.whole(scale.from) * width, scale.whole(scale.to) * width];
      pen.fillStyle = colours.shade;
      pen.fillRect(0, 0, from, height);
      pen.fillRect(to, 0, width - to, height);
      pen.fillStyle = colours.types[2];
      pen.fillRect(from - 1, 0, 2, height);
      pen.fillRect(to - 1, 0, 2, height);
    }
  }

  drawSpans(pen, colours, width, height) {
    const { trace, scale } = this.view;
    const room = height - TICKS - 6;
    const thick = Math.min(8, Math.max(1, (room / trace.total) * 0.7));
    const put = (row, start, took, colour, failed) => {
      const left = scale.whole(start) * width;
      const right = scale.whole(start + took) * width;
      pen.fillStyle = failed ? colours.bad : colours.types[colour];
      pen.fillRect(left, TICKS + 2 + (row / Math.max(trace.total, 6)) * room, Math.max(1.5, right - left), thick);
    };
    if (trace.doc.o) {
      for (const [row, start, took, colour, failed] of trace.doc.o) put(row, start, took, colour, failed);
      return;
    }
    for (let row = 0; row < trace.length; row += 1) {
      put(row, trace.start[row], trace.took[row], trace.colour[row], trace.has(row, FAILED));
    }
  }

  drawErrors(pen, colours, width, height) {
    pen.fillStyle = colours.bad;
    for (const [, , time] of this.view.trace.doc.errors) {
      const x = Math.min(width - 4, Math.max(4, this.view.scale.whole(time) * width));
      pen.globalAlpha = 0.25;
      pen.fillRect(x - 0.5, TICKS, 1, height);
      pen.globalAlpha = 1;
      pen.beginPath();
      pen.moveTo(x - 4.5, 2);
      pen.lineTo(x + 4.5, 2);
      pen.lineTo(x, TICKS - 1);
      pen.fill();
    }
  }
}
