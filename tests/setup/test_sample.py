"""The sample clip: photographs that anybody may pass on, moving, and made the same each time."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from captioner.caption.segments import segment_frames
from captioner.cli import main
from captioner.setup.sample import SHOTS
from captioner.video.config import VideoConfig
from captioner.video.frames import probe, sample_frames

WITH_PHOTOS = pytest.mark.skipif(
    importlib.util.find_spec("skimage") is None, reason="needs the photographs: pip install --no-deps scikit-image"
)


@WITH_PHOTOS
def test_a_sample_of_several_shots_that_move(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "sample.mp4"
    assert main(["sample", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    info = probe(out)
    assert (info.width, info.height, info.duration_seconds) == (480, 360, 4.0 * len(SHOTS))
    parts = [span.start_seconds for span, _ in segment_frames(out, VideoConfig(size=64), segments="shots")]
    assert parts == [4.0 * number for number in range(len(SHOTS))]
    first = sample_frames(out, VideoConfig(size=64), end_seconds=4.0).pixels.astype(int)
    assert np.abs(first[0] - first[-1]).mean() > 8
    again = tmp_path / "again.mp4"
    assert main(["sample", str(again)]) == 0
    assert again.read_bytes() == out.read_bytes()


@WITH_PHOTOS
def test_one_file_a_shot_and_nothing_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(tmp_path), "--each"]) == 0
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(shot.name for shot in SHOTS)
    assert main(["sample", str(tmp_path / "horse.mp4")]) == 1
    assert "horse.mp4 exists; --overwrite replaces it" in capsys.readouterr().err
    assert main(["sample", str(tmp_path / "horse.mp4"), "--overwrite"]) == 0


def test_without_the_photographs_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["sample", str(tmp_path / "sample.mp4")]) == 1
    assert "pip install --no-deps scikit-image" in capsys.readouterr().err and not list(tmp_path.iterdir())
