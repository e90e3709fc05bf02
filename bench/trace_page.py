"""How long until a trace is on its way to the browser, and a row's details after a click?

Serves a Loom on an empty embedded store, runs the fan-out sample once per size, and asks for the
trace page and for panels of its rows over loopback, interleaved with `/healthz`, which costs the
server and the client alone.

    python -m bench.trace_page [--quick]
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from tests.processes import serving

CHILDREN = {"1k": 40, "10k": 400}


class Client:
    """One kept-alive connection, as a browser has."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80)
        self._cookie = ""

    def get(self, path: str, **headers: str) -> tuple[float, bytes]:
        """Return milliseconds until the whole answer is there, and the answer."""
        started = time.perf_counter()
        self._connection.request("GET", path, headers={"Cookie": self._cookie, **headers})
        answer = self._connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - started) * 1000
        assert answer.status in (200, 404), f"{path}: {answer.status}"
        cookie = answer.headers.get("Set-Cookie")
        if cookie:
            self._cookie = cookie.partition(";")[0]
        return took, body

    def run(self, children: int) -> str:
        """Start the fan-out sample; return the path of its trace."""
        _, page = self.get("/workflows/word-count/")
        token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token
        form = {
            "csrfmiddlewaretoken": token[1].decode(),
            "word-count-children": children,
            "word-count-words": 20,
        }
        self._connection.request(
            "POST",
            "/workflows/word-count/",
            urlencode(form),
            {"Cookie": self._cookie, "Content-Type": "application/x-www-form-urlencoded"},
        )
        answer = self._connection.getresponse()
        answer.read()
        path = urlsplit(answer.headers["Location"]).path
        while b"completed: " not in self.get(path)[1]:
            time.sleep(0.2)
        return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 requests each instead of 60")
    options = parser.parse_args()
    times: dict[str, list[float]] = defaultdict(list)
    figures: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory(prefix="loom-bench-") as folder,
        serving(Path(folder)) as address,
    ):
        client = Client(address)
        paths = {size: client.run(children) for size, children in CHILDREN.items()}
        for number in range(10 if options.quick else 60):
            times["healthz_ms"].append(client.get("/healthz")[0])
            for size, path in paths.items():
                took, page = client.get(path)
                times[f"first_response_ms_{size}"].append(took)
                figures[f"page_kb_{size}"] = round(len(page) / 1000, 1)
                events = re.search(rb"<span>([\d,]+) events</span>", page)
                assert events
                figures[f"events_{size}"] = int(events[1].replace(b",", b""))
                spans = re.findall(rb'data-span="([0-9a-f]{16})"', page)
                span = spans[number * 7 % len(spans)].decode()
                took, _ = client.get(f"{path}spans/{span}/", **{"HX-Request": "true"})
                times[f"expand_ms_{size}"].append(took)
    figures |= {name: round(statistics.median(values), 1) for name, values in times.items()}
    print(f"{'':18}{'1k':>10}{'10k':>10}")
    for row in ("events", "first_response_ms", "expand_ms", "page_kb"):
        print(f"{row:18}" + "".join(f"{figures[f'{row}_{size}']:>10,.1f}" for size in CHILDREN))
    print(f"{'healthz_ms':18}{figures['healthz_ms']:>10,.1f}")
    if options.quick:
        print("(--quick: 10 requests each, noisier)")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
