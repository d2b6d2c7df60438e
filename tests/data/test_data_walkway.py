"""Rendered surveillance: what is normal, what is not, and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from captioner.errors import DataError
from captioner.manifest import Clip, read_manifest, write_manifest
from captioner.video.frames import probe
from data.walkway import HEIGHT, KINDS, LANES, WIDTH, _disturb, _walkers, walkway


def test_clips_and_their_labels(tmp_path: Path) -> None:
    clips = walkway(tmp_path, train=1, val=1, test=6, seconds=20)
    assert [c.split for c in clips] == ["train", "val", *["test"] * 6]
    assert [c.category for c in clips[2:]] == [*KINDS, "normal"]
    for clip in clips:
        assert bool(clip.abnormal) == (clip.category in KINDS)
        for start, end in clip.abnormal:
            assert 0 < start < end <= 20
        found = probe(clip.path or "")
        assert found.duration_seconds == pytest.approx(20) and (found.width, found.height) == (WIDTH, HEIGHT)
    write_manifest(tmp_path / "manifest.jsonl", clips)
    assert read_manifest(tmp_path / "manifest.jsonl") == list(clips)


def test_normal_walkers_keep_to_their_lane_and_its_direction() -> None:
    for figure in _walkers(np.random.default_rng(0), 60):
        [(_, way)] = [lane for lane in LANES if abs(lane[0] - figure.y) <= 5]
        assert figure.speed * way > 0 and 18 <= abs(figure.speed) <= 28
        assert min(figure.at(figure.begins) * way, figure.at(figure.ends) * way) < (WIDTH if way > 0 else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_breaks_one_rule(kind: str) -> None:
    figures: list = []  # type: ignore[type-arg]
    start, end = _disturb(figures, kind, np.random.default_rng(3), 60)
    [odd] = figures
    way = next(way for height, way in LANES if height == odd.y)
    assert (odd.speed * way < 0) == (kind == "wrong way")
    assert (abs(odd.speed) > 28) == (kind == "too fast")
    assert (odd.kind == "cart") == (kind == "another thing")
    assert (odd.speed == 0) == (kind == "lying still")
    inside = 0 < odd.at(odd.begins) < WIDTH
    assert inside == (kind in ("lying still", "from nowhere"))
    assert odd.begins <= start < end <= 60


def test_bad_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ask for at least one"):
        walkway(tmp_path, train=0, val=0, test=0)
    with pytest.raises(DataError, match="at least 20 seconds"):
        walkway(tmp_path, seconds=5)


@pytest.mark.parametrize("spans", [[[3, 1]], [[1]], "x", [["a", "b"]], [[-1, 2]]])
def test_bad_spans_in_a_manifest(tmp_path: Path, spans: object) -> None:
    import json

    (tmp_path / "m.jsonl").write_text(json.dumps({"id": "a", "path": "a.mp4", "abnormal": spans}) + "\n")
    with pytest.raises(DataError, match=r"'abnormal' must be a list of \[start, end\]"):
        read_manifest(tmp_path / "m.jsonl")
    assert Clip(id="a", path=None, split="test").abnormal == ()
