"""Take the screenshots of docs/howto/page.md: every tab, light and dark, desktop and phone, with the samples."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.web import browser, served  # noqa: E402

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


def main() -> None:
    """Fill each tab once, then photograph it in every scheme and size."""
    import app
    from captioner import Captioner
    from captioner.manifest import Clip, write_manifest
    from captioner.setup.sample import SHOTS, render_sample
    from demo.limits import Limits

    limits = Limits()
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        clips = [render_sample(Path(folder, f"{shot.name}.mp4"), [shot]) for shot in SHOTS]
        manifest = Path(folder, "manifest.jsonl")
        people = {
            "photographer": ("a man takes a picture", "a photographer looks into his camera"),
            "horse": ("a brown horse stands in the grass", "a horse in a meadow"),
            "stars": ("galaxies in the sky", "stars in the night"),
        }
        write_manifest(manifest, [Clip(id=c.stem, path=c, split="test", captions=people[c.stem]) for c in clips])
        captioner = Captioner.load()
        said = Path(folder, "predictions.csv")
        rows = [f"{clip.stem},{captioner.caption(clip).text}" for clip in clips]
        said.write_text("\n".join(["id,caption", *rows, ""]), encoding="utf-8")
        with served(app.build_app(captioner, limits=limits), limits) as address:
            page = chromium.new_page(viewport=_viewport("desktop"), device_scale_factor=1)
            page.set_default_timeout(120_000)
            page.goto(address)
            _fill(page, clips, said, manifest)
            for name in ("Caption", "Actions", "Timeline", "Find", "Batch", "Compare", "Evaluate"):
                _take_all(page, name)
            page.set_viewport_size(_viewport("desktop"))
            _fill_anomalies(page)
            _take_all(page, "Anomalies")


def _viewport(size: str) -> dict[str, int]:
    width, height = SIZES[size]
    return {"width": width, "height": height}


def _fill(page: Any, clips: list[Path], predictions: Path, references: Path) -> None:
    def choose(element: str, *files: Path) -> None:
        page.set_input_files(f"#{element} input[type=file]", [str(file) for file in files])

    page.locator("#caption-player .cap-sample").first.click()
    page.wait_for_selector("#caption-out [data-result]", state="attached")
    page.locator(".cap-word").nth(1).click()
    page.get_by_role("tab", name="Actions").click()
    page.locator("#actions-player .cap-sample").first.click()
    page.wait_for_selector(".cap-action")
    page.get_by_role("tab", name="Find").click()
    page.fill("#find-query input, #find-query textarea", "a man with a camera")
    page.keyboard.press("Enter")
    page.locator(".cap-hit").first.click()
    page.wait_for_selector("#find-player video")
    page.wait_for_function("document.querySelector('#find-player video').currentTime > 2")
    page.eval_on_selector("#find-player video", "(video) => video.pause()")
    page.get_by_role("tab", name="Timeline").click()
    page.wait_for_selector("#timeline-player video")
    page.click("#timeline-run")
    page.wait_for_selector("#timeline-files a")
    page.locator("#timeline-result .cap-jump").nth(2).click()
    page.get_by_role("tab", name="Batch").click()
    notes = clips[0].with_name("notes.mp4")
    notes.write_text("This is not a video.\n" * 20, encoding="utf-8")
    choose("batch-files", clips[0], notes, *clips[1:4])
    page.wait_for_timeout(2000)
    page.click("#batch-run")
    page.wait_for_selector("#batch-files-made a")
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_selector("#compare-player video")
    page.click("#compare-run")
    page.wait_for_selector("#compare-b .cap-word")
    page.get_by_role("tab", name="Evaluate").click()
    choose("evaluate-predictions", predictions)
    choose("evaluate-references", references)
    page.wait_for_timeout(2000)
    page.click("#evaluate-run")
    page.wait_for_selector("#evaluate-result .cap-list")


def _fill_anomalies(page: Any) -> None:
    """Learning takes a minute on two idle cores."""
    page.get_by_role("tab", name="Anomalies").click()
    page.click("#anomalies-sample")
    page.wait_for_selector("#anomalies-player video")
    page.click("#anomalies-learn-run")
    page.locator("#anomalies-learn-status", has_text="Learned from").wait_for(timeout=1_200_000)
    page.click("#anomalies-run")
    page.locator(".cap-event").first.click(timeout=600_000)


def _take_all(page: Any, tab: str) -> None:
    for size in SIZES:
        for scheme in ("light", "dark"):
            _take(page, tab, size, scheme)


def _take(page: Any, tab: str, size: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.evaluate(f"document.body.classList.toggle('dark', {str(scheme == 'dark').lower()})")
    page.get_by_role("tab", name=tab, exact=True).locator("visible=true").first.click()
    page.set_viewport_size(_viewport(size))
    page.wait_for_timeout(800)
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    picture.convert("RGB").save(HERE / f"{tab.lower()}-{size}-{scheme}.webp", quality=70, method=6)


if __name__ == "__main__":
    main()
