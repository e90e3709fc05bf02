// While a trace runs: server-sent events say that there is more; when they do not come, it is asked.

const STREAM_TRIES = 3;
const POLL_SECONDS = 2;
const MAX_POLL_SECONDS = 20;

export class Live {
  // `refresh` brings the page up to date and resolves to whether the trace still runs.
  constructor(address, refresh, show) {
    this.address = address;
    this.refresh = refresh;
    this.show = show;
    this.failures = 0;
    this.busy = false;
    this.again = false;
    this.pause = POLL_SECONDS;
  }

  start() {
    this.source = new EventSource(this.address);
    this.source.addEventListener("open", () => {
      this.failures = 0;
      this.show("live");
    });
    this.source.addEventListener("change", () => this.update());
    this.source.addEventListener("end", () => this.update());
    this.source.addEventListener("error", () => {
      this.failures += 1;
      if (this.source.readyState === EventSource.CLOSED || this.failures >= STREAM_TRIES) {
        this.source.close();
        this.poll();
      } else this.show("reconnecting");
    });
    addEventListener("pagehide", () => this.stop());
  }

  stop() {
    this.source?.close();
    clearTimeout(this.timer);
    this.stopped = true;
  }

  poll() {
    if (this.stopped) return;
    this.show("polling");
    this.timer = setTimeout(async () => {
      if (!document.hidden) {
        const fine = await this.update();
        this.pause = fine ? POLL_SECONDS : Math.min(MAX_POLL_SECONDS, this.pause * 2);
      }
      this.poll();
    }, this.pause * 1000);
  }

  // Returns whether it was answered. Changes that come meanwhile are taken together.
  async update() {
    if (this.busy) {
      this.again = true;
      return true;
    }
    this.busy = true;
    try {
      do {
        this.again = false;
        if (!(await this.refresh())) {
          this.stop();
          this.show(null);
        }
      } while (this.again && !this.stopped);
      return true;
    } catch {
      return false;
    } finally {
      this.busy = false;
    }
  }
}
