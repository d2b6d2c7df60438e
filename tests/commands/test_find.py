"""``captioner index`` and ``captioner find`` on rendered clips, with a tiny captioner and retriever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captioner.cli import main
from captioner.index.archive import Archive
from captioner.index.indexer import Indexer
from captioner.video.frames import sample_frames
from tests.media import render_clip
from tests.tiny import tiny_checkpoint, tiny_retriever


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    captioner = tiny_checkpoint(folder, grid=2)
    return captioner, tiny_retriever(folder / "retriever", captioner=captioner)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for seed in range(3):
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[8 * seed : 8 * seed + 20, 16 * seed : 16 * seed + 30, seed] = 255
        render_clip(folder / f"{seed}.mp4", images=[picture] * 12)
    (folder / "bad.mp4").write_bytes(b"\0\0\0 ftypisom" + bytes(40))
    return folder


@pytest.fixture(scope="module")
def made(models: tuple[Path, Path], clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("index") / "archive.db"
    assert index_of(models, clips, index) == 1, "one file is broken"
    return index


def index_of(models: tuple[Path, Path], clips: Path, index: Path, *options: str) -> int:
    captioner, retriever = models
    more = ["-m", str(captioner), "--retriever", str(retriever), "--jobs", "1", "-q", *options]
    return main(["index", str(clips), "-o", str(index), *more])


def found(models: tuple[Path, Path], index: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    assert main(["find", str(index), *options, "--retriever", str(models[1])]) == 0
    return capsys.readouterr().out


def rows(models: tuple[Path, Path], index: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[Any]:
    return [json.loads(line) for line in found(models, index, capsys, "-f", "jsonl", *options).splitlines()]


def test_clips_are_indexed_once_and_found(
    models: tuple[Path, Path], clips: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = rows(models, made, capsys, "a red circle")
    assert sorted(Path(row["path"]).name for row in first) == ["0.mp4", "1.mp4", "2.mp4"]
    assert [row["score"] for row in first] == sorted((row["score"] for row in first), reverse=True)
    with Archive.open(made, retriever=models[1]) as archive:
        assert all(archive.thumbnail(row["row"])[:4] == b"RIFF" for row in first)
    assert index_of(models, clips, made) == 1, "the broken file has failed before"
    assert rows(models, made, capsys, "a red circle") == first


def test_a_clip_finds_itself(models: tuple[Path, Path], clips: Path, made: Path) -> None:
    captioner, retriever = models
    indexer = Indexer.load(captioner, retriever=retriever)
    with Archive.open(made, retriever=retriever) as archive:
        best = archive.like(indexer.vector(sample_frames(clips / "1.mp4", indexer.video))).found[0]
    assert Path(best.path).name == "1.mp4" and best.similarity == pytest.approx(1, abs=1e-2)


def test_every_format_has_every_result(
    models: tuple[Path, Path], made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {form: found(models, made, capsys, "circle", "-f", form) for form in ("txt", "json", "csv", "m3u", "vtt")}
    assert len(json.loads(texts["json"])) == 3
    assert all(text.count(".mp4") == 3 for text in texts.values())
    assert texts["m3u"].startswith("#EXTM3U\n") and texts["vtt"].count(" --> ") == 3
    assert found(models, made, capsys, "circle", "-n", "1", "-f", "csv").count("\n") == 2


def test_nothing_found_an_empty_index_and_none(
    models: tuple[Path, Path], made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found(models, made, capsys, "circle", "path:nowhere/*") == ""
    capsys.readouterr()
    assert main(["find", str(tmp_path / "none.db"), "circle"]) == 1
    assert "there is no index" in capsys.readouterr().err
    (tmp_path / "captions.jsonl").write_text("")
    retriever = str(models[1])
    empty = tmp_path / "empty.db"
    assert main(["index", "--from", str(tmp_path / "captions.jsonl"), "-o", str(empty), "--retriever", retriever]) == 0
    capsys.readouterr()
    assert main(["find", str(empty), "circle", "--retriever", retriever]) == 0
    assert "is empty" in capsys.readouterr().err
    for wrong in (["find", str(made)], ["find", str(made), "dog", "-n", "0"], ["find", str(made), "--like", "@x"]):
        assert main([*wrong, "--retriever", retriever]) == 2


def test_captions_that_were_made_before_are_searched(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    captions = {"a.mp4": "two green crosses move right", "b.mp4": "a red circle grows"}
    lines = [
        {"path": path, "caption": caption, "confidence": 0.5, "calibrated": True, "abstained": False, "score": 0.0}
        | {"log_prob": 0.0, "start_seconds": 0.0, "end_seconds": 2.0, "times_seconds": [], "alternatives": []}
        | {"warnings": [], "model": "m"}
        for path, caption in captions.items()
    ]
    source, index = tmp_path / "captions.jsonl", tmp_path / "archive.db"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for path in captions:
        (tmp_path / path).touch()
    for line in lines:
        line["path"] = str(tmp_path / str(line["path"]))
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for _ in range(2):  # the second time nothing is added
        assert main(["index", "--from", str(source), "-o", str(index), "--retriever", str(models[1])]) == 0
    result = rows(models, index, capsys, "a red circle")
    assert (Path(result[0]["path"]).name, result[0]["caption"]) == ("b.mp4", "a red circle grows")
    assert len(result) == 2
    source.write_text('{"path": 3}\n')
    assert main(["index", "--from", str(source), "-o", str(index), "--retriever", str(models[1])]) == 1
    assert "line 1 is not a caption" in capsys.readouterr().err
