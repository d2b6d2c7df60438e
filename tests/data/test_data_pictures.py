"""Rendered pictures: of every kind, each like no other, the same for a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from captioner.manifest import read_manifest
from captioner.video.config import VideoConfig
from captioner.video.frames import sample_frames
from data.__main__ import main

pytest.importorskip("PIL", reason="pip install pillow")


def test_a_seed_gives_its_pictures(tmp_path: Path) -> None:
    from data.pictures import KINDS, render

    first = [render(number, seed=3) for number in range(len(KINDS))]
    for number, picture in enumerate(first):
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 3
        assert (render(number, seed=3) == picture).all()
        assert render(number, seed=4).tobytes() != picture.tobytes()


def test_the_command_writes_photos_and_their_manifest(tmp_path: Path) -> None:
    assert main(["pictures", "--out", str(tmp_path / "out"), "--train", "3", "--val", "1"]) == 0
    clips = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert [(clip.split, clip.labels) for clip in clips] == [("train", ("rendered",))] * 3 + [("val", ("rendered",))]
    for clip in clips:
        assert clip.path is not None and len(sample_frames(clip.path, VideoConfig(size=32)).pixels) == 1
