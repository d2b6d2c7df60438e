"""The demo in a real Chromium: what a visitor does, without an error on the console or a request to anybody else."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from captioner.manifest import read_manifest
from captioner.video.frames import probe
from tests.conftest import Demo
from tests.media import render_clip, render_text
from tests.web import axe, browser, has_axe, shapes_clip

PATIENCE = 60_000
ANOMALIES = "document.querySelector('#anomalies-player video')"


@pytest.fixture(scope="module")
def page(demo: Demo) -> Iterator[Any]:
    """One page for all flows. At the end: nothing on the console, no request beyond the server's own address."""
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        requests: list[str] = []
        faults: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: message.type == "error" and faults.append(message.text))
        left = ("AbortError", "Unexpected error Connection errored out")  # gradio, of a page that is left at work
        page.goto(demo.address)
        page.wait_for_selector("#caption-run")
        yield page
        own = (demo.address, "data:", "blob:")
        assert [url for url in requests if not url.startswith(own)] == []
        assert [fault for fault in faults if not fault.startswith(left)] == []


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [shapes_clip(folder / f"clip{n}.mp4", number=n) for n in range(2)]


def tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def choose(page: Any, element: str, *files: Path) -> None:
    page.set_input_files(f"#{element} input[type=file]", [str(file) for file in files])


def press(page: Any, button: str, result: str) -> None:
    """Press until the result shows: on a busy machine the first press may come before the page is wired to the server.

    A second press while the first is at work does nothing.
    """
    from playwright.sync_api import TimeoutError as Late

    for patience in (20_000, 30_000):
        page.click(button)
        with contextlib.suppress(Late):
            page.wait_for_selector(result, timeout=patience)
            return
    page.click(button)
    page.wait_for_selector(result)


def rewrite(page: Any, place: Any, sentence: str) -> None:
    """Correct the caption at ``place``, and wait until it says so."""
    place.locator(".cap-correct").click()
    page.locator(".cap-edit input").fill(sentence)
    page.locator(".cap-edit input").press("Enter")
    place.get_by_text(sentence).wait_for()


def caption_of(page: Any, sentence: str) -> None:
    """Wait until the Caption tab says ``sentence``."""
    page.locator("#caption-out .cap-sentence", has_text=sentence).wait_for()


def fresh(page: Any, name: str = "") -> None:
    """The page as a new visitor finds it, at one of its tabs."""
    page.goto(page.url.partition("?")[0])
    page.wait_for_selector("#caption-player video[src]")
    if name:
        tab(page, name)


def test_upload_to_caption_and_from_a_word_to_its_moment(demo: Demo, page: Any, clips: list[Path]) -> None:
    assert "This is the caption of the sample" in page.inner_text("#caption-out")  # before anything was dropped
    page.locator(".cap-word").first.click()  # and the sample is in the player: its words seek
    page.wait_for_function("document.querySelector('#caption-player video').currentTime > 0")
    caption = demo.captioner.caption(clips[0])
    sentence = ("unsure: " if caption.abstained else "") + caption.text
    choose(page, "caption-player", clips[0])  # dropping is enough, over the sample
    page.wait_for_selector("#caption-player video[aria-label='Video: clip0.mp4']")
    page.wait_for_selector("#caption-out [data-result]", state="attached")
    assert page.inner_text(".cap-sentence") == sentence
    assert page.locator(".cap-why p").is_hidden()
    page.click(".cap-why summary")
    assert "The percentage is the probability" in page.inner_text(".cap-why p")
    for width in (390, 1280):  # every frame can be seen without scrolling sideways
        page.set_viewport_size({"width": width, "height": 900})
        assert len(caption.times_seconds) == 16
        assert (
            page.evaluate(
                "(() => { const s = document.querySelector('.cap-scroll'); return s.scrollWidth - s.clientWidth })()"
            )
            <= 1
        )
    assert page.locator(".cap-frame").count() == len(caption.times_seconds)
    assert page.locator(".cap-list tbody tr").count() > 1  # the n-best list
    assert len(caption.words) >= 3
    for index, word in enumerate(caption.words):
        page.locator(".cap-word").nth(index).press("Enter")  # by keyboard
        page.wait_for_function(
            f"Math.abs(document.querySelector('#caption-player video').currentTime - {word.peak_seconds}) < 0.06"
        )
        assert page.locator(".cap-word[aria-pressed=true]").count() == 1
        assert page.locator(".cap-frame.cap-marked").get_attribute("data-frame") == str(
            word.attention.index(max(word.attention))
        )
        assert word.text in page.inner_text(".cap-moment figcaption")
    page.locator(".cap-frame").nth(1).click()
    page.wait_for_function(
        f"Math.abs(document.querySelector('#caption-player video').currentTime - {caption.times_seconds[1]}) < 0.06"
    )
    from demo.components.result import scene as scene_of

    scene = scene_of(dataclasses.replace(caption, scene_seconds=(0.4, 1.0)))
    page.locator("#caption-out .cap-facts").evaluate(
        "(facts, html) => facts.insertAdjacentHTML('beforeend', html)", scene
    )
    page.click(".cap-scene")
    page.wait_for_function("Math.abs(document.querySelector('#caption-player video').currentTime - 0.4) < 0.06")
    assert page.locator(".cap-gates table").is_hidden()
    page.click(".cap-gates summary")
    gates = page.locator(".cap-gates tbody tr")
    for row in (0, 1):
        percents = [f"{100 * word.gates[row]:.0f} %" for word in caption.words if word.gates]
        assert gates.nth(row).locator("td").all_inner_texts() == percents and len(percents) == len(caption.words)
    press(page, "#ways-run", "#ways-result .cap-card")
    assert page.locator("#ways-result .cap-card").count() == 3
    look(page)


def test_a_refused_file_is_one_sentence_beside_the_player(page: Any, clips: list[Path], tmp_path: Path) -> None:
    """No toast, and no other video's caption left standing beside it; the next file is welcome."""
    empty = tmp_path / "empty.mp4"
    empty.touch()
    evil = render_text(tmp_path / "<img src=x onerror=alert(1)>.mp4")
    for file, said in ((empty, "This file is empty."), (evil, "There is no video in this file.")):
        choose(page, "caption-player", file)
        page.locator("#caption-player .cap-refused", has_text=said).wait_for()
        page.locator("#caption-out .cap-empty").wait_for()
        assert page.locator("#caption-player video").count() == page.locator(".cap-sentence:visible").count() == 0
        assert page.locator(".toast-wrap :visible").count() == page.locator("img[src=x]").count() == 0
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(5 * 2**20))
    choose(page, "caption-player", large)
    page.locator(".cap-uploading", has_text="This file is too large: this demo takes up to 4 MB.").wait_for()
    page.click("#caption-run")
    page.locator(".cap-refused", has_text="Choose a video first.").wait_for()


def test_what_the_browser_cannot_play_is_captioned_corrected_and_kept(demo: Demo, page: Any, tmp_path: Path) -> None:
    """An AVI: a preview in the player; then a better sentence, in every file; a reload loses nothing."""
    avi = render_clip(tmp_path / "old.avi", frames=20, rate=10)
    choose(page, "caption-player", avi)
    page.wait_for_selector("#caption-player video[data-preview]")
    assert "Your browser cannot play this format" in page.inner_text("#caption-player")
    caption_of(page, demo.captioner.caption(avi).text)
    page.wait_for_function("document.querySelector('#caption-player video').duration > 1.5")
    assert page.locator(".toast-wrap :visible").count() == 0
    rewrite(page, page.locator("#caption-out"), "a square <b> moves")
    assert "corrected by you" in page.inner_text("#caption-out")
    cues = "[...document.querySelector('#caption-player video').captionerTrack.cues].map((cue) => cue.text)"
    page.wait_for_function(f"{cues}[0] === 'a square <b> moves'")
    with page.expect_download() as download:
        page.click("#caption-out a:has-text('JSONL')")
    manifest = tmp_path / "corrections.jsonl"
    manifest.write_bytes(Path(download.value.path()).read_bytes())
    assert [(clip.path, clip.captions) for clip in read_manifest(manifest)] == [(avi, ("a square <b> moves",))]
    page.click("#caption-out .cap-burn")
    page.wait_for_selector("#caption-made a[href]")
    with page.expect_download() as download:
        page.click("#caption-made a")
    assert download.value.suggested_filename == "old-captions.mp4" and probe(download.value.path()).codec == "h264"
    page.reload()
    caption_of(page, "a square <b> moves")
    assert "old.avi" in page.text_content(".cap-visit li")
    page.goto(f"{demo.address}/?result=nobody-knows")
    page.locator(".cap-refused", has_text="This result was deleted").wait_for()
    fresh(page)


def test_by_keyboard(page: Any) -> None:
    """Arrows between tabs, samples and frames, each one stop; from a sample to a word in a few presses of Tab."""
    focused = "document.activeElement"
    page.locator("[role=tab][aria-selected=true]").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(f"{focused}.textContent") == "Actions"
    assert page.locator("[role=tab][aria-selected=true]").inner_text() == "Actions"
    page.keyboard.press("Home")
    page.locator("#caption-player .cap-sample").first.focus()
    page.keyboard.press("End")
    assert page.evaluate(f"{focused}.dataset.sample") == str(page.locator("#caption-player .cap-sample").count() - 1)
    presses = 0
    while not page.evaluate(f"{focused}.matches('.cap-word')"):
        page.keyboard.press("Tab")
        presses += 1
        if page.evaluate(f"{focused}.matches('.cap-frame')"):
            page.keyboard.press("ArrowRight")
            assert page.evaluate(f"{focused}.dataset.frame") == "1"
        assert presses < 14


def test_no_violation_that_axe_knows(page: Any, clips: list[Path]) -> None:
    """axe-core over every tab as it is found; the tests before have run it over results too (``look``)."""
    page.evaluate(axe())
    for name in page.locator("[role=tab]").all_inner_texts():
        tab(page, name)
        assert violations(page) == []
    tab(page, "Caption")


def look(page: Any) -> None:
    """axe-core over the page as it stands, where it is installed."""
    if has_axe():
        page.evaluate(axe())
        assert violations(page) == []


def violations(page: Any) -> list[str]:
    """What axe-core finds, a line each."""
    page.wait_for_timeout(300)  # gradio's panels fade in
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] }).then((done) => done.violations)")
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


def test_actions(page: Any, clips: list[Path]) -> None:
    """Named by a recogniser of actions, each with its moment."""
    from captioner import Recognizer

    tab(page, "Actions")
    choose(page, "actions-player", clips[0])
    page.wait_for_selector("#actions-result [data-result]", state="attached")
    found = Recognizer.load().actions(clips[0])
    assert page.locator(".cap-action strong").all_inner_texts() == [action.label for action in found]
    page.locator(".cap-action").nth(1).click()
    page.wait_for_function(
        f"Math.abs(document.querySelector('#actions-player video').currentTime - {found[1].peak_seconds}) < 0.06"
    )
    assert page.locator("#actions-result a:has-text('SRT')").count() == 1
    look(page)
    fresh(page)


def test_learn_what_is_normal_and_find_what_is_not(page: Any, clips: list[Path], tmp_path: Path) -> None:
    """From the sample to an event, its moment in the player, and the files; bad input is one sentence."""
    tab(page, "Anomalies")
    choose(page, "anomalies-player", clips[0])
    page.wait_for_selector("#anomalies-player video")
    page.click("#anomalies-run")
    page.locator(".cap-refused", has_text="Learn from normal footage first.").wait_for()
    choose(page, "anomalies-files", clips[0], render_text(tmp_path / "notes.mp4"))
    page.wait_for_selector("#anomalies-files .file-preview")
    page.click("#anomalies-learn-run")
    page.locator(
        "#anomalies-learn-status", has_text="normal footage of 2 seconds is too little: at least 30 are needed"
    ).wait_for()
    assert str(tmp_path.parent) not in page.content()
    choose(page, "anomalies-player", render_text(tmp_path / "words.mp4"))
    page.locator("#anomalies-player .cap-refused", has_text="There is no video in this file.").wait_for()
    page.locator("#anomalies-result .cap-empty").wait_for()
    fresh(page, "Anomalies")
    page.click("#anomalies-sample")
    page.wait_for_selector("#anomalies-player video")
    page.get_by_label("number input for Training steps").fill("10")
    page.click("#anomalies-learn-run")
    page.wait_for_selector("#anomalies-learn-status :text('Learned from 4 files, 180 seconds')", timeout=3 * PATIENCE)
    # so few steps find little of the sample's own: take another scene
    choose(page, "anomalies-player", shapes_clip(tmp_path / "other.mp4", seconds=20))
    page.wait_for_selector("#anomalies-player video[aria-label='Video: other.mp4']")
    press(page, "#anomalies-run", ".cap-event")
    event = page.locator(".cap-event").first
    event.click()
    seek = float(event.get_attribute("data-seek"))
    page.wait_for_function(f"Math.abs({ANOMALIES}.currentTime - {seek}) < 0.06")
    curve = page.locator(".cap-curve")
    curve.click(position={"x": curve.bounding_box()["width"] / 4, "y": 40})
    page.wait_for_function(f"Math.abs({ANOMALIES}.currentTime - 19.8 / 4) < 0.3")
    curve.focus()
    page.keyboard.press("End")
    page.wait_for_function(f"{ANOMALIES}.currentTime > 19")
    look(page)
    with page.expect_download() as download:
        page.click("#anomalies-result a:has-text('CSV')")
    assert Path(download.value.path()).read_text(encoding="utf-8").count("\n") == 101
    page.reload()
    page.wait_for_selector("#anomalies-out:visible .cap-event")
    fresh(page)


def test_compare(page: Any, clips: list[Path]) -> None:
    tab(page, "Compare")
    choose(page, "compare-player", clips[0])
    page.wait_for_selector("#compare-player video[aria-label='Video: clip0.mp4']")
    press(page, "#compare-run", "#compare-b .cap-word")
    assert page.locator("#compare-said .cap-card .cap-said").count() == 2
    page.locator("#compare-b .cap-word").first.click()
    assert page.locator("#compare-b .cap-places").count() == 0  # the tiny checkpoint looks at whole frames
    page.locator("#compare-a .cap-word").first.click()
    # the packaged one looks at 3 x 3 places: shown on each frame, and on the large one
    assert page.locator("#compare-a .cap-stage .cap-places > span").count() == 9
    assert page.locator("#compare-a .cap-thumb .cap-places").count() == page.locator("#compare-a .cap-frame").count()
    rewrite(page, page.locator("#compare-said .cap-card").nth(1), "shapes move")
    assert page.locator("#compare-said .cap-card mark").all_inner_texts()[-2:] == ["shapes", "move"]
    assert page.locator("#compare-said a:has-text('JSONL')").count() == 1
    look(page)


def test_batch_with_one_bad_file(page: Any, clips: list[Path], tmp_path: Path) -> None:
    tab(page, "Batch")
    bad = render_text(tmp_path / "=cmd <b>bad<b>.mp4")
    choose(page, "batch-files", clips[0], bad, clips[1])
    page.wait_for_selector("#batch-files .file-preview")
    press(page, "#batch-run", "#batch-files-made a")
    rows = page.locator("#batch-result tbody tr")
    assert rows.count() == 3 and "no video" in rows.nth(1).inner_text() and "clip1.mp4" in rows.nth(2).inner_text()
    assert "2 captioned, 1 refused" in page.inner_text("#batch-status")
    with page.expect_download() as download:
        page.click("#batch-files-made a:has-text('CSV')")
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [bool(row["caption"]) for row in table] == [True, False, True]
    assert table[1]["error"] and not table[1]["file"].startswith("=")
    with page.expect_download() as download:
        page.click("#batch-files-made a:has-text('ZIP')")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist() == ["clip0.vtt", "clip0.srt", "clip1.vtt", "clip1.srt"]
    rewrite(page, rows.nth(2), "a clip <b> of shapes")
    page.reload()  # and a reload loses nothing
    rows.nth(2).get_by_text("a clip <b> of shapes").wait_for()
    assert "corrected by you" in rows.nth(2).inner_text() and rows.count() == 3
    rewrite(page, rows.nth(0), "another clip of shapes")
    look(page)
    with page.expect_download() as download:
        page.click("#batch-files-made a:has-text('JSONL')")
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    said = {line["path"]: line["captions"] for line in map(json.loads, lines)}
    assert (said["clip0.mp4"], said["clip1.mp4"]) == (["another clip of shapes"], ["a clip <b> of shapes"])


def test_timeline_cancel_jump_subtitles_and_download(page: Any, tmp_path: Path) -> None:
    """A film of ten minutes, long enough to be cancelled in the middle."""
    tab(page, "Timeline")
    choose(page, "timeline-player", render_clip(tmp_path / "film.mp4", frames=10 * 60 * 2, rate=2, gop=20))
    page.wait_for_selector("#timeline-player video[aria-label='Video: film.mp4']")
    page.get_by_label("Of equal length").locator("visible=true").check()
    page.get_by_label("Length of a segment (seconds)").locator("visible=true").fill("1")
    press(page, "#timeline-run", "#timeline-result .cap-jump")
    page.click("#timeline-cancel")
    page.wait_for_selector("#timeline-files a")
    page.locator("#timeline-status", has_text="Stopped:").wait_for()
    page.wait_for_selector("#timeline-run:enabled")
    made = page.locator("#timeline-result .cap-jump").count()
    assert made >= 1
    page.wait_for_timeout(1000)
    assert page.locator("#timeline-result .cap-jump").count() == made  # it has really stopped
    look(page)
    jump = page.locator("#timeline-result .cap-jump").last
    jump.click()
    start = float(jump.get_attribute("data-seek"))
    page.wait_for_function(f"Math.abs(document.querySelector('#timeline-player video').currentTime - {start}) < 0.06")
    cues = page.evaluate(
        "[...document.querySelector('#timeline-player video').captionerTrack.cues].map((c) => [c.startTime, c.text])"
    )
    assert len(cues) == made and cues[-1] == [start, jump.get_attribute("data-text")]
    with page.expect_download() as download:
        page.click("#timeline-files a:has-text('VTT')")
    assert download.value.suggested_filename == "film.vtt"
    assert Path(download.value.path()).read_text(encoding="utf-8").count("-->") >= made


def test_timeline_to_the_end(page: Any, tmp_path: Path) -> None:
    fresh(page, "Timeline")
    choose(page, "timeline-player", render_clip(tmp_path / "short.mp4", frames=40, rate=10))
    page.wait_for_selector("#timeline-player video[aria-label='Video: short.mp4']")
    page.click("#timeline-run")
    page.wait_for_function("document.querySelector('#timeline-status').innerText.startsWith('Done')")
    assert page.locator("#timeline-result .cap-jump").count() >= 1
    assert page.evaluate("document.querySelector('#timeline-player video').captionerTrack.cues.length") >= 1
    rewrite(page, page.locator("#timeline-result li").first, "a bar crosses a test card")
    page.wait_for_selector("#timeline-result :text('corrected by you')")
    page.go_back()  # to the address before this result
    page.wait_for_selector("#caption-player video[src]")
    page.go_forward()
    page.wait_for_selector("#timeline-result:visible :text('a bar crosses a test card')")


def test_evaluate(page: Any, tmp_path: Path) -> None:
    tab(page, "Evaluate")
    references, predictions = tmp_path / "refs.tsv", tmp_path / "said.csv"
    references.write_text("a\ta dog runs\nb\ta cat <b>sleeps</b>\nb\ta cat is asleep\n", encoding="utf-8")
    predictions.write_text("id,caption\na,a dog runs fast\nb,a cat sleeps\n", encoding="utf-8")
    choose(page, "evaluate-predictions", predictions)
    choose(page, "evaluate-references", references)
    page.wait_for_selector("#evaluate-predictions .file-preview")
    page.wait_for_selector("#evaluate-references .file-preview")
    press(page, "#evaluate-run", "#evaluate-result .cap-list")
    look(page)
    assert "CIDEr" in page.inner_text("#evaluate-result") and "2 scored of 2" in page.inner_text("#evaluate-result")
    with page.expect_download() as download:
        page.click("#evaluate-result a:has-text('HTML')")
    assert "<!doctype html>" in Path(download.value.path()).read_text(encoding="utf-8")
    page.reload()
    page.wait_for_selector("#evaluate-result:visible .cap-list")
    assert "Evaluate: said.csv:" in page.text_content(".cap-visit li")


def test_a_link_finds_and_a_choice_plays(demo: Demo, page: Any, tmp_path: Path) -> None:
    page = page.context.browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{demo.address}?q=a+cat")
    page.wait_for_selector(".cap-hit")
    assert page.input_value("#find-query input, #find-query textarea") == "a cat"
    assert "best first" in page.inner_text("#find-result")
    page.locator(".cap-hit").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#find-player video')?.played.length > 0")
    assert "score" in page.inner_text("#find-why")
    page.fill("#find-query input, #find-query textarea", '"words that nobody said"')
    page.keyboard.press("Enter")
    page.wait_for_selector("#find-result:has-text('Nothing was found')")
    tab(page, "Batch")
    choose(page, "batch-files", render_clip(tmp_path / "old.avi", frames=20, rate=10))
    page.wait_for_selector("#batch-files .file-preview")
    press(page, "#batch-run", "#batch-result tr:has-text('old.avi')")
    tab(page, "Find")  # and what was captioned here is found
    page.fill("#find-query input, #find-query textarea", "path:old.avi")
    page.keyboard.press("Enter")
    page.wait_for_selector("#find-result:has-text('1 clip')")
    page.locator(".cap-hit").first.click()
    page.wait_for_selector("#find-why:has-text('old.avi')")
    page.wait_for_selector("#find-player video[data-preview]")  # a browser plays no AVI
    assert "Your browser cannot play this format" in page.inner_text("#find-player")
    look(page)
    page.get_by_role("button", name="Index the folder archive").click()
    page.locator("#index-status", has_text="2 clips can be found. Files that could not be read: 1.").wait_for()
    page.evaluate("document.querySelector('.cap-hits').dataset.old = 'true'")
    page.fill("#find-query input, #find-query textarea", "path:below/*")
    page.keyboard.press("Enter")
    page.locator(".cap-hits:not([data-old]) .cap-hit").first.click()
    page.wait_for_selector("#find-why:has-text('two.mp4')")
    page.wait_for_selector("#find-player video[aria-label='Video: two.mp4']")
    page.close()


def test_a_phone_and_the_dark_scroll_only_inside(demo: Demo, page: Any) -> None:
    """At phone width nothing sticks out of the page, light or dark."""
    fresh(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 390, "height": 844})
        tab(page, "Caption")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 1
        assert all(each.is_visible() for each in page.locator("[role=tab]").all())
        assert page.locator("[role=tab]").count() >= 7
        assert page.locator("footer .divider:visible").count() == 0  # gradio's footer ends in a dot
        assert page.locator("#caption-out .cap-sentence").bounding_box()["y"] < 844  # seen without scrolling
        look(page)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 900})
