"""The demo's own pieces: what it writes into pages and files, and its colours."""

from __future__ import annotations

import base64
import csv
import dataclasses
import html
import io
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="pip install 'captioner[web]'")

import gradio as gr

from captioner import Captioner, VideoError
from captioner.errors import DataError
from captioner.video.config import VideoConfig
from captioner.video.frames import sample_frames
from demo import strings, theme
from demo.components.downloads import as_csv, links, stem
from demo.components.result import sentence
from demo.components.words import clock, words_over_time
from demo.engine import Seen
from demo.limits import Limits, check_length, refusals
from demo.visit.correction import Told
from demo.visit.uploads import Sweeper, private_folder
from tests.media import render_clip


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (3.24, "3.2 s"), (59.96, "1:00.0"), (125.05, "2:05.0"), (3607.5, "1:00:07.5")],
)
def test_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_words_are_escaped_and_every_cell_is_said(checkpoint: Path, tmp_path: Path) -> None:
    caption = Captioner.load(checkpoint).caption(render_clip(tmp_path / "clip.mp4"))
    evil = dataclasses.replace(caption.words[0], text='"><script>alert(1)</script>')
    page = words_over_time(
        dataclasses.replace(caption, words=(evil, *caption.words[1:])), ["data:,"] * 4, player="player"
    )
    assert "<script" not in page and html.escape(evil.text) in page
    assert page.count("<td") == (4 + 2) * len(caption.words)  # four frames, and the two gates
    assert page.count('class="cap-hidden"') == 4 * len(caption.words)
    assert page.count("cap-peak") == len(caption.words)


def test_a_caption_of_one_scene_says_which(checkpoint: Path, tmp_path: Path) -> None:
    """Its subtitle is shown during the scene, as in the VTT; the table and the files of a batch have the scene too."""
    from demo.tabs import batch

    whole = Captioner.load(checkpoint).caption(render_clip(tmp_path / "clip.mp4"))
    now = Told(captions=(whole, dataclasses.replace(whole, scene_seconds=(0.5, 1.25))))
    alone = sentence(Told(captions=now.captions[1:]), player="player")
    assert "It describes 0.5 s to 1.2 s" in alone and 'class="cap-scene" data-seek="0.500"' in alone
    assert 'data-seek="0.500" data-end="1.250" data-text' in alone
    assert "It describes" not in sentence(Told(captions=now.captions[:1]), player="player")
    outcomes = (batch.Outcome(Path("a.mp4")), batch.Outcome(Path("b.mp4"), "no"), batch.Outcome(Path("c.mp4")))
    assert batch._table(outcomes, now).count("It describes 0.5 s to 1.2 s") == 1
    files = re.findall(r"base64,([^\"]+)", batch._downloads(outcomes, now))
    table = list(csv.DictReader(io.StringIO(base64.b64decode(files[0]).decode())))
    assert [row["scene_seconds"] for row in table] == ["", "", "0.500 1.250"] and table[1]["error"] == "no"
    rows = json.loads(base64.b64decode(files[1]))
    assert [row.get("scene_seconds") for row in rows] == [None, None, [0.5, 1.25]]


def test_downloads_carry_their_content() -> None:
    page = links({'a"b.vtt': "WEBVTT"}, label="Download")
    assert 'download="a&quot;b.vtt"' in page and "base64,V0VCVlRU" in page
    assert stem("../../<img src=x>.mp4") == "img-src-x" and stem("ü 字.webm") == "ü-字" and stem("???") == "clip"
    text = as_csv(("file", "caption"), [("=cmd|' /C calc'!A0", "a, b"), ("@x", -1)])
    rows = list(csv.reader(io.StringIO(text)))
    assert rows == [["file", "caption"], ["'=cmd|' /C calc'!A0", "a, b"], ["'@x", "-1"]]


@pytest.mark.parametrize(
    "error", [VideoError("damaged", "/tmp/x is bad"), DataError("/srv/y is bad"), RuntimeError("/srv/z"), OSError("no")]
)
def test_no_failure_shows_a_path(error: Exception) -> None:
    with pytest.raises(gr.Error) as caught, refusals():
        raise error
    assert "/" not in caught.value.message and caught.value.message.endswith(".")


def test_every_code_has_its_sentence_and_length_is_checked() -> None:
    assert all(said.endswith(".") and "/" not in said for said in strings.REFUSED.values())
    check_length(None, Limits())
    with pytest.raises(gr.Error, match="90 minutes long; this demo takes up to 60"), refusals():
        check_length(5400, Limits(clip_minutes=60))


def test_old_uploads_are_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # put back afterwards
    with private_folder(keep_seconds=0.2) as folder:
        upload = folder / "hash" / "clip.mp4"
        upload.parent.mkdir()
        upload.write_bytes(b"x")
        Sweeper(folder, keep_seconds=60).sweep()
        assert upload.exists()
        deadline = time.monotonic() + 10
        while upload.parent.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert not folder.exists()


@pytest.mark.parametrize("hours", [-24, 24], ids=["set back", "set forward"])
def test_a_clock_that_is_set_keeps_uploads_no_longer_and_no_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    wall, steady = time.time, time.monotonic
    monkeypatch.setattr(time, "time", lambda: wall() + hours * 3600)
    (tmp_path / "hash").mkdir()
    upload = tmp_path / "hash" / "clip.mp4"
    upload.write_bytes(b"x")
    sweeper = Sweeper(tmp_path, keep_seconds=600)
    for passed, is_kept in ((0.0, True), (500.0, True), (700.0, False), (1400.0, False)):
        monkeypatch.setattr(time, "monotonic", lambda passed=passed: steady() + passed)
        sweeper.sweep()
        assert upload.exists() is is_kept
    assert not upload.parent.exists()


@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_contrast_is_aa(colours: dict[str, str]) -> None:
    for ground in ("page", "panel"):
        for text in ("text", "quiet", "ink", "bad"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["edge"], colours[ground]) >= 3, ground  # what marks a control (WCAG 1.4.11)
    assert contrast(colours["on_ink"], colours["ink"]) >= 4.5


def contrast(a: str, b: str) -> float:
    """Of two colours, as WCAG 2 defines it."""
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_wrong_options_are_one_line(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import app

    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # put back afterwards
    folder = ["--checkpoint", str(checkpoint), "--folder"]
    for options in (
        ["--checkpoint", "/nowhere"],
        ["--checkpoint", str(checkpoint), "--auth", "me"],
        [*folder, str(checkpoint)],
        [*folder, "/nowhere", "--index", "archive.db"],
    ):
        assert app.main(options) == 1
        said = capsys.readouterr().err
        assert said.startswith("app.py: ") and said.count("\n") == 1


def test_a_timeline_shows_how_far_it_is_while_parts_say_the_same(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captions that are merged come late; progress does not, and what was held is kept when the film breaks off."""
    from demo.tabs import timeline

    monkeypatch.setattr(timeline.Pace, "due", lambda self: True)

    whole = Captioner.load(checkpoint).caption(render_clip(tmp_path / "clip.mp4"))
    frames = dataclasses.replace(sample_frames(tmp_path / "clip.mp4", VideoConfig(frames=4)), duration_seconds=3.0)

    def films(breaks: bool) -> Iterator[Seen]:
        for n in range(3):
            part = dataclasses.replace(whole, start_seconds=float(n), end_seconds=n + 1.0)
            yield Seen(caption=part, frames=frames, squashed=True, meaning="")
        if breaks:
            raise VideoError("damaged", "/tmp/x breaks off")

    for breaks in (False, True):
        shown = list(timeline.run_timeline(films(breaks), threading.Event()))
        for share, update in zip(("0.333", "0.667", "1.000"), shown[1:4], strict=True):
            assert f'value="{share}"' in update[1]
        assert shown[-1][0].count("<li>") == 1 and 'data-seek="0.000" data-end="3.000"' in shown[-1][0]
        assert [caption.end_seconds for caption in shown[-1][2].captions] == [3.0]
        assert ("damaged" in shown[-1][1]) is breaks and "/tmp" not in shown[-1][1]


def test_a_stopped_timeline_keeps_what_it_has_and_says_so_last(checkpoint: Path, tmp_path: Path) -> None:
    """The run itself writes the last word: no update that was on its way can come after it."""
    from demo.components.runs import Stops
    from demo.tabs import timeline

    whole = Captioner.load(checkpoint).caption(render_clip(tmp_path / "clip.mp4"))
    frames = sample_frames(tmp_path / "clip.mp4", VideoConfig(frames=4))
    stops, closed = Stops(), []

    def films() -> Iterator[Seen]:
        try:
            for n in range(100):
                part = dataclasses.replace(whole, text=f"part {n}", start_seconds=float(n), end_seconds=n + 1.0)
                yield Seen(caption=part, frames=frames, squashed=True, meaning="")
                if n == 1:
                    stops.ask("somebody else")
                if n == 2:
                    stops.ask("visitor")
        finally:
            closed.append(True)

    with stops.run("visitor") as stopped:
        shown = list(timeline.run_timeline(films(), stopped))
    assert shown[-1][0].count("<li>") == 4 and "Stopped: 4" in shown[-1][1] and len(shown[-1][2].captions) == 4
    assert closed == [True]
    stops.ask("visitor")  # over: nothing to stop


def test_what_is_found_is_told_with_its_moment_and_reason() -> None:
    from captioner.index.archive import Found, Results
    from captioner.index.evidence import Reason
    from demo.finder import Answer
    from demo.tabs.find import listed, reasons

    dog = Reason(word="<dog>", probability=0.9, seconds=14.0)
    found = Found(
        row=1, path="/a/b&c.mp4", start_seconds=0, end_seconds=20, caption="a <dog>", confidence=0.5, unsure=False,
        score=0.6, similarity=0.4, reasons=(dog,),
    )  # fmt: skip
    told = reasons(found)
    assert "a &lt;dog&gt;" in told and "b&amp;c.mp4, 14.0 s, score 0.60" in told and "90 % at 0:14" in told
    assert "/a/" not in told, "visitors read no path of the server"
    assert "unsure: a &lt;dog&gt;" not in told
    doubtful = dataclasses.replace(found, unsure=True)
    assert "unsure: a &lt;dog&gt;" in reasons(doubtful)
    gallery = listed(Answer(results=Results(found=(found, doubtful)), pictures=(b"", b"webp")))
    assert "2 clips" in gallery and gallery.count("90 % at 0:14") == gallery.count("14.0 s") == 2
    assert "<strong>a &lt;dog&gt;" in gallery and "<strong>unsure: a &lt;dog&gt;" in gallery
    spoken = tuple(Reason(word="sea", source=source) for source in ("caption", "others"))
    assert "sea in the caption; sea in another sentence" in reasons(dataclasses.replace(found, reasons=spoken))
    assert "zebra" in listed(Answer(results=Results(found=(), unknown=("zebra",)), pictures=()))
