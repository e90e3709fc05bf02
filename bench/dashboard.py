"""How long until a person can act on a trace, in a real browser?

Writes traces of 1,000, 10,000 and 100,000 spans, three events each, into an empty embedded store,
serves it, and drives a headless Chromium with an empty cache: from the address until the waterfall
answers to keys, until a clicked row's details are there, how smoothly it scrolls, how much memory
the page takes. "interactive" is the first visit, for which the server reads and builds the trace;
"again" is the next one, by anybody.

    python -m bench.dashboard [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from bench.large_traces import events_of, write_trace
from storage.sqlite import Database, SqliteStore
from tests.processes import serving
from tracing.containers import TRACE_EVENTS

SIZES = {"1k": 1_000, "10k": 10_000, "100k": 100_000}
TARGETS = {
    "interactive_ms_1k": 700,
    "interactive_ms_10k": 1_500,
    "interactive_ms_100k": 3_000,
    "expand_ms_1k": 60,
    "expand_ms_10k": 60,
    "expand_ms_100k": 60,
    "scroll_fps_100k": 50,
    "heap_mb_100k": 300,
    "page_kb": 150,
}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

_WATCH = """new MutationObserver(() => {
  const trace = document.getElementById("trace");
  if (trace && "ready" in trace.dataset) window.loomReady ??= performance.now();
}).observe(document, { subtree: true, childList: true, attributes: true });"""

_SCROLL = """async () => {
  const box = document.getElementById("rows");
  const frames = [];
  const began = performance.now();
  let before = began;
  await new Promise((resolve) => {
    const step = (now) => {
      frames.push(now - before);
      before = now;
      box.scrollTop += 90;
      if (now - began < 2000) requestAnimationFrame(step);
      else resolve();
    };
    requestAnimationFrame(step);
  });
  return (frames.length * 1000) / (performance.now() - began);
}"""

_EXPAND = """async (number) => {
  const rows = [...document.querySelectorAll("#waterfall tbody tr")];
  const row = rows[number % Math.min(rows.length, 16)];
  const id = row.dataset.span;
  const began = performance.now();
  row.querySelector(".w-link").click();
  while (document.querySelector("[data-panel-span]")?.dataset.panelSpan !== id) {
    if (performance.now() - began > 10000) throw new Error("the details did not come");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return performance.now() - began;
}"""


async def _fill(folder: Path, sizes: dict[str, int], copies: int) -> dict[str, list[str]]:
    """Write `copies` traces of each size; return their ids."""
    store = SqliteStore(Database(folder / "loom.db"))
    container = await store.container(TRACE_EVENTS)
    written: dict[str, list[str]] = {}
    for place, (name, spans) in enumerate(sizes.items()):
        written[name] = [f"{place + 1:016x}{copy + 1:016x}" for copy in range(copies)]
        for trace in written[name]:
            started = time.time_ns() - 120 * 1_000_000_000
            await write_trace(container, trace, events_of(trace, spans, started))
    await store.close()
    return written


def _open(browser: Browser, address: str) -> tuple[Page, float, float]:
    """Open a trace in a fresh browser; return milliseconds until it answers, and kilobytes."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    received: list[float] = []
    session.on("Network.loadingFinished", lambda each: received.append(each["encodedDataLength"]))
    page.add_init_script(_WATCH)
    page.goto(address, wait_until="commit")
    page.wait_for_function("() => window.loomReady")
    took = float(page.evaluate("() => window.loomReady"))
    page.keyboard.press("j")
    page.wait_for_selector("#waterfall tr.selected")
    page.wait_for_load_state("networkidle")
    return page, took, sum(received) / 1000


def _heap(page: Page) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6


def measure(address: str, traces: dict[str, list[str]]) -> dict[str, list[float]]:
    """Return the times of every run."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    taken: dict[str, list[float]] = defaultdict(list)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        _open(browser, f"{address}traces/{traces['1k'][0]}/")[0].context.close()
        for number in range(len(traces["1k"])):
            for size, ids in traces.items():
                path = f"{address}traces/{ids[number]}/"
                for kind in ("interactive", "again"):
                    page, took, kilobytes = _open(browser, path)
                    taken[f"{kind}_ms_{size}"].append(took)
                    if kind == "interactive":
                        page.context.close()
                taken[f"page_kb_{size}"].append(kilobytes)
                clicks: list[Any] = [page.evaluate(_EXPAND, row) for row in range(1, 9)]
                taken[f"expand_ms_{size}"] += clicks
                taken[f"scroll_fps_{size}"].append(page.evaluate(_SCROLL))
                taken[f"heap_mb_{size}"].append(_heap(page))
                page.context.close()
        browser.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one trace of each size, not five")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as temporary:
        folder = Path(temporary)
        traces = asyncio.run(_fill(folder, SIZES, 1 if options.quick else 5))
        with serving(folder) as address:
            taken = measure(address, traces)
    medians = {name: round(statistics.median(values), 1) for name, values in taken.items()}
    figures: dict[str, float | None] = {**medians, "home_server_ms": None}
    figures["page_kb"] = medians["page_kb_1k"]
    print(f"{'spans':18}" + "".join(f"{size:>10}" for size in SIZES))
    for row in ("interactive_ms", "again_ms", "expand_ms", "scroll_fps", "heap_mb", "page_kb"):
        print(f"{row:18}" + "".join(f"{medians[f'{row}_{size}']:>10,.1f}" for size in SIZES))
    for name, target in TARGETS.items():
        value = figures[name]
        assert value is not None
        met = value >= target if name == "scroll_fps_100k" else value <= target
        print(f"{name:22}{value:>10,.1f}   target {target:>6,}   {'met' if met else 'MISSED'}")
    if options.quick:
        print("(--quick: one trace of each size)")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
