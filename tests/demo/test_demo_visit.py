"""What a visit needs beside results: a place in the line, results by name, corrections, previews."""

from __future__ import annotations

import dataclasses
import itertools
import json
import threading
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio", reason="pip install 'captioner[web]'")

from captioner.caption.result import Caption, Embedding
from captioner.checkpoint.captioning import load_checkpoint
from captioner.cli import main
from captioner.index.indexer import Indexer
from captioner.manifest import Clip as TrainingClip
from captioner.manifest import read_manifest, write_manifest
from captioner.retrieval.queries import Queries
from captioner.video.frames import probe, sample_frames
from demo import strings
from demo.child import Child
from demo.components.downloads import subtitles_of
from demo.components.tools import tools
from demo.finder import Finder, Source
from demo.limits import Limits, Refusal
from demo.tabs.find import count_failures, index_folder
from demo.visit.correction import Told
from demo.visit.line import Line
from demo.visit.preview import recipe, write_preview
from demo.visit.shelf import MOST, Clip, Kept, Shelf
from tests.conftest import Demo
from tests.media import render_clip


def caption(text: str, *, path: str = "clip.mp4", start: float = 0.0, end: float | None = 2.0) -> Caption:
    return Caption(
        path=path,
        text=text,
        score=-1.0,
        log_prob=-1.0,
        confidence=0.2,
        abstained=True,
        words=(),
        alternatives=(),
        times_seconds=(start,),
        start_seconds=start,
        end_seconds=end,
        warnings=(),
        model="m",
    )


def test_a_visitor_finds_what_it_captioned_as_corrected_and_nobody_else_does(demo: Demo, tmp_path: Path) -> None:
    indexer, shelf, queries = (
        Indexer(demo.captioner.checkpoint, captioner=demo.captioner),
        Shelf(seconds=60),
        Queries.load(),
    )
    finder = Finder(indexer, source=Source(), shelf=shelf, limits=Limits())

    def captioned(*texts: str) -> Told:
        made = [caption(text, start=2.0 * i, end=2.0 * (i + 1)) for i, text in enumerate(texts)]
        vectors = [queries.vector(text).astype(np.float16).tobytes() for text in texts]
        kept = [Embedding(vector=vector, words=(), thumbnail=b"webp") for vector in vectors]
        return Told(captions=tuple(dataclasses.replace(c, embedding=e) for c, e in zip(made, kept, strict=True)))

    def put(name: str, file: str, now: Told, visitor: str = "me") -> None:
        shelf.put(
            name,
            Kept(
                tab="caption",
                values=(),
                visitor=visitor,
                clips=(Clip(file=str(tmp_path / file), captions=now.captions),),
            ),
        )

    def names(query: str, visitor: str = "me") -> list[tuple[str, str, float]]:
        results = finder.search(query, visitor=visitor).results
        return [(Path(found.path).name, found.caption, found.start_seconds) for found in results]

    for file in ("film.mp4", "dog.mp4", "theirs.mp4"):
        (tmp_path / file).touch()
    film = captioned("a man is cooking", "a cat is sleeping")
    put("film", "film.mp4", film)
    put("dog", "dog.mp4", captioned("a dog is running"))
    put("theirs", "theirs.mp4", captioned("a dog is swimming"), visitor="them")
    put("other", "other.mp4", Told(captions=(caption("of a checkpoint without a retriever"),)))
    assert names("a dog is running")[0] == ("dog.mp4", "a dog is running", 0.0)
    assert names("a cat")[0] == ("film.mp4", "a cat is sleeping", 2.0) and len(names("a cat")) == 3
    assert [name for name, *_ in names("a dog", "them")] == ["theirs.mp4"] and names("a dog", "") == []
    assert finder.search("a cat", visitor="me").pictures[0] == b"webp"
    put("film", "film.mp4", film.correct(1, "a zebra is sleeping"))
    assert names('"zebra is sleeping"') == [("film.mp4", "a zebra is sleeping", 2.0)]
    assert len(names("a cat")) == 3
    finder.close()


def test_indexing_that_is_cancelled_before_there_is_an_index_says_so(tmp_path: Path) -> None:
    source, stopped = Source(index=tmp_path / "archive.db", folder=tmp_path), threading.Event()
    finder = Finder(None, source=source, shelf=Shelf(seconds=60), limits=Limits())
    stopped.set()
    *_, (last,) = index_folder(finder, "me", stopped)
    assert strings.INDEXING_STOPPED.format(clips="0 clips") in last
    finder.close()


def test_indexing_that_the_system_kills_is_no_success() -> None:
    child = Child([], names=[], seconds=60.0, late="")
    child.code = -9
    assert count_failures(child, stopped=True) == 0
    with pytest.raises(RuntimeError, match="signal 9"):
        count_failures(child, stopped=False)


def test_a_line_serves_in_order_and_tells_each_visitor_its_place() -> None:
    line = Line(places=1, most=2)
    with line.join() as first:
        assert list(first) == []  # nobody is before
        with line.join() as second, line.join() as third:
            assert next(second).before == 1 and next(third).before == 2
            assert next(second).seconds is None  # nothing was measured yet
            with pytest.raises(Refusal, match="line of waiting visitors is full"), line.join():
                pass
    with line.join() as first:
        list(first)
        with line.join() as second:
            assert (next(second).seconds or 0) >= 1
            with line.join() as third:
                assert next(third).before == 2
            assert next(second).before == 1


def test_a_visitor_who_left_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 20.0)
    monkeypatch.setattr("demo.visit.line.time.monotonic", lambda: float(next(clock)))
    line = Line(places=1, most=9)
    with line.join(), line.join() as second:  # the first never asks
        assert list(second) == []


def test_a_shelf_forgets_the_old_and_the_many() -> None:
    now = [0.0]
    shelf = Shelf(seconds=60, now=lambda: now[0])
    shelf.put("a", Kept(tab="caption", values=("x",)))
    assert shelf.get("a") == Kept(tab="caption", values=("x",)) and shelf.get("b") is None
    now[0] = 61.0
    assert shelf.get("a") is None
    for number in range(MOST + 1):
        shelf.put(str(number), Kept(tab="caption", values=()))
    assert shelf.get("0") is None and shelf.get(str(MOST)) is not None
    assert len({shelf.name() for _ in range(20)}) == 20


def test_corrections_are_a_manifest_that_training_reads(tmp_path: Path) -> None:
    one = Told(captions=(caption("a cat is eating"),)).correct(0, "  a cat\nlooks <b> ")
    assert one.captions[0].told == "a cat looks <b>" and one.corrected == {0}
    assert one.correct(0, " ") == one and one.correct(1, "a dog") == one and one.correct(-1, "a dog") == one
    two = Told(captions=(caption("a"), caption("b", start=2.0, end=3.5)), parts=True).correct(1, "a dog runs")
    lines = {**one.corrections(), **two.corrections()}
    manifest = tmp_path / "corrections.jsonl"
    manifest.write_text("".join(lines.values()), encoding="utf-8")
    clips = read_manifest(manifest, split="train")
    assert [(clip.path, clip.captions, clip.start_seconds, clip.end_seconds) for clip in clips] == [
        (tmp_path / "clip.mp4", ("a cat looks <b>",), None, None),
        (tmp_path / "clip.mp4", ("a dog runs",), 2.0, 3.5),
    ]
    pair = Told(captions=(caption("a"), caption("b"))).correct(0, "a fox").correct(1, "a red fox")  # of two checkpoints
    assert [json.loads(line)["captions"] for line in pair.corrections().values()] == [["a fox", "a red fox"]]
    several = Told(captions=(caption("a"), caption("b", path="other.mp4"))).correct(1, "a dog")  # a batch
    assert [json.loads(line) for line in several.corrections().values()] == [
        {"id": "other.mp4", "path": "other.mp4", "split": "train", "captions": ["a dog"]}
    ]
    stopped = Told(captions=(caption("a"),), parts=True).correct(0, "a dog").corrections()["clip.mp4@0.0"]
    assert json.loads(stopped)["end_seconds"] == 2.0, "a timeline that was stopped after its first part"
    part = Told(captions=(caption("a", start=2.0),)).correct(0, "a dog").corrections()["clip.mp4@2.0"]
    assert json.loads(part)["start_seconds"] == json.loads(part)["end_seconds"] == 2.0
    page = tools(one, lines)
    assert "corrections.jsonl" in page and "a cat looks &lt;b&gt;" in page and strings.BURN in page


def test_a_captioner_learns_from_the_corrections_of_a_visit(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the page writes, saved beside the videos, added to a recipe: ``captioner train`` takes it."""
    for name in ("one", "film", "val"):
        render_clip(tmp_path / f"{name}.mp4", frames=24)
    one = Told(captions=(caption("a red square grows", path="one.mp4"),)).correct(0, "a blue circle moves left")
    film = Told(
        captions=tuple(caption("a red square grows", path="film.mp4", start=s, end=s + 0.5) for s in (0.0, 0.5)),
        parts=True,
    )
    film = film.correct(0, "two green crosses grow").correct(1, "a man \u201ccooks\u201d\nsoup \U0001f372")
    (tmp_path / "corrections.jsonl").write_text("".join({**one.corrections(), **film.corrections()}.values()), "utf-8")
    val = TrainingClip(id="val", path=tmp_path / "val.mp4", split="val", captions=("a red circle grows",))
    write_manifest(tmp_path / "manifest.jsonl", [val, dataclasses.replace(val, id="train", split="train")])
    recipe, run = tmp_path / "recipe.toml", tmp_path / "run"
    settings = f'start = "{checkpoint}"\nepochs = 2\nbatch_size = 2\nthreads = 1\nlearning_rate = 0.01\n'
    recipe.write_text(
        f'[data]\nmanifests = ["manifest.jsonl", "corrections.jsonl"]\ncache = "features"\n[train]\n{settings}'
    )
    assert main(["train", str(recipe), "-o", str(run)]) == 0
    assert str(run / "checkpoint") in capsys.readouterr().out
    assert load_checkpoint(run / "checkpoint").fingerprint != load_checkpoint(checkpoint).fingerprint
    assert json.loads((run / "checkpoint" / "config.json").read_text())["trained_on"]["clips"] == 4
    assert (
        main(["train", str(recipe), "-o", str(tmp_path / "alone"), "--set", "data.manifests=['corrections.jsonl']"])
        == 1
    )
    assert "name another in data.val" in capsys.readouterr().err, "corrections alone have nothing to validate on"


def test_subtitles_of_a_batch_are_one_zip() -> None:
    captions = [caption("a cat"), caption("a dog", path="other.mp4"), caption("a fox", path="clip.avi")]
    with zipfile.ZipFile(BytesIO(subtitles_of(captions))) as archive:
        assert archive.namelist() == [f"{n}.{kind}" for n in ("clip", "other", "clip-2") for kind in ("vtt", "srt")]
        assert "a fox" in archive.read("clip-2.srt").decode()


def test_a_preview_shows_the_frames_at_their_times(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.avi", frames=20, rate=10, size=(120, 90))
    frames = sample_frames(clip, recipe(2.0))
    assert len(frames.pixels) == 20 and recipe(None).frames == recipe(1e6).frames == 150
    info = probe(write_preview(frames, tmp_path / "clip.webm"))
    assert (info.codec, info.width, info.height) == ("vp8", 384, 288)
    again = sample_frames(tmp_path / "clip.webm", dataclasses.replace(recipe(2.0), frames=4))
    assert again.duration_seconds == pytest.approx(2.0, abs=0.15)
    row = json.loads(json.dumps(again.times_seconds))
    assert row == pytest.approx([0.25, 0.75, 1.25, 1.75], abs=0.11)
