"""Exact sampling gives the very pixels and times that decoding everything gives, whatever the clip is like."""

from __future__ import annotations

import itertools
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captioner.caption.segments import segment_frames
from captioner.errors import ConfigError, VideoError
from captioner.video import sampling, timeline
from captioner.video.config import VideoConfig
from captioner.video.frames import iter_frames, probe, sample_frames
from tests.clips import BY_KEYFRAME, COUNTED, OTHERS, copied_to_avi, cut_by_edit_list, render_case, retimed
from tests.decode_everything import Everything, decode_everything
from tests.media import frame_number, render_clip

# How many frames of which seconds
SELECTIONS = [(1, None, None), (4, None, None), (16, None, None), (200, None, None), (5, 1.5, 2.25), (3, 3.3, 9.0)]


def check(path: Path, everything: Everything, count: int, start: float | None = None, end: float | None = None) -> None:
    """What is sampled of ``path`` is what ``everything`` has."""
    frames = list(iter_frames(path, count=count, start_seconds=start, end_seconds=end))
    wanted = [everything.frames[i] for i in everything.sampled(count, start=start, end=end)]
    assert [frame.time_seconds for frame in frames] == [float(seconds) for seconds, _ in wanted]
    for frame, (_, pixels) in zip(frames, wanted, strict=True):
        assert np.array_equal(frame.pixels, pixels), f"other pixels at {frame.time_seconds} s"


def check_selections(path: Path, everything: Everything) -> None:
    for count, start, end in SELECTIONS:
        check(path, everything, count, start, end)


@pytest.fixture(params=["packets in memory", "packets on disk"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as a short clip, and once as if it were too long to keep its packets."""
    if request.param == "packets on disk":
        monkeypatch.setattr(timeline, "_KEPT_BYTES", 0)
        monkeypatch.setattr(timeline, "_SHORT_BYTES", 0)


@pytest.fixture
def no_decoding_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("everything was decoded")

    monkeypatch.setattr(sampling, "linear", fail)


@pytest.mark.usefixtures("both_ways", "no_decoding_of_everything")
@pytest.mark.parametrize("name", BY_KEYFRAME)
def test_by_keyframe_as_by_decoding_everything(tmp_path: Path, name: str) -> None:
    clip = render_case(tmp_path, name)
    check_selections(clip, decode_everything(clip))


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("name", OTHERS)
def test_as_by_decoding_everything(tmp_path: Path, name: str) -> None:
    clip = render_case(tmp_path, name)
    check_selections(clip, decode_everything(clip, counted=name in COUNTED))


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("skip", [1, 13, 31, 95])
def test_an_edit_list_that_cuts_between_keyframes(tmp_path: Path, skip: int) -> None:
    clip = cut_by_edit_list(tmp_path / "cut.mp4", skip=skip)
    everything = decode_everything(clip)
    assert frame_number(everything.frames[0][1]) == skip
    for count in (1, 4, 16, 200):
        check(clip, everything, count)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    "pts",
    [
        lambda t: t // 100 * 100,
        lambda t: -(-t // 1000) * 1000,
        lambda t: t + 7777,
        lambda t: t if t < 2000 else t + 86_400_000,
    ],
    ids=["pairs of one time", "many of one time", "late", "a day's gap"],
)
def test_strange_timestamps(tmp_path: Path, pts: Callable[[int], int]) -> None:
    for codec in ("libx264", "libvpx-vp9"):
        source = render_clip(tmp_path / "source.mkv", frames=96, bframes=0, codec=codec)
        clip = retimed(source, tmp_path / "clip.mkv", pts)
        everything = decode_everything(clip)
        for count in (1, 5, 16):
            check(clip, everything, count)


@pytest.mark.usefixtures("both_ways")
def test_a_picture_that_changes_its_size(tmp_path: Path) -> None:
    parts = [
        render_clip(tmp_path / f"{start}.ts", size=size, start=start, frames=48)
        for start, size in ((0, (64, 48)), (52, (96, 64)), (104, (48, 80)))
    ]
    clip = tmp_path / "joined.ts"
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    check_selections(clip, decode_everything(clip))
    assert {frame.pixels.shape for frame in iter_frames(clip, count=9)} == {(48, 64, 3), (64, 96, 3), (80, 48, 3)}


@pytest.mark.usefixtures("both_ways")
def test_a_recording_in_which_sound_turns_up_late(tmp_path: Path) -> None:
    silent = render_clip(tmp_path / "silent.ts", frames=480)
    loud = render_clip(tmp_path / "loud.ts", frames=48, start=484, audio=True)
    clip = tmp_path / "clip.ts"
    clip.write_bytes(silent.read_bytes() * 5 + loud.read_bytes())  # long enough that the opening does not see the sound
    frames = list(iter_frames(clip, count=5))
    assert len(frames) >= 4


@pytest.mark.usefixtures("both_ways")
def test_a_recording_that_begins_between_keyframes(tmp_path: Path) -> None:
    whole = render_clip(tmp_path / "whole.ts", frames=96, gop=24)
    clip = tmp_path / "clip.ts"
    clip.write_bytes(whole.read_bytes()[100 * 188 :])
    everything = decode_everything(clip)
    for count in (1, 7, 60):
        check(clip, everything, count)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    frames=st.integers(1, 60),
    gop=st.integers(1, 40),
    bframes=st.integers(0, 4),
    codec=st.sampled_from(["libx264", "mpeg4", "libvpx-vp9"]),
    suffix=st.sampled_from(["mp4", "mkv"]),
    rotation=st.sampled_from([0, 90, 180, 270]),
    steps=st.lists(st.integers(1, 30), min_size=60, max_size=60),
    count=st.integers(1, 20),
    window=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    on_disk=st.booleans(),
)
def test_any_clip_any_part(
    tmp_path: Path,
    frames: int,
    gop: int,
    bframes: int,
    codec: str,
    suffix: str,
    rotation: int,
    steps: list[int],
    count: int,
    window: tuple[float, float],
    on_disk: bool,
) -> None:
    times = np.cumsum(steps)[:frames].tolist()
    clip = render_clip(
        tmp_path / f"clip.{suffix}",
        frames=frames, gop=gop, bframes=bframes, codec=codec, rotation=rotation, times=times,
    )  # fmt: skip
    everything = decode_everything(clip)
    start, end = sorted(share * float(everything.duration) * 0.999 for share in window)
    with pytest.MonkeyPatch.context() as patch:
        if on_disk:
            patch.setattr(timeline, "_KEPT_BYTES", 0)
            patch.setattr(timeline, "_SHORT_BYTES", 0)
        check(clip, everything, count)
        if start < end:
            check(clip, everything, count, start, end)


def test_real_clips(shared: Path) -> None:
    clips = sorted((shared / "clips").iterdir()) + sorted((shared / "msvd" / "clips").iterdir())[::40]
    assert len(clips) >= 20
    for clip in clips:
        everything = decode_everything(clip, counted=clip.name == "mmaction2-test.avi")  # it has B-frames
        for count in (3, 16):
            check(clip, everything, count)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("name", ["h264.mp4", "one-key.mp4", "vp9.webm", "h264.ts", "animation.gif", "odd-times.mp4"])
def test_segment_mode_gives_a_frame_of_each_part(tmp_path: Path, name: str) -> None:
    clip = render_case(tmp_path, name)
    everything = decode_everything(clip)
    exact = {float(everything.frames[i][0]) for i in everything.sampled(8)}
    pixels = {float(seconds): picture for seconds, picture in everything.frames}
    frames = list(iter_frames(clip, count=8, mode="segment"))
    edge = float(everything.duration) / 8
    for part, frame in enumerate(frames if len(frames) == 8 else []):
        inside = part * edge <= frame.time_seconds < (part + 1) * edge
        assert inside or frame.time_seconds in exact
    assert len(frames) == len(exact)
    assert all(np.array_equal(frame.pixels, pixels[frame.time_seconds]) for frame in frames)


def test_a_start_or_end_that_cannot_be(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "a.mp4", frames=48)
    for start, end in ((-1, None), (2.0, None), (1, 1), (1, 0.5), (float("nan"), None), (0, float("inf"))):
        with pytest.raises(ConfigError, match=r"start_seconds|end_seconds"):
            sample_frames(clip, start_seconds=start, end_seconds=end)


def test_a_mirrored_picture(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "a.mp4", frames=2, codec_options={"qp": "0"}, pixel_format="yuv444p")
    plain = next(iter_frames(clip, count=1)).pixels
    data = clip.read_bytes()
    matrix = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    mirror = struct.pack(">9i", -(1 << 16), 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = data.index(matrix, data.index(b"tkhd"))
    clip.write_bytes(data[:at] + mirror + data[at + len(matrix) :])
    assert np.array_equal(next(iter_frames(clip, count=1)).pixels, plain[:, ::-1])


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    """Thirty times as long, and never 12 MB more memory, though the packets take more."""
    script = (
        "import sys; from captioner.video.frames import iter_frames\n"
        "frames = sum(1 for _ in iter_frames(sys.argv[1], count=8))\n"
        "status = open('/proc/self/status').read(); print(frames, status.split('VmHWM:')[1].split()[0])"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to tell the memory of a process: run on Linux")
    for name, codec, pixel_format in (("a.avi", "rawvideo", "bgr24"), ("a.mov", "mjpeg", "yuvj420p")):
        peaks = []
        for seconds in (2, 60):
            noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
            pictures = (np.roll(noise, 8 * i, axis=1) for i in range(10 * seconds))
            clip = render_clip(
                tmp_path / name, codec=codec, pixel_format=pixel_format, size=(320, 240), rate=10, images=pictures,
                codec_options={"qscale": "1"},
            )  # fmt: skip
            done = subprocess.run(
                [sys.executable, "-c", script, str(clip)], capture_output=True, text=True, check=True, timeout=120
            )
            frames, peak = map(int, done.stdout.split())
            assert frames == 8
            peaks.append(peak / 1024)
        assert clip.stat().st_size > 12e6
        assert peaks[1] < peaks[0] + 12


def test_a_damaged_frame_is_left_out_and_counted(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "a.avi", codec="mjpeg", frames=16)
    data = bytearray(clip.read_bytes())
    starts = [i for i in range(len(data)) if data[i : i + 3] == b"\xff\xd8\xff"]
    for number in (3, 11):
        data[starts[number] : starts[number + 1] - 16] = bytes(starts[number + 1] - 16 - starts[number])
    clip.write_bytes(data)
    frames = sample_frames(clip, VideoConfig(frames=16, size=64))
    numbers = [frame_number(pixels) for pixels in frames.pixels]
    assert numbers == [n for n in range(16) if n not in (3, 11)]
    assert frames.lost == 2 and frames.warnings == ("2 damaged frames left out",)


@pytest.mark.usefixtures("both_ways")
def test_damage_stays_where_it_is(tmp_path: Path) -> None:
    """A group of pictures that is gone costs none of the others: they keep their pixels."""
    clip = render_clip(tmp_path / "a.mkv", frames=96, gop=12, bframes=2)
    everything = decode_everything(clip)
    data = clip.read_bytes()
    middle = data.index(b"\x1f\x43\xb6\x75", len(data) // 4)  # the next cluster
    clip.write_bytes(data[: middle + 40] + bytes(600) + data[middle + 640 :])
    good = {float(seconds): pixels for seconds, pixels in everything.frames}
    frames = list(iter_frames(clip, count=96))
    same = [frame for frame in frames if np.array_equal(frame.pixels, good.get(frame.time_seconds))]
    assert len(same) >= 48


@pytest.mark.parametrize("name", [*BY_KEYFRAME, *OTHERS])
def test_what_is_left_of_a_clip_is_given(tmp_path: Path, name: str) -> None:
    """A clip that breaks off gives frames of its first part, or says that it is damaged; never others."""
    clip = render_case(tmp_path, name)
    data = clip.read_bytes()
    given = 0
    for tenths in (3, 6, 9):
        clip.write_bytes(data[: len(data) * tenths // 10])
        try:
            frames = list(iter_frames(clip, count=8))
        except VideoError as error:
            assert error.code in ("damaged", "unsupported", "no_video")
        else:
            given += 1
            assert all(a.time_seconds < b.time_seconds for a, b in itertools.pairwise(frames))
    indexed_at_the_end = clip.suffix in (".mp4", ".mov", ".3gp") and b"moov" not in data[: len(data) // 4]
    assert given in ((0,) if indexed_at_the_end else (2, 3))


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("name", ["fast-start.mp4", "h264.mkv", "sound.mkv", "vp9.webm", "mpeg4-no-b.avi", "mjpeg.avi"])
def test_a_cut_file_says_how_many_frames_it_lacks(tmp_path: Path, name: str) -> None:
    clip = render_case(tmp_path, name)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 6 // 10])
    frames = sample_frames(clip, VideoConfig(frames=96, size=64))
    assert frames.duration_seconds is not None and frames.duration_seconds < 3
    assert 96 - 2 <= frames.lost + len(frames.pixels) <= 96 + 2
    assert frames.warnings == (f"{frames.lost} damaged frames left out",)
    assert [frame_number(p) for p in frames.pixels] == list(range(len(frames.pixels)))
    clip.write_bytes(data)
    assert sample_frames(clip, VideoConfig(frames=4, size=64)).lost == 0


def both_spans(clip: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    """First and last moment of what the whole-clip mode and the segment mode see: frames in the middle of 200 parts."""
    whole = sample_frames(clip, VideoConfig(frames=200, size=32))
    [(span, frames)] = segment_frames(clip, VideoConfig(frames=200, size=32), segments=1e6)
    assert span.end_seconds == pytest.approx(whole.duration_seconds, abs=0.05)
    return (whole.times_seconds[0], whole.times_seconds[-1]), (frames.times_seconds[0], frames.times_seconds[-1])


@pytest.mark.parametrize("name", [*BY_KEYFRAME, *OTHERS])
def test_the_whole_and_its_segments_see_the_same_span(tmp_path: Path, name: str) -> None:
    whole, parts = both_spans(render_case(tmp_path, name))
    assert whole == pytest.approx(parts, abs=0.05)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("times", [range(48), [i + 10 * (i > 20) for i in range(48)]], ids=["steady", "with a gap"])
def test_h264_in_avi_is_as_long_as_it_was(tmp_path: Path, times: Iterable[int]) -> None:
    """AVI holds the order of decoding and the steps between frames, at whatever rate the muxer chose: 600 here."""
    source = render_clip(tmp_path / "source.mp4", frames=48, bframes=2, times=times)
    clip = copied_to_avi(source, tmp_path / "copy.avi")
    there, here = (sample_frames(file, VideoConfig(frames=12, size=64)) for file in (source, clip))
    assert here.duration_seconds == pytest.approx(there.duration_seconds, abs=0.01)
    # B-frames move a gap by as many frames as the decoder waits for
    assert np.sort(np.abs(np.subtract(here.times_seconds, there.times_seconds)))[-2] < 3 / 24
    assert [frame_number(pixels) for pixels in here.pixels][:2] == [frame_number(pixels) for pixels in there.pixels][:2]
    assert sample_frames(clip, VideoConfig(frames=1, size=64), start_seconds=1.5).times_seconds[0] >= 1.5
    assert both_spans(clip)[0] == pytest.approx(both_spans(clip)[1])


def test_a_cut_avi_does_not_last_as_long_as_it_says(tmp_path: Path) -> None:
    source = render_clip(tmp_path / "source.mp4", frames=96, bframes=2, size=(320, 240))
    clip = copied_to_avi(source, tmp_path / "copy.avi")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 6])
    whole = sample_frames(clip, VideoConfig(frames=200, size=64))
    assert whole.duration_seconds is not None and 0.3 < whole.duration_seconds < 3
    assert len(whole.pixels) < 60 and whole.warnings


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_times_count_from_the_start_of_the_file(tmp_path: Path, suffix: str) -> None:
    """Three seconds of sound before the first frame: a player shows it at 3.0, and so must subtitles."""
    clip = render_clip(tmp_path / f"clip.{suffix}", frames=96, start=72, audio=True)
    plain = render_clip(tmp_path / f"plain.{suffix}", frames=96)
    late, early = (sample_frames(file, VideoConfig(frames=8, size=64)) for file in (clip, plain))
    assert early.duration_seconds is not None
    assert late.times_seconds == pytest.approx([3 + seconds for seconds in early.times_seconds], abs=0.05)
    assert late.duration_seconds == pytest.approx(3 + early.duration_seconds, abs=0.05)
    assert np.array_equal(late.pixels, early.pixels)
    assert probe(clip).duration_seconds == pytest.approx(7, abs=0.05)

    part = sample_frames(clip, VideoConfig(frames=2, size=64), start_seconds=5, end_seconds=6)
    assert [frame_number(pixels) for pixels in part.pixels] == pytest.approx([54, 66], abs=1)
    whole = sample_frames(clip, VideoConfig(frames=8, size=64), start_seconds=1)  # in the sound before it
    assert np.array_equal(whole.pixels, late.pixels)
    for start, end, said in (
        (8, None, r"lasts (7\.0|6\.999)"),
        (None, 2, "begins only at 3.0"),
        (1, 2, "begins only at 3.0"),
    ):
        with pytest.raises(ConfigError, match=said):
            sample_frames(clip, VideoConfig(frames=8, size=64), start_seconds=start, end_seconds=end)

    spans = [span for span, _ in segment_frames(clip, VideoConfig(frames=4, size=64), segments=2.0)]
    assert [span.start_seconds for span in spans] == pytest.approx([3, 5], abs=0.05)
    assert spans[-1].end_seconds == pytest.approx(7, abs=0.05)
    assert both_spans(clip)[0] == pytest.approx(both_spans(clip)[1], abs=0.05)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize("starts", [(0, 0), (0, 0, 0), (240_000, 0), (0, 2_000_000), (100, 2_000_000, 30)])
def test_recordings_put_one_after_the_other(tmp_path: Path, starts: tuple[int, ...], codec: str) -> None:
    """``cat a.ts b.ts``: clocks that begin again, go back or jump by a day. All parts are seen, one after the other."""
    parts = [render_clip(tmp_path / f"{i}.ts", frames=48, start=start, codec=codec) for i, start in enumerate(starts)]
    clip = tmp_path / "joined.ts"
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    whole = sample_frames(clip, VideoConfig(frames=6 * len(parts), size=64))
    assert whole.duration_seconds == pytest.approx(2 * len(parts), abs=0.2)
    assert np.diff(whole.times_seconds) == pytest.approx([1 / 3] * (len(whole.times_seconds) - 1), abs=0.1)
    assert [frame_number(pixels) for pixels in whole.pixels] == pytest.approx(
        [4, 12, 20, 28, 36, 44] * len(parts), abs=2
    )
    assert f"{len(parts)} recordings joined" in whole.warnings[0]

    spans = [(span, frames) for span, frames in segment_frames(clip, VideoConfig(frames=4, size=64), segments=1.0)]
    assert len(spans) == 2 * len(parts) and spans[-1][0].end_seconds == pytest.approx(2 * len(parts), abs=0.2)
    assert "recordings joined" in spans[-1][1].warnings[0]
    assert all(len(frames.pixels) == 4 for _, frames in spans)
    later = sample_frames(clip, VideoConfig(frames=2, size=64), start_seconds=2 * len(parts) - 1)
    assert frame_number(later.pixels[0]) == pytest.approx(30, abs=2)
