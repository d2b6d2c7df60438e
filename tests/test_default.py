"""The checkpoint inside the package: it is there, it is small, it says what it needs, and it captions."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from captioner import Captioner
from captioner.checkpoint import DEFAULT, read_config
from captioner.sample import SHOTS, render_sample
from data.shapes import render


def test_it_is_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in DEFAULT.iterdir()) < 14e6
    assert read_config(DEFAULT)["encoder"]["source"] == "efficientnet-lite2"


@pytest.mark.skipif(
    importlib.util.find_spec("skimage") is None, reason="needs the photographs: pip install --no-deps scikit-image"
)
def test_it_says_what_a_photograph_shows(tmp_path: Path) -> None:
    captioner = Captioner.load()
    found = {shot.name: captioner.caption(render_sample(tmp_path / f"{shot.name}.mp4", [shot])) for shot in SHOTS}
    assert "cat" in found["cat"].text.split(), found["cat"].text
    sights = {name: [sight.noun for sight in caption.evidence] for name, caption in found.items()}
    assert sights["cat"][0] == "cat" and "coffee" in sights["coffee"], sights
    assert found["cat"].evidence[0].used and found["cat"].calibrated


def test_it_says_no_drawn_shapes_of_real_things(tmp_path: Path) -> None:
    """The shapes that this project renders are not what it was trained on."""
    clips = render(tmp_path, train=0, val=0, test=6, seed=77).parent / "clips"
    for clip in clips.glob("*.mp4"):
        assert not {"square", "squares", "circle", "triangle"} & set(Captioner.load().caption(clip).text.split())
