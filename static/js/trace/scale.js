// The time axis: from nanoseconds to a place between 0 and 1, idle gaps squeezed, zoomed or whole.

const GAP_SHARE = 0.03;

export class Scale {
  constructor(duration, gaps = []) {
    this.duration = duration;
    this.gaps = gaps;
    const idle = gaps.reduce((sum, [start, end]) => sum + end - start, 0);
    const busy = Math.max(duration - idle, duration * 1e-6);
    // A squeezed gap is as wide as this many nanoseconds of work.
    const width = (busy * GAP_SHARE) / (1 - Math.min(0.6, GAP_SHARE * gaps.length));
    this.points = [[0, 0]];
    let place = 0;
    let at = 0;
    for (const [start, end] of gaps) {
      place += start - at;
      this.points.push([start, place]);
      place += width;
      this.points.push([end, place]);
      at = end;
    }
    this.length = place + duration - at || 1;
    this.points.push([duration, this.length]);
    this.zoom(null);
  }

  zoom(range) {
    const [from, to] = range ?? [0, this.duration];
    this.from = Math.max(0, Math.min(from, this.duration));
    this.to = Math.max(this.from + 1, Math.min(to, this.duration));
    this.low = this.place(this.from);
    this.high = Math.max(this.place(this.to), this.low + this.length * 1e-9);
  }

  get zoomed() {
    return this.from > 0 || this.to < this.duration;
  }

  // Of the whole trace: where a time is, whatever the zoom.
  whole(time) {
    return this.place(time) / this.length;
  }

  timeOfWhole(fraction) {
    return this.walk(fraction * this.length, 1, 0);
  }

  x(time) {
    return (this.place(time) - this.low) / (this.high - this.low);
  }

  time(fraction) {
    return this.walk(this.low + fraction * (this.high - this.low), 1, 0);
  }

  place(time) {
    return this.walk(time, 0, 1);
  }

  walk(value, known, wanted) {
    const points = this.points;
    let at = 1;
    while (at < points.length - 1 && points[at][known] < value) at += 1;
    const [low, high] = [points[at - 1], points[at]];
    const span = high[known] - low[known];
    return span > 0 ? low[wanted] + ((value - low[known]) / span) * (high[wanted] - low[wanted]) : high[wanted];
  }
}
