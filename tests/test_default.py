"""The checkpoint inside the package: it is there, it is small, and it captions."""

from __future__ import annotations

from pathlib import Path

from captioner import Captioner
from captioner.checkpoint import DEFAULT
from captioner.manifest import read_manifest
from data.shapes import render


def test_it_is_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in DEFAULT.iterdir()) < 20e6


def test_it_captions_clips_that_it_has_not_seen(tmp_path: Path) -> None:
    """Fresh renderings, half of them of combinations of words that training never showed."""
    captioner = Captioner.load()
    clips = read_manifest(render(tmp_path, train=0, val=0, test=40, seed=77))
    right = sum(captioner.caption(clip.path).text == clip.captions[0] for clip in clips if clip.path is not None)
    assert right >= 28, f"{right} of {len(clips)} exact"
