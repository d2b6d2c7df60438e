"""Every command that writes a file keeps what is there; the table has each of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from captioner.cli import main as captioner
from captioner.cli import make_parser
from data.__main__ import build_parser
from data.__main__ import main as data
from eval.__main__ import COMMANDS
from eval.__main__ import main as evaluate
from tests.media import render_clip

Program = Callable[[list[str]], int]
SCORES = ("cam.scores.csv", "cam.scores.jsonl", "cam.events.jsonl", "cam.scores.svg", "cam.anomalies.vtt")
DATA = "sets/manifest.jsonl"
SIZE = ["--train", "1", "--val", "0", "--test", "0"]
TABLE: tuple[tuple[Program, str, tuple[str, ...]], ...] = (
    (captioner, "caption cam.mp4 -o out.jsonl", ("out.jsonl",)),
    (captioner, "caption cam.mp4 --sidecar -f vtt,jsonl", ("cam.vtt", "cam.jsonl")),
    (captioner, "caption cam.mp4 b/cam.mp4 -o out.jsonl", ("out.jsonl",)),
    (captioner, "caption cam.mp4 b/cam.mp4 -o out.jsonl --failures notes.txt", ("notes.txt",)),
    (captioner, "caption cam.mp4 b/cam.mp4 -o out.jsonl --journal notes.txt", ("notes.txt",)),
    (captioner, "actions cam.mp4 -o out.csv", ("out.csv",)),
    (captioner, "anomalies learn cam.mp4 -o out", ("out/config.json",)),
    (captioner, "anomalies learn cam.mp4 -o out", ("out/notes.txt",)),
    *((captioner, "anomalies score cam.mp4 -m none -o out", (f"out/{name}",)) for name in SCORES),
    (captioner, "anomalies score cam.mp4 -m none -o out -f vtt", ("out/cam.anomalies.vtt",)),
    (captioner, "merge rows.jsonl -o out.jsonl", ("out.jsonl",)),
    (captioner, "burn cam.mp4 p.jsonl -o out.mp4", ("out.mp4",)),
    (captioner, "index cam.mp4 -o notes.txt", ("notes.txt",)),
    (captioner, "index cam.mp4 -o out.db --failures notes.txt", ("notes.txt",)),
    (captioner, "average none none -o out", ("out/config.json",)),
    (captioner, "export none -o out", ("out/config.json",)),
    (captioner, "export none -o out", ("out",)),
    (captioner, "sample out.mp4", ("out.mp4",)),
    (captioner, "sample -o out.mp4", ("out.mp4",)),
    (captioner, "sample --each -o out", ("out/horse.mp4",)),
    (evaluate, "score p.jsonl r.jsonl --json out.json", ("out.json",)),
    (evaluate, "score p.jsonl r.jsonl --csv out.csv", ("out.csv",)),
    (evaluate, "score p.jsonl r.jsonl --report out", ("out/report.html",)),
    (evaluate, "score p.jsonl r.jsonl --report out", ("out/report.md",)),
    (evaluate, "compare p.jsonl p.jsonl r.jsonl --json out.json", ("out.json",)),
    (evaluate, "human r.jsonl --draws 1 --json out.json", ("out.json",)),
    (evaluate, "retrieval none r.jsonl --out out.json", ("out.json",)),
    (evaluate, "look default cam.mp4 --out out.html", ("out.html",)),
    (evaluate, "faithful default r.jsonl --json out.json", ("out.json",)),
    (evaluate, "calibrate default r.jsonl --check --json out.json", ("out.json",)),
    (evaluate, "run default r.jsonl --out out", ("out/report.json",)),
    (evaluate, "run default r.jsonl --out out", ("out/report.html",)),
    (evaluate, "run default r.jsonl --out out", ("out/predictions.jsonl",)),
    (data, "folder sets --no-check --out sets", (DATA,)),
    (data, "captions words.txt --out sets", ("sets/text.jsonl",)),
    (data, "captions words.txt --out sets", (DATA,)),
    (data, "verbs r.jsonl --at-least 1 --out sets", (DATA,)),
    (data, "words r.jsonl --at-least 1 --out sets", (DATA,)),
    (data, "labels labels.csv --out sets", (DATA,)),
    (data, "shapes --size 48 --out sets " + " ".join(SIZE), ("sets/clips/train-00000.mp4",)),
    (data, "shapes --size 48 --out sets " + " ".join(SIZE), (DATA,)),
    (data, "order --out sets " + " ".join(SIZE), ("sets/clips/train-00000-forwards.mp4",)),
    (data, "pictures --out sets " + " ".join(SIZE), (DATA,)),
    (data, "walkway --seconds 20 --out sets " + " ".join(SIZE), ("sets/clips/train-000.mp4",)),
)
ELSEWHERE = {
    "train": "tests/training: a run's folder is its own, one of something else is refused",
    "features": "tests/training: named by what they are of",
    "search": "tests/training: a study's folder is its own",
    "find": "writes into a temporary folder",
    "probe": "writes nothing",
    "info": "writes nothing",
    "push": "writes nothing here",
    "doctor": "writes into a temporary folder",
    "gate": "writes nothing",
    "msvd": "as `data folder`",
    "msrvtt": "as `data folder`",
    "vatex": "as `data folder`",
    "flickr8k": "tests/data: photos of a tar",
    "actions": "as `data folder`",
    "anomalies": "clips as `data shapes`",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("cam.mp4", "b/cam.mp4", "sets/a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        render_clip(tmp_path / name, frames=8)
    clips = [
        {"id": f"v{i}", "path": "cam.mp4", "split": split, "captions": ["a man runs", "a man is running"]}
        for i, split in enumerate(("train", "val", "test", "test"))
    ]
    clips.append({"id": "v4", "path": "cam.mp4", "split": "train", "captions": ["a dog eats", "a dog is eating"]})
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(clip) + "\n" for clip in clips))
    (tmp_path / "p.jsonl").write_text('{"id": "v2", "caption": "a man"}\n{"id": "v3", "caption": "a dog"}\n')
    (tmp_path / "rows.jsonl").write_text('{"path": "cam.mp4", "caption": "a man"}\n')
    (tmp_path / "words.txt").write_text("a man runs\n")
    (tmp_path / "sets" / "a.txt").write_text("a man runs\n")
    (tmp_path / "labels.csv").write_text("path,label\ncam.mp4,run\nb/cam.mp4,run\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("program", "command", "outputs"), TABLE, ids=[f"{c} {o[0]}" for _, c, o in TABLE])
def test_what_is_there_is_kept(
    folder: Path, program: Program, command: str, outputs: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in outputs:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("by hand\n")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert program(command.split()) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert any(
        part in said for part in ("exists", "is not a journal", "is not an index", "holds captions of another run")
    ), said
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert not [path for path in after if path.name.endswith((".tmp", ".part"))]


def test_the_table_has_every_command() -> None:
    sets = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    commands = {*make_parser().commands, *COMMANDS, *sets.choices}
    named = {command.split()[0] for _, command, _ in TABLE}
    assert commands - named - set(ELSEWHERE) == set()


def test_two_videos_of_one_name_get_files_of_their_own() -> None:
    from captioner.commands.anomalies import _stems

    paths = ["a/cam.mp4", "b/cam.mp4", "c/cam-2.mp4", "-"]
    assert [stem for _, stem in _stems(paths)] == ["cam", "cam-2", "cam-2-2", "stdin"]
