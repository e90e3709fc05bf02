"""How long until a person can act on a trace, in a real browser?

Writes traces of 1,000, 10,000, 100,000 and 300,000 events, three a span, into an empty embedded
store, serves it, and drives a headless Chromium with an empty cache: from the address until the
waterfall answers to keys, until a clicked row's details are there, how smoothly it scrolls, how
much memory the page takes. "interactive" is the first visit, for which the server reads and builds
the trace; "again" is the next one, by anybody.

Home is asked for over HTTP, in a store of 250,000 traces of one day (20,000 with --quick), for an
hour and for a week: the worse of the two medians.

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
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from bench.large_traces import events_of, write_trace
from bench.search import fill
from storage.sqlite import Database, SqliteStore
from tests.processes import serving
from tracing.containers import TRACE_EVENTS

EVENTS_A_SPAN = 3
SIZES = {"1k": 1_000, "10k": 10_000, "100k": 100_000, "300k": 300_000}
"""Events of the traces."""
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
    "home_server_ms": 300,
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
    store = SqliteStore(Database(folder / "traces.db"))
    container = await store.container(TRACE_EVENTS)
    written: dict[str, list[str]] = {}
    for place, (name, events) in enumerate(sizes.items()):
        written[name] = [f"{place + 1:016x}{copy + 1:016x}" for copy in range(copies)]
        for trace in written[name]:
            started = time.time_ns() - 120 * 1_000_000_000
            await write_trace(container, trace, events_of(trace, events // EVENTS_A_SPAN, started))
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


async def _fill_home(folder: Path, traces: int) -> None:
    store = SqliteStore(Database(folder / "traces.db"))
    await fill(await store.container(TRACE_EVENTS), traces)
    await store.close()


def home_ms(traces: int) -> float:
    """Return how long the server takes to answer for Home."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        asyncio.run(_fill_home(Path(folder), traces))
        with serving(Path(folder)) as address:
            medians = []
            for since in ("1h", "7d"):
                took = []
                for _ in range(8):
                    began = time.perf_counter()
                    with urllib.request.urlopen(f"{address}?since={since}", timeout=60) as answer:
                        answer.read()
                    took.append((time.perf_counter() - began) * 1e3)
                # The first one opens what all later ones use.
                medians.append(statistics.median(took[1:]))
    return round(max(medians), 1)


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
    figures = {**medians, "home_server_ms": home_ms(20_000 if options.quick else 250_000)}
    figures["page_kb"] = medians["page_kb_1k"]
    print(f"{'events':18}" + "".join(f"{size:>10}" for size in SIZES))
    for row in ("interactive_ms", "again_ms", "expand_ms", "scroll_fps", "heap_mb", "page_kb"):
        print(f"{row:18}" + "".join(f"{medians[f'{row}_{size}']:>10,.1f}" for size in SIZES))
    for name, target in TARGETS.items():
        value = figures[name]
        met = value >= target if name == "scroll_fps_100k" else value <= target
        print(f"{name:22}{value:>10,.1f}   target {target:>6,}   {'met' if met else 'MISSED'}")
    if options.quick:
        print("(--quick: one trace of each size, and 20,000 for Home)")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
