"""Photographs an episode's page in three states and says how large it is and how soon it is there.

python scripts/demo.py --out demo.html --no-open
python scripts/photograph_page.py demo.html --out docs

The states: two controllers side by side as the page opens; a minute after the first event with a plant chosen; and one
grid on a narrow screen with voltages. It needs playwright (extra `test`) and Debian's package chromium.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

import command_line

PROGRAM = "photograph_page.py"
SIZE: Any = {"width": 1200, "height": 860}
NARROW: Any = {"width": 420, "height": 860}
COLORS = 256  # of a picture, which halves its file
AFTER_S = 60.0  # of the first event


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which page, and where to."""

    page: Annotated[Path, tyro.conf.Positional]
    """Page of an episode."""
    out: Path = Path("docs")
    """Directory of page_start.png, page_event.png and page_narrow.png."""
    plant: str = "bess_0"
    """Plant that is chosen in the second."""


def photograph(options: Options) -> None:
    """Opens the page, photographs it and prints its figures.

    Raises:
        WorkFailed: there is no browser, or the page does not show.
        OptionError: there is no such file, or it is another.
    """
    import io
    import shutil

    if not options.page.is_file():
        raise command_line.OptionError(f"{options.page}: there is no such file")
    if b"<canvas" not in options.page.read_bytes():
        raise command_line.OptionError(
            f"{options.page} is no page of an episode, expected what `demo.py` or `evaluate.py --page` writes"
        )
    from PIL import Image

    from cases.whole_file import write_bytes

    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise command_line.WorkFailed("playwright is not installed: pip install playwright") from error
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise command_line.WorkFailed("no chromium here (Debian: apt install chromium)")

    def keep(name: str, tab: Any) -> None:
        picture = io.BytesIO()
        tab.evaluate("scrollTo(0, 0)")  # or what stays in view while one scrolls lies across the picture
        whole = Image.open(io.BytesIO(tab.screenshot(full_page=True))).convert("RGB")
        # By coverage: the few pixels of the colour scale keep their colours beside very many greys.
        whole.quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            picture, format="PNG", optimize=True
        )
        path = options.out / f"page_{name}.png"
        write_bytes(path, picture.getvalue())
        print(f"{path}  {len(picture.getvalue()) / 1e3:.0f} kB")

    with sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            tab = running.new_page(viewport=SIZE)
            began_s = time.perf_counter()
            tab.goto(options.page.resolve().as_uri())
            tab.wait_for_selector("body[data-ready]", timeout=30_000)
            load_s = time.perf_counter() - began_s
            keep("start", tab)
            marks = tab.locator("#happened button")
            if marks.count():
                marks.first.click()
            tab.evaluate("document.activeElement.blur()")
            interval_s = tab.evaluate("JSON.parse(document.getElementById('data').textContent).interval_s")
            for _ in range(round(AFTER_S / interval_s)):
                tab.keyboard.press("ArrowRight")
            tab.fill("#find", options.plant)
            keep("event", tab)
            tab.keyboard.press("Escape")
            tab.set_viewport_size(NARROW)
            tab.select_option("#second", "-1")
            tab.select_option("#colour", "vm")
            tab.wait_for_timeout(300)
            keep("narrow", tab)
        except Error as error:
            raise command_line.WorkFailed(f"{options.page}: {error.message.splitlines()[0]}") from error
        finally:
            running.close()
    print(f"{options.page}: {options.page.stat().st_size / 1e3:.0f} kB, shown after {load_s:.1f} s")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 there is no browser or the page does not show, 2 wrong option, 130 stopped."""
    return command_line.run(PROGRAM, Options, photograph, arguments, about=__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
