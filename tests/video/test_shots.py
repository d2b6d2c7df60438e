"""Shot boundaries of rendered scenes: cuts and dissolves are found, movement and flashes are not."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from captioner.video.shots import ShotConfig, ShotDetector
from data.shapes import Scene, draw, look
from tests.media import render_clip

RATE = 24


def scene(number: int, frames: int = 48, *, pan: float = 0.0) -> np.ndarray:
    """(frames, 48, 64, 3) uint8: a smooth, coloured picture of its own, moving ``pan`` pixels a frame."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(20, 235, (5, 24, 3)).astype(np.float32)
    rows, columns = np.linspace(0, 3.99, 48), np.linspace(0, 22.99, 320)
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = (rows - r)[:, None, None], (columns - c)[None, :, None]
    top = coarse[r][:, c] * (1 - fc) + coarse[r][:, c + 1] * fc
    bottom = coarse[r + 1][:, c] * (1 - fc) + coarse[r + 1][:, c + 1] * fc
    wide = top * (1 - fr) + bottom * fr
    noise = rng.normal(0, 3, (frames, 48, 64, 3))
    starts = [round(i * pan) for i in range(frames)]
    return np.clip(np.stack([wide[:, s : s + 64] for s in starts]) + noise, 0, 255).astype(np.uint8)


def dissolve(a: np.ndarray, b: np.ndarray, frames: int) -> np.ndarray:
    """``a`` turning into ``b`` over so many frames of both."""
    share = ((np.arange(frames) + 1) / (frames + 1))[:, None, None, None]
    mixed = a[-frames:] * (1 - share) + b[:frames] * share
    return np.concatenate([a[:-frames], mixed.astype(np.uint8), b[frames:]])


def cuts(images: np.ndarray, config: ShotConfig | None = None, *, times: list[float] | None = None) -> list[float]:
    """Where shots begin, in seconds."""
    detector = ShotDetector(config)
    found = []
    for i, pixels in enumerate(images):
        seconds = Fraction(i, RATE) if times is None else Fraction(times[i])
        settled = detector.settled_seconds
        new = detector.push(seconds, av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24"))
        assert all(cut >= settled for cut in new) and detector.settled_seconds <= seconds
        found += new
    found += detector.finish()
    assert found == sorted(set(found))
    return [float(cut) for cut in found]


def test_hard_cuts_to_the_frame() -> None:
    film = np.concatenate([scene(1, 30), scene(2, 50), scene(3, 26), scene(4, 40)])
    assert cuts(film) == pytest.approx([30 / RATE, 80 / RATE, 106 / RATE])


def test_one_shot_is_one_shot() -> None:
    assert cuts(scene(1, 96)) == []
    assert cuts(np.repeat(scene(1, 1), 96, axis=0)) == []
    assert cuts(np.zeros((48, 48, 64, 3), np.uint8)) == []


@pytest.mark.parametrize("pan", [0.5, 1.0, 2.0])
def test_a_moving_camera_is_no_cut_and_hides_none(pan: float) -> None:
    film = np.concatenate([scene(1, 90, pan=pan), scene(2, 90, pan=pan)])
    assert cuts(film) == pytest.approx([90 / RATE])


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_a_flash_is_no_cut(frames: int) -> None:
    film = scene(1, 96)
    film[40 : 40 + frames] = 250
    film[70 : 70 + frames] = 255 - film[70 : 70 + frames]
    assert cuts(film) == []


@pytest.mark.parametrize("frames", [10, 18, 30])
def test_a_dissolve_is_one_boundary_within_it(frames: int) -> None:
    film = dissolve(scene(1, 72), scene(2, 72), frames)
    [found] = cuts(film)
    assert (72 - frames) / RATE - 0.1 <= found <= 72 / RATE + 0.1


def test_a_fade_through_black_is_found() -> None:
    black = np.zeros((30, 48, 64, 3), np.uint8)
    film = dissolve(dissolve(scene(1, 60), black, 14), scene(2, 60), 14)
    found = cuts(film)
    assert 1 <= len(found) <= 2 and all(44 / RATE <= cut <= 80 / RATE for cut in found)


def test_no_shot_is_shorter_than_the_least() -> None:
    film = np.concatenate([scene(n, 5) for n in range(30)])
    found = [0.0, *cuts(film)]
    assert len(found) > 3
    assert min(b - a for a, b in pairwise(found)) >= ShotConfig().min_seconds
    assert len(cuts(film, ShotConfig(min_seconds=0.2))) > len(found)


def test_repeated_frames_do_not_make_the_next_a_cut() -> None:
    film = scene(1, 96, pan=1.0)
    film[0::4] = film[3::4]  # every fourth frame is shown early, as a careless conversion of the frame rate would
    assert cuts(film) == []


def test_a_slide_show_changes_with_each_slide() -> None:
    slides = np.stack([scene(n, 1)[0] for n in (1, 2, 1, 3)])
    assert cuts(slides, times=[0, 5, 10, 15]) == [5, 10, 15]


def test_a_slow_camera_at_few_frames_a_second_is_no_cut() -> None:
    film = np.concatenate([scene(1, 30, pan=4.0), scene(2, 30, pan=4.0)])
    assert cuts(film, times=[i / 2 for i in range(60)]) == [15.0]


def test_clips_of_shapes_joined() -> None:
    rng = np.random.default_rng(5)
    drawn = []
    for shape, colour, motion in (("circle", "red", "moves left"), ("square", "white", "moves right")):
        of = Scene(shape=shape, colour=colour, motion=motion, count=3)
        drawn.append(draw(of, look(of, rng, size=96)))
    assert cuts(drawn[0], times=[i / 12 for i in range(18)]) == []
    assert len(cuts(np.concatenate(drawn), times=[i / 12 for i in range(36)])) == 1


def test_memory_is_bounded() -> None:
    detector = ShotDetector()
    pictures = np.random.default_rng(0).integers(0, 255, (7, 3, 12, 16)).astype(np.float32)
    largest = 0
    for i in range(3000):
        detector.push_picture(Fraction(i, RATE), pictures[i // 100 % 7])
        largest = max(largest, len(detector._pictures))
    assert largest < 200


def test_a_coded_clip_through_a_file(tmp_path: Path) -> None:
    film = np.concatenate([scene(1, 30), scene(2, 50, pan=1.0), scene(3, 26)])
    clip = render_clip(tmp_path / "a.mp4", images=film)
    detector, found = ShotDetector(), []
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            found += detector.push(Fraction(frame.pts) * frame.time_base, frame)
    found += detector.finish()
    assert [float(f) for f in found] == pytest.approx([30 / RATE, 80 / RATE])
