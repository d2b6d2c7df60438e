"""Take the screenshots of docs/howto/evaluate.md: ``python docs/screenshots/report.py SCORES CLIPS``.

SCORES is the report.html whose upper part (no frame, no reference caption in it) is shown, CLIPS one on clips that we
drew ourselves (``python -m data shapes``), whose first clip is shown as on a phone, in the dark.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
COLOURS = 96


def main(scores: str, clips: str) -> None:
    """Write report-scores.png and report-clip.png."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 940, "height": 900})
        page.goto(Path(scores).resolve().as_uri())
        end = page.locator("h2", has_text="Best clips").bounding_box()["y"]
        _save(page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": 940, "height": end - 20}), "report-scores")
        page = browser.new_page(viewport={"width": 420, "height": 800}, color_scheme="dark")
        page.goto(Path(clips).resolve().as_uri())
        _save(page.locator("article.clip").first.screenshot(), "report-clip")
        browser.close()


def _save(png: bytes, name: str) -> None:
    picture: Any = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS)
    picture.save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
