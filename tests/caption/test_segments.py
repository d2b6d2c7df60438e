"""Segments: without gaps, streaming, and the frames that sampling each span by itself would give."""

from __future__ import annotations

import contextlib
import itertools
import time
from pathlib import Path

import numpy as np
import pytest

from captioner.caption.segments import Segments, Span, parse_segments, segment_frames
from captioner.errors import ConfigError, VideoError
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames, sample_frames
from tests.media import frame_number, frame_pixels, render_clip, render_image, render_text, truncate

VIDEO = VideoConfig(frames=4, size=48)


def pieces(path: Path, segments: Segments | None, **options: float | None) -> list[tuple[Span, Frames]]:
    found = list(segment_frames(path, VIDEO, segments=segments, **options))
    for (before, _), (after, _) in itertools.pairwise(found):
        assert before.end_seconds == after.start_seconds
    for span, frames in found:
        assert len(frames.pixels) == len(frames.times_seconds) >= 1
        assert span.end_seconds is None or span.start_seconds < span.end_seconds
        assert list(frames.times_seconds) == sorted(set(frames.times_seconds))
    return found


def numbers(frames: Frames) -> list[int]:
    return [frame_number(p) for p in frames.pixels]


def shots_clip(path: Path, lengths: tuple[int, ...] = (40, 30, 50), **options: object) -> Path:
    """Shots of so many frames at 24 a second: slowly drifting noise, another in each."""
    images = []
    for number, length in enumerate(lengths):
        picture = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = picture.repeat(8, axis=0).repeat(8, axis=1)
        images += [np.roll(picture, i // 4, axis=1) for i in range(length)]
    return render_clip(path, images=images, **options)  # type: ignore[arg-type]


def test_one_segment_a_shot(tmp_path: Path) -> None:
    found = pieces(shots_clip(tmp_path / "a.mp4"), "shots")
    assert [s.start_seconds for s, _ in found] == pytest.approx([0, 40 / 24, 70 / 24])
    assert found[-1][0].end_seconds == pytest.approx(5.0)
    for span, frames in found:
        assert len(frames.pixels) == 4
        assert all(span.start_seconds <= t < (span.end_seconds or 0) for t in frames.times_seconds)
        assert frames.duration_seconds == 5.0


def test_a_shot_gives_the_frames_that_sampling_its_span_gives(tmp_path: Path) -> None:
    clip = shots_clip(tmp_path / "a.mp4", (30, 28))
    for span, frames in pieces(clip, "shots"):
        alone = sample_frames(clip, VIDEO, start_seconds=span.start_seconds, end_seconds=span.end_seconds)
        assert frames.times_seconds == pytest.approx(alone.times_seconds)
        assert (frames.pixels == alone.pixels).all()


def test_a_long_shot_is_sampled_near_the_middle_of_its_parts(tmp_path: Path) -> None:
    [(_, frames)] = pieces(shots_clip(tmp_path / "a.mp4", (480,)), "shots")
    assert frames.times_seconds == pytest.approx([2.5, 7.5, 12.5, 17.5], abs=5 / 4)


def test_a_shot_longer_than_a_minute_comes_in_parts(tmp_path: Path) -> None:
    images = [frame_pixels(number) for number in [5] * 2 * 121 + [2000] * 2 * 20]
    found = pieces(render_clip(tmp_path / "a.mp4", images=images, rate=2), "shots")
    assert [s.start_seconds for s, _ in found] == [0, 60, 120, 121]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.ts", "a.avi"])
def test_fixed_lengths_give_the_frames_of_each_span(tmp_path: Path, name: str) -> None:
    codec = {"a.webm": "libvpx", "a.avi": "mpeg4"}.get(name, "libx264")
    clip = render_clip(tmp_path / name, frames=84, codec=codec)
    found = pieces(clip, 1.0)
    assert [s.start_seconds for s, _ in found] == pytest.approx([0, 1, 2, 3])
    assert found[-1][0].end_seconds == pytest.approx(3.5, abs=0.05)
    for span, frames in found[:-1]:
        alone = sample_frames(clip, VIDEO, start_seconds=span.start_seconds, end_seconds=span.end_seconds)
        assert numbers(frames) == numbers(alone)
        assert frames.times_seconds == pytest.approx(alone.times_seconds)
    assert all(72 <= n < 84 for n in numbers(found[-1][1]))


def test_a_short_rest_belongs_to_the_last_segment(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.ts"):
        found = pieces(render_clip(tmp_path / name, frames=50), 1.0)  # 2 s and 1/12 s
        assert [s.start_seconds for s, _ in found] == pytest.approx([0, 1])
        assert found[-1][0].end_seconds == pytest.approx(50 / 24, abs=0.01)


def test_segments_shorter_than_a_frame_are_as_long_as_the_frame(tmp_path: Path) -> None:
    found = pieces(render_clip(tmp_path / "a.mp4", frames=6), 0.01)
    seen = [n for _, frames in found for n in numbers(frames)]
    assert sorted(set(seen)) == list(range(6)) and len(found) <= 12
    assert found[-1][0].end_seconds == pytest.approx(0.25)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_picture_that_stays_is_one_segment(tmp_path: Path, name: str) -> None:
    clip = render_clip(tmp_path / name, frames=4, times=[0, 24, 24 * 500, 24 * 501], gop=1, bframes=0)
    found = pieces(clip, 1.0)
    assert 3 <= len(found) <= 6
    assert [n for _, f in found for n in numbers(f)][-1] == 2
    assert (found[-1][0].end_seconds or 0) > 500


@pytest.mark.parametrize("segments", ["shots", 1.0])
@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_start_and_end(tmp_path: Path, segments: Segments, name: str) -> None:
    clip = render_clip(tmp_path / name, frames=120)
    found = pieces(clip, segments, start_seconds=1.5, end_seconds=4.0)
    assert (found[0][0].start_seconds, found[-1][0].end_seconds) == (1.5, 4.0)
    shown = [n for _, frames in found for n in numbers(frames)]
    assert min(shown) >= 35 and max(shown) < 96
    with pytest.raises(ConfigError, match="start_seconds is 99"):
        pieces(clip, segments, start_seconds=99)
    with pytest.raises(ConfigError, match="end_seconds is 1"):
        pieces(clip, segments, start_seconds=2, end_seconds=1)
    assert pieces(clip, segments, end_seconds=99)[-1][0].end_seconds == pytest.approx(5.0, abs=0.05)


def test_a_picture_is_one_segment(tmp_path: Path) -> None:
    still = render_image(tmp_path / "a.png", number=7)
    for segments in ("shots", 2.0, None):
        [(span, frames)] = pieces(still, segments)  # type: ignore[arg-type]
        assert numbers(frames) == [7] and span == Span(start_seconds=0.0, end_seconds=None)


def test_none_is_the_whole_clip(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "a.mp4", frames=48)
    [(span, frames)] = pieces(clip, None)
    assert span == Span(start_seconds=0.0, end_seconds=2.0)
    assert frames.times_seconds == sample_frames(clip, VIDEO).times_seconds


@pytest.mark.parametrize("segments", ["shots", 1.0])
@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4"])
def test_what_is_good_of_a_cut_file_is_kept_and_the_rest_said(tmp_path: Path, segments: Segments, name: str) -> None:
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    whole = render_clip(tmp_path / name, frames=240, container_options=options)
    found = pieces(truncate(whole, tmp_path / f"cut-{name}", keep=0.5), segments)
    assert 2 < (found[-1][0].end_seconds or 0) < 8
    if name == "a.mp4":
        assert any("breaks off" in warning for warning in found[-1][1].warnings)


def test_damage_in_the_middle_is_said_of_the_segment_it_is_in(tmp_path: Path) -> None:
    whole = shots_clip(tmp_path / "a.mkv", (48,) * 5, gop=24)
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    (tmp_path / "bad.mkv").write_bytes(data)
    found = pieces(tmp_path / "bad.mkv", "shots")
    assert found[-1][0].end_seconds == pytest.approx(10.0, abs=0.05)
    said = [bool(frames.warnings) for _, frames in found]
    assert any(said) and not said[0] and not said[-1]
    assert pieces(tmp_path / "bad.mkv", 2.0)[-1][0].end_seconds == pytest.approx(10.0, abs=0.05)


@pytest.mark.parametrize("segments", ["shots", 1.0, None])
def test_what_is_no_film(tmp_path: Path, segments: Segments | None) -> None:
    for path, code in ((tmp_path / "none.mp4", "not_found"), (render_text(tmp_path / "text.mp4"), "no_video")):
        with pytest.raises(VideoError) as caught:
            pieces(path, segments)
        assert caught.value.code == code


@pytest.mark.parametrize("segments", ["shots", 1.0])
@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_the_first_segment_comes_long_before_the_end(tmp_path: Path, name: str, segments: Segments) -> None:
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    clip = shots_clip(tmp_path / name, (30,) * 40, container_options=options)
    stream = segment_frames(clip, VIDEO, segments=segments)
    found = [next(stream)]
    with clip.open("r+b") as file:
        file.truncate(clip.stat().st_size // 2)  # the second half has not been needed so far
    with contextlib.suppress(VideoError):
        found.extend(stream)
    assert 10 < (found[-1][0].end_seconds or 0) < 40


def test_the_timeout_is_for_the_next_segment_only(tmp_path: Path) -> None:
    clip = shots_clip(tmp_path / "a.mp4", (30,) * 4)
    stream = segment_frames(clip, VIDEO, segments="shots", timeout_seconds=5.0)
    next(stream)
    time.sleep(0.01)
    assert len(list(stream)) == 3
    with pytest.raises(VideoError) as caught:
        list(segment_frames(clip, VIDEO, segments="shots", timeout_seconds=0.0))
    assert caught.value.code == "timeout"


@pytest.mark.parametrize("segments", [0, -1, float("nan"), float("inf"), "scenes"])
def test_segments_that_make_no_sense(tmp_path: Path, segments: Segments) -> None:
    with pytest.raises(ConfigError, match="segments is"):
        segment_frames(tmp_path / "a.mp4", VIDEO, segments=segments)


def test_segments_as_they_are_typed() -> None:
    assert parse_segments("shots") == "shots" and parse_segments("2.5") == 2.5
    for text in ("", "scenes", "0", "-1", "nan", "inf"):
        with pytest.raises(ConfigError, match="segments is"):
            parse_segments(text)
