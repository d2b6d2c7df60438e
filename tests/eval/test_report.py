"""The report: what it says, what it refuses to run or to fetch, and the parts it is made of."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from captioner.checkpoint.captioning import load_checkpoint
from captioner.manifest import Clip, read_manifest
from captioner.video.config import VideoConfig
from data.shapes import render
from eval.inputs.predictions import Predictions
from eval.inputs.references import References
from eval.report.alarms import Alarm, alarms, leaks
from eval.report.page import Subject, markdown, write_report
from eval.report.plots import heat, histogram, interval, round_ticks
from eval.report.strips import jpeg, strip, try_strip
from eval.scores.evaluation import Evaluation
from eval.scores.scorer import PreparedReferences, evaluate
from eval.scores.slices import groups, slicings

HOSTILE = "<script>alert('x')</script> & <img src=https://example.org/x>"


def references(captions: dict[str, tuple[str, ...]], categories: dict[str, str] | None = None) -> References:
    return References(
        source="m.jsonl", split="test", captions=captions, categories=categories or {}, without_captions=(), names={}
    )


def predictions(captions: dict[str, str], failed: dict[str, str] | None = None) -> Predictions:
    return Predictions("p.jsonl", captions, failed or {}, (), {}, 0)


def score(said: dict[str, str], theirs: References, *, training: set[tuple[str, ...]] | None = None) -> Evaluation:
    return evaluate(predictions(said), PreparedReferences.of(theirs), resamples=100, training=training)


class Page(HTMLParser):
    """Tags and what their attributes ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.asked: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asked += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> tuple[Path, Evaluation]:
    """A report on three rendered clips: one with hostile text, one whose file has gone since."""
    folder = tmp_path_factory.mktemp("report")
    clips = read_manifest(render(folder / "shapes", train=0, val=0, test=3, seed=3))
    theirs = references(
        {
            clips[0].id: ("a red circle grows", HOSTILE),
            clips[1].id: ("two squares", "squares"),
            clips[2].id: ("a", "b"),
        },
        {clips[0].id: HOSTILE, clips[1].id: "plain", clips[2].id: "plain"},
    )
    evaluation = score({clips[0].id: HOSTILE, clips[1].id: "two squares", clips[2].id: "x"}, theirs)
    assert clips[2].path is not None
    clips[2].path.unlink()
    word = {"text": HOSTILE, "attention": [0.1, 0.2, 0.3, 0.4], "peak_seconds": 1.3}
    rows = {
        c.id: {"id": c.id, "words": [word], "times_seconds": [0.1, 0.5, 0.9, 1.3], "confidence": 0.5} for c in clips
    }
    loaded = load_checkpoint(checkpoint)
    subject = Subject(evaluation=evaluation, references=theirs, clips=clips, rows=rows, checkpoint=loaded)
    write_report(subject, folder)
    return folder, evaluation


def test_nothing_hostile_runs_and_nothing_is_fetched(written: tuple[Path, Evaluation]) -> None:
    text = (written[0] / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags and "link" not in page.tags and "iframe" not in page.tags
    assert page.asked and all(asked.startswith("data:image/jpeg;base64,") for asked in page.asked)
    assert "url(" not in text and "@import" not in text
    assert "&lt;script&gt;alert" in text  # it is shown, as text
    assert "default-src 'none'" in text


def test_the_report_says_what_it_must(written: tuple[Path, Evaluation]) -> None:
    folder, evaluation = written
    text = (folder / "report.html").read_text(encoding="utf-8")
    for name, value in evaluation.scores.items():
        assert f'<td class="metric">{name}</td><td>{100 * value.score:.1f}</td>' in text
    assert evaluation.signature in text
    assert "leave one out: one reference of each of 3 clips" in text
    assert text.count("No frames: ") == text.count("cannot be opened: No such file") == 1  # the clip that has gone
    assert text.count('<svg class="histogram"') == 2 and text.count('<svg class="heat"') == 3
    assert "<h3>Category</h3>" in text and "prefers-color-scheme: dark" in text
    assert re.search(r"<dt>Fingerprint</dt><dd>[0-9a-f]{12}</dd>", text)


def test_markdown_is_short_and_inert(written: tuple[Path, Evaluation]) -> None:
    text = (written[0] / "report.md").read_text(encoding="utf-8")
    assert "<script" not in text and "<img" not in text
    assert "| CIDEr |" in text and len(text.splitlines()) < 60
    table = [line for line in text.splitlines() if line.startswith("| test-")]
    assert table and all(line.count("|") == 5 for line in table)
    assert markdown("a|b `c` *d* @all <b>\n# x") == "a&#124;b &#96;c&#96; &#42;d&#42; &#64;all &#60;b&#62; &#35; x"


def test_one_clip_and_no_second_reference_still_make_a_report(tmp_path: Path, checkpoint: Path) -> None:
    theirs = references({"only": ("a man runs",)})
    loaded = load_checkpoint(checkpoint)
    clips = [Clip(id="only", path=None, split="test", captions=("a man runs",))]
    evaluation = score({"only": "a man runs"}, theirs)
    subject = Subject(evaluation=evaluation, references=theirs, clips=clips, rows={}, checkpoint=loaded)
    page, short = write_report(subject, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "People" not in text and "Where the score comes from" not in text
    assert "CIDEr is 0 because there is one clip" in text and "names no file" in text
    assert "1 clip, all that have references" in text and "1 clips" not in text
    assert "people" not in short.read_text(encoding="utf-8").split("\n")[2]


def rated(tmp_path: Path, checkpoint: Path, *, calibrated: bool) -> str:
    """The page of forty clips: the first thirty captions are what people say, confidence falls from clip to clip."""
    ids = [f"c{i:02}" for i in range(40)]
    theirs = references(dict.fromkeys(ids, ("a dog runs", "a dog runs", "the dog is running")))
    evaluation = score({name: "a dog runs" if name < "c30" else "a cat sleeps" for name in ids}, theirs)
    clips = [Clip(id=name, path=None, split="test", captions=theirs.captions[name]) for name in ids]
    rows = {name: {"id": name, "confidence": 0.95 - 0.02 * i, "calibrated": calibrated} for i, name in enumerate(ids)}
    loaded = load_checkpoint(checkpoint)
    subject = Subject(evaluation=evaluation, references=theirs, clips=clips, rows=rows, checkpoint=loaded)
    page, short = write_report(subject, tmp_path, images=False, show=2)
    assert ("expected calibration error" in short.read_text(encoding="utf-8")) == calibrated
    return page.read_text(encoding="utf-8")


def test_a_calibrated_confidence_is_held_against_what_came(tmp_path: Path, checkpoint: Path) -> None:
    text = rated(tmp_path, checkpoint, calibrated=True)
    assert "Reliability of the confidence of 40 captions, in 10 bins" in text
    assert "<tr><td>0.4</td><td>70 %</td><td>100 %</td></tr>" in text  # c00 to c27
    # Of the bad captions, c30 to c39: the two worst are shown as such, then the three surest of the others.
    shown = re.findall(r'<p class="quiet">(c\d\d) ·', text)
    assert len(set(shown)) == len(shown) == 7
    assert shown[4:] == sorted({f"c{i}" for i in range(30, 40)} - set(shown[2:4]))[:3]
    assert "40 captions, the best first" in text
    assert '<li>a dog runs <span class="quiet">× 2</span></li>' in text


def test_a_confidence_that_promises_nothing_is_not_judged(tmp_path: Path, checkpoint: Path) -> None:
    text = rated(tmp_path, checkpoint, calibrated=False)
    assert "What its confidence is worth" not in text and "Surest mistakes" not in text
    assert "it ranks captions, but is not a probability" in text


def state(found: tuple[Alarm, ...], title: str) -> str:
    [alarm] = [alarm for alarm in found if alarm.title == title]
    return alarm.state


def test_alarms_ring_for_what_they_are_for() -> None:
    ids = [f"c{i}" for i in range(30)]
    theirs = references({name: (f"person {name} walks", "someone walks") for name in ids})
    same = score(dict.fromkeys(ids, "a man is running"), theirs, training={("a", "man", "is", "running")})
    other = score({name: f"{name} walks" for name in ids}, theirs, training=set())
    assert state(alarms(same, [], train=[]), "Caption collapse") == "alarm"
    assert state(alarms(other, [], train=[]), "Caption collapse") == "fine"
    assert state(alarms(same, [], train=[]), "Copied training captions") == "alarm"
    assert state(alarms(other, [], train=[]), "Copied training captions") == "fine"
    unknown = alarms(score(dict.fromkeys(ids, "x"), theirs), [], train=None)
    assert state(unknown, "Copied training captions") == state(unknown, "Leakage from training") == "unknown"
    partial = evaluate(predictions({"c0": "a"}, {"c1": "damaged"}), PreparedReferences.of(theirs), resamples=100)
    assert state(alarms(partial, [], train=None), "Clips left out") == "alarm"
    assert state(alarms(other, [], train=None), "Clips left out") == "fine"
    wordless = score({"a": "x", "b": "y"}, references({"a": ("x", "..."), "b": ("y",)}))
    assert state(alarms(wordless, [], train=None), "Empty references") == "alarm"


def test_leaks_are_found_by_id_and_by_content(tmp_path: Path) -> None:
    def clip(name: str, content: bytes | None, start: float | None = None, end: float | None = None) -> Clip:
        path = tmp_path / f"{name}.mp4"
        if content is not None:
            path.write_bytes(content)
        return Clip(id=name, path=path, split="x", captions=("a",), start_seconds=start, end_seconds=end)

    train = [clip("a", b"one"), clip("b", b"two"), clip("late", b"film", 10, 20)]
    evaluated = [
        clip("copy of b", b"two"),
        clip("same size", b"six"),
        clip("early", b"film", 0, 10),  # another part of the same film
        clip("middle", b"film", 15, 25),
        clip("gone", None),
        Clip(id="a", path=None, split="x", captions=()),
    ]
    assert [(c.id, t.id) for c, t in leaks(evaluated, train)] == [("copy of b", "b"), ("middle", "late"), ("a", "a")]


def test_slices_hold_every_clip_once() -> None:
    assert groups([3, 3, 5]) == [(3, 3), (5, 5)]
    values = [4, 5, 5, 6, 6, 6, 7, 8, 9, 12, 15, 20]
    ranges = groups(values)
    assert [sum(a <= v <= b for a, b in ranges) for v in values] == [1] * len(values) and len(ranges) <= 4
    assert groups([1] * 90 + [2, 3, 4, 5, 6]) == [(1, 1), (2, 6)]
    said = {f"c{i}": "a man runs" + " fast" * (i % 3) for i in range(12)}
    theirs = references(
        {name: ("a man runs",) * (1 + i % 2) for i, name in enumerate(said)}, dict.fromkeys(list(said)[:5], "sport")
    )
    found = {s.title: {one.label: one.clips for one in s.slices} for s in slicings(score(said, theirs))}
    assert found == {
        "Words in the caption": {"3": 4, "4": 4, "5": 4},
        "References of the clip": {"1": 6, "2": 6},
        "Category": {"sport": 5, "(none)": 7},
    }


def test_plots_draw_the_numbers() -> None:
    assert round_ticks(124.5) == [0, 50, 100, 150] and round_ticks(0) == [0, 1] and round_ticks(100)[-1] == 100
    drawn = str(interval(50, 25, 75, top=100, other=100))
    assert 'x1="58" y1="11" x2="162"' in drawn and 'cx="110"' in drawn and 'x1="214" y1="2" x2="214"' in drawn
    bars = str(histogram([0, 0, 0, 95], unit="CIDEr <of> a clip"))
    heights = [float(h) for h in re.findall(r'<rect x=.*?height="([\d.]+)"', bars)]
    assert len(heights) == 20 and heights[0] == pytest.approx(3 * heights[19], abs=0.2) and sum(map(bool, heights)) == 2
    assert "mean 23.8" in bars and "<of>" not in bars and "&lt;of&gt;" in bars
    cells = re.findall(r'fill-opacity="([\d.]+)"', str(heat([0.1, 0.4, 0.5], top=0.5, label='"><script>')))
    assert cells == ["0.2", "0.8", "1"]
    assert "<script>" not in heat([1.0], top=0, label='"><script>')


def test_a_strip_is_the_frames_the_model_saw(tmp_path: Path) -> None:
    clip = read_manifest(render(tmp_path, train=0, val=0, test=1, seed=5))[0]
    picture = strip(clip, VideoConfig(frames=16, size=32), frames=4)
    with av.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert pixels.shape == (120, 4 * 120, 3)
    tiles = np.split(pixels.astype(int), 4, axis=1)
    assert all(np.abs(one - other).max() > 60 for one, other in pairwise(tiles))  # it moves
    assert try_strip(Clip(id="x", path=tmp_path / "none.mp4", split="test", captions=()), VideoConfig())[0] is None


def test_a_jpeg_keeps_its_colours() -> None:
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:, :32] = (200, 30, 30)
    rgb[:, 32:] = (255, 255, 255)
    with av.open(io.BytesIO(jpeg(rgb))) as container:
        again = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.abs(again - rgb)[:, [*range(24), *range(40, 64)]].max() < 12
