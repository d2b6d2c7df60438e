"""``captioner index`` and ``captioner find`` on rendered clips, with a tiny captioner and retriever."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captioner.caption.captioner import Captioner
from captioner.checkpoint.captioning import load_checkpoint
from captioner.cli import main
from captioner.index.archive import Archive
from captioner.index.indexer import Indexer
from captioner.retrieval.checkpoint import load_retriever
from captioner.video.frames import sample_frames
from eval.__main__ import main as evaluate
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
    return main(["index", str(clips), "-o", str(index), *given(models), "-q", *options])


def given(models: tuple[Path, Path]) -> list[str]:
    captioner, retriever = models
    return ["-m", str(captioner), "--retriever", str(retriever), "--jobs", "1"]


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


def test_the_decoder_reranks_what_was_found_where_features_are_kept(
    models: tuple[Path, Path], clips: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index, captioner = tmp_path / "kept.db", str(models[0])
    assert index_of(models, clips, index, "--features") == 1, "one file is broken"
    plain = rows(models, index, capsys, "a red circle")
    assert plain == rows(models, made, capsys, "a red circle") and all(row["likelihood"] is None for row in plain)
    reranked = rows(models, index, capsys, "a red circle", "--rerank", "-m", captioner)
    assert {row["row"]: row["score"] for row in reranked} == {row["row"]: row["score"] for row in plain}
    worth = [row["score"] + 0.2 * row["likelihood"] for row in reranked]
    assert worth == sorted(worth, reverse=True) and len(set(worth)) == 3
    assert rows(models, index, capsys, "a red circle", "--rerank", "-m", captioner, "-n", "1") == reranked[:1]
    shown = found(models, index, capsys, "a red circle", "--rerank", "-m", captioner).splitlines()[::3]
    assert [float(line.split()[0]) for line in shown] == pytest.approx(worth, abs=0.006), "a score that is out of order"
    capsys.readouterr()
    for database, options, says in (
        (made, ["a circle", "--rerank", "-m", captioner], "keeps no features to rerank by; index anew with --features"),
        (index, ["a circle", "--rerank"], "give the one that it was made with (-m)"),
        (index, ["--like", "@1", "--rerank"], "--rerank is for a QUERY"),
    ):
        assert main(["find", str(database), *options, "--retriever", str(models[1])]) in (1, 2)
        told = capsys.readouterr().err
        assert says in told and told.count("\n") == 1
    with contextlib.closing(sqlite3.connect(index)) as connection, connection:
        connection.execute("DELETE FROM features WHERE moment = ?", (reranked[0]["row"],))
    assert main(["index", str(clips), "-o", str(index), *given(models), "--features"]) == 1
    assert "1 row of an earlier run has no features; index anew" in capsys.readouterr().err
    assert main(["find", str(index), "circle", "--rerank", "-m", captioner, "--retriever", str(models[1])]) == 0
    assert "1 result without features counted as the least likely; index anew" in capsys.readouterr().err
    left = [row["likelihood"] for row in rows(models, index, capsys, "a red circle", "--rerank", "-m", captioner)]
    assert len(left) == 3 and len(set(left)) == 2, "a row without features is as likely as the least likely"
    named = [{"id": f"{i}", "path": str(clips / f"{i}.mp4"), "captions": ["a red circle"]} for i in range(3)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named))
    measure = ["retrieval", str(index), str(tmp_path / "manifest.jsonl"), "--retriever", str(models[1])]
    assert evaluate([*measure, "-m", captioner]) == 0 and "x likelihood" in capsys.readouterr().out
    assert evaluate(measure) == 1 and "give the one that it was made with (-m)" in capsys.readouterr().err
    (clips / "0.mp4").rename(tmp_path / "0.mp4")
    try:
        assert index_of(models, clips, index, "--features") == 1
        assert len(rows(models, index, capsys, "a red circle", "--rerank", "-m", captioner)) == 2
    finally:
        (tmp_path / "0.mp4").rename(clips / "0.mp4")


def test_a_dry_run_says_what_would_be_done(
    models: tuple[Path, Path], clips: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def plan(index: Path, *options: str) -> list[str]:
        capsys.readouterr()
        assert index_of(models, clips, index, "--dry-run", *options) == 0
        return sorted(line.split("\t")[0] for line in capsys.readouterr().out.splitlines())

    before = made.read_bytes()
    assert plan(made) == ["done"] * 3 + ["failed before"] and plan(made, "--overwrite") == ["caption"] * 4
    assert plan(tmp_path / "new.db", "--parquet", str(tmp_path / "new.parquet")) == ["caption"] * 4
    assert made.read_bytes() == before and not list(tmp_path.iterdir())
    assert main(["index", "--from", "a.jsonl", "-o", str(made), "--dry-run"]) == 2


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_overwriting_replaces_only_an_index(
    models: tuple[Path, Path], clips: Path, tmp_path: Path, dry: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(tmp_path / "theirs.db") as connection:
        connection.execute("CREATE TABLE theirs (id)")
    connection.close()
    (tmp_path / "notes.txt").write_text("a day at the sea")
    for name in ("theirs.db", "notes.txt"):
        (tmp_path / f"{name}-wal").write_text("theirs too")
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        assert index_of(models, clips, tmp_path / name, "--overwrite", *dry) == 1
        assert "is not an index" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def program(folder: Path, name: str) -> Path:
    """A program that writes its arguments to a file, which is there once they are."""
    told = folder / "told"
    (folder / name).write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {told}.part\n/bin/mv {told}.part {told}\n")
    (folder / name).chmod(0o755)
    return told


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for the player")
@pytest.mark.parametrize(
    ("name", "option"),
    [("mpv", "--start="), ("vlc", "--start-time="), ("open" if sys.platform == "darwin" else "xdg-open", "")],
)
def test_the_best_is_handed_to_a_player(
    models: tuple[Path, Path], made: Path, tmp_path: Path, name: str, option: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    best = rows(models, made, capsys, "a red circle")[0]
    told = program(tmp_path, name)
    monkeypatch.setenv("PATH", str(tmp_path))
    found(models, made, capsys, "a red circle", "--play")
    until = time.monotonic() + 20
    while not told.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert told.read_text().splitlines() == [f"{option}{best['seconds']:.3f}"] * bool(option) + [best["path"]]
    (tmp_path / name).unlink()
    assert main(["find", str(made), "a red circle", "--play", "--retriever", str(models[1])]) == 1
    assert "install mpv or VLC" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for the browser")
def test_results_open_in_a_browser(models: tuple[Path, Path], made: Path, tmp_path: Path) -> None:
    """In a process of its own: Python looks for browsers once."""
    told = program(tmp_path, "browser")
    command = [sys.executable, "-m", "captioner", "find", str(made), "a red circle", "--open", "-n", "2"]
    told_by_us = subprocess.run(
        [*command, "--retriever", str(models[1])],
        env=os.environ | {"BROWSER": str(tmp_path / "browser"), "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    page = Path(told.read_text().strip().removeprefix("file://"))
    assert told_by_us.stderr == f"the page is {page}\n"
    text = page.read_text()
    assert text.count("data:image/webp;base64,") == 2 and "a red circle" in text


def test_a_clip_finds_itself(models: tuple[Path, Path], clips: Path, made: Path) -> None:
    captioner, retriever = models
    indexer = Indexer.load(captioner, retriever=retriever)
    with Archive.open(made, retriever=retriever) as archive:
        best = archive.like(indexer.vector(sample_frames(clips / "1.mp4", indexer.video))).found[0]
    assert Path(best.path).name == "1.mp4" and best.similarity == pytest.approx(1, abs=1e-2)


def test_the_captioners_retriever_is_not_loaded_again(models: tuple[Path, Path]) -> None:
    checkpoint, retriever = load_checkpoint(models[0]), load_retriever(models[1])
    captioner = Captioner(checkpoint, retriever=retriever)
    assert Indexer(checkpoint, captioner=captioner).retriever is retriever
    assert Indexer(checkpoint, captioner=captioner, retriever=models[1]).retriever is not retriever, "one was named"


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
