"""`python -m eval run`: through the product's own pipeline, resumed after a kill, nothing lost."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from captioner.manifest import read_manifest, write_manifest
from data.shapes import render
from eval.__main__ import main
from tests.media import render_text
from tests.tiny import tiny_checkpoint


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return render(tmp_path / "shapes", train=0, val=0, test=5, seed=2)


def rows(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def test_a_split_is_captioned_and_scored(
    checkpoint: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(checkpoint), str(manifest), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    table = capsys.readouterr().out
    assert "CIDEr" in table and json.loads((tmp_path / "out" / "report.json").read_text())
    made = rows(tmp_path / "out")
    assert [r["id"] for r in made] == [c.id for c in read_manifest(manifest)] and all(r["caption"] for r in made)
    # a run killed in the middle of a line does the rest, and only the rest
    path = tmp_path / "out" / "predictions.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]) + lines[3][:20])
    assert main(command) == 0
    assert rows(tmp_path / "out") == made and capsys.readouterr().out == table


def test_failed_clips_are_rows_with_a_reason(
    checkpoint: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = read_manifest(manifest)
    bad = dataclasses.replace(clips[0], id="bad", path=render_text(tmp_path / "bad.mp4"))
    write_manifest(tmp_path / "m.jsonl", [*clips, bad])
    assert main(["run", str(checkpoint), str(tmp_path / "m.jsonl"), "--out", str(tmp_path / "out")]) == 1
    assert "bad.mp4" in capsys.readouterr().err
    [failure] = [r for r in rows(tmp_path / "out") if "error" in r]
    assert failure["id"] == "bad" and failure["code"]


def test_two_models_do_not_mix(
    checkpoint: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(checkpoint), str(manifest), "--out", str(tmp_path / "out")]) == 0
    other = tiny_checkpoint(tmp_path / "other", grid=2)
    assert main(["run", str(other), str(manifest), "--out", str(tmp_path / "out")]) == 1
    assert "another run (checkpoint was" in capsys.readouterr().err


def test_a_manifest_without_the_split(checkpoint: Path, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(checkpoint), str(manifest), "--split", "val", "--out", "unused"]) == 1
    assert "no clip in the split 'val'" in capsys.readouterr().err
