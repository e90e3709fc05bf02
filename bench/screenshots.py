"""Pictures of every page, in both themes and at both widths, of a fresh store with sample runs.

Serves a temporary store, waits until its runs have ended, and writes
`docs/images/<page>-<theme>-<wide or narrow>.png`. A page is added to `tests/pages.py`. The pictures
that the documents show are committed, the others ignored: `.gitignore` names the former.

    python -m bench.screenshots [PAGE …]
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.site import ARGUMENTS, counted, settled_site
from tests.cosmos_server import ROOT
from tests.pages import PAGES, addresses

IMAGES = ROOT / "docs" / "images"
WINDOWS = {"wide": (1440, 900), "narrow": (390, 844)}
THEMES = ("light", "dark")
COLOURS = 256


def take(page: Page, file: Path, whole: bool) -> int:
    """Write a picture of the page, or of all that it scrolls; return its bytes."""
    taken = Image.open(io.BytesIO(page.screenshot(full_page=whole, animations="disabled")))
    # Text on plain ground needs no more colours, and takes a third of the bytes.
    few = taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(file, optimize=True)
    return file.stat().st_size


def visit(browser: Browser, site: str, found: dict[str, str], names: list[str]) -> int:
    """Take every picture; return how many."""
    taken = 0
    for theme in THEMES:
        for window, (width, height) in WINDOWS.items():
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,  # type: ignore[arg-type]
                reduced_motion="reduce",
            )
            page = context.new_page()
            for name in names:
                page.goto(f"{site}{found[name]}")
                page.wait_for_load_state("networkidle")
                file = IMAGES / f"{name}-{theme}-{window}.png"
                size = take(page, file, whole=window == "narrow")
                print(f"{file.relative_to(ROOT)}  {size / 1_000:.0f} KB")
                taken += 1
            context.close()
    return taken


def main() -> None:
    known = [shown.name for shown in PAGES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(known)}")
    names = parser.parse_args().pages or known
    unknown = set(names) - set(known)
    if unknown:
        sys.exit(f"there is no page {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is not installed: `apt install chromium`, or name it in CHROMIUM")
    with (
        tempfile.TemporaryDirectory() as folder,
        settled_site(Path(folder)) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page()
        counted(page, site)
        taken = visit(browser, site, addresses(page, site), names)
        browser.close()
    print(f"{taken} pictures")


if __name__ == "__main__":
    main()
