"""Sampling by keyframe: what is decoded, where from, and when it says that it is in doubt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from captioner.video.container import Deadline, open_video
from captioner.video.keyframes import Doubt, Keyframe, PacketsInMemory, PacketsOnDisk, frames_by_keyframe, restarts
from captioner.video.selection import Aim, Selection
from captioner.video.timeline import Timeline, glance, has_index, measure
from tests.clips import render_case
from tests.media import frame_number, render_clip


@dataclass(frozen=True)
class Packet:
    """What is looked at of a packet."""

    pts: int | None
    is_keyframe: bool = False
    is_discard: bool = False


class Counting:
    """Packets that note what is read of them."""

    def __init__(self, packets: Any) -> None:
        self._packets = packets
        self.read: list[int | None] = []

    def keyframe(self, tick: int) -> Keyframe:
        return self._packets.keyframe(tick)

    def read_from(self, key: Keyframe) -> Iterator[Any]:
        for packet in self._packets.read_from(key):
            self.read.append(packet.pts)
            yield packet


def test_the_keyframe_before_a_moment() -> None:
    packets = PacketsInMemory([Packet(0, True), Packet(4), Packet(2), Packet(6, True, True), Packet(8)])  # type: ignore[list-item]
    assert [packets.keyframe(tick).tick for tick in (0, 5, 6, 99)] == [0, 0, 6, 6]
    assert not packets.keyframe(7).shown
    assert [packet.pts for packet in packets.read_from(packets.keyframe(7))] == [6, 8]
    with pytest.raises(Doubt, match="no keyframe before"):
        packets.keyframe(-1)


@pytest.mark.parametrize(
    "packets",
    [[Packet(None, True)], [Packet(0, True), Packet(0, True)], [Packet(5, True), Packet(3, True)]],
    ids=["no timestamp", "twice the same", "out of order"],
)
def test_keyframes_that_cannot_be_relied_on(packets: list[Packet]) -> None:
    with pytest.raises(Doubt):
        PacketsInMemory(packets)  # type: ignore[arg-type]


def aims_of(timeline: Timeline, count: int) -> list[Aim]:
    return Selection(count).aims(timeline)


def sampled(path: Path, count: int, *, stand_ins: bool = False, on_disk: bool = False) -> tuple[list[int], int]:
    """The numbers of the frames sampled, and how many packets were read for them."""
    deadline = Deadline(path, 60)
    with open_video(path, deadline) as (container, stream):
        assert restarts(stream)
        timeline, kept = measure(container, stream, deadline)
        assert kept is not None
    with open_video(path, deadline) as (container, stream):
        packets = Counting(PacketsOnDisk(container, stream, deadline) if on_disk else PacketsInMemory(kept))
        frames = frames_by_keyframe(packets, stream, aims_of(timeline, count), stand_ins=stand_ins, deadline=deadline)
        return [frame_number(frame.to_ndarray(format="rgb24")) for frame in frames], len(packets.read)


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_only_the_groups_of_wanted_frames_are_read(tmp_path: Path, suffix: str, on_disk: bool) -> None:
    clip = render_clip(tmp_path / f"a.{suffix}", frames=2400, gop=12, size=(48, 32))
    numbers, read = sampled(clip, 4, on_disk=on_disk)
    assert numbers == pytest.approx([300, 900, 1500, 2100], abs=1)
    assert read < 4 * (12 + 12 + 40)


def test_segment_mode_decodes_keyframes_alone(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "a.mp4", frames=960, gop=30, size=(48, 32))
    numbers, read = sampled(clip, 8, stand_ins=True)
    assert all(number % 30 == 0 for number in numbers)
    assert [number // 120 for number in numbers] == list(range(8))
    assert read <= 8 * 3


def test_a_second_frame_at_a_keyframes_time_is_a_doubt(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "a.mkv", frames=24, gop=12, bframes=0)
    deadline = Deadline(clip, 60)
    with open_video(clip, deadline) as (container, stream):
        _, kept = measure(container, stream, deadline)
        assert kept is not None
        kept[13].pts = kept[12].pts
        aim = Aim(first=kept[12].pts, middle=kept[12].pts, last=kept[12].pts)
        with pytest.raises(Doubt, match="two packets"):
            list(frames_by_keyframe(PacketsInMemory(kept), stream, [aim], stand_ins=False, deadline=deadline))


def test_no_clean_start_is_a_doubt(tmp_path: Path) -> None:
    clip = render_case(tmp_path, "refresh-without-keys.mp4")
    with pytest.raises(Doubt):
        sampled(clip, 6)


@pytest.mark.parametrize("name", ["h264.mp4", "late-start.mkv", "vp9.webm", "odd-times.mp4", "mjpeg.avi", "gap.mp4"])
def test_a_glance_tells_what_measuring_tells(tmp_path: Path, name: str) -> None:
    clip = render_case(tmp_path, name)
    deadline = Deadline(clip, 60)
    with open_video(clip, deadline) as (container, stream):
        measured, _ = measure(container, stream, deadline)
    with open_video(clip, deadline) as (container, stream):
        assert has_index(container, stream)
        glanced = glance(container, stream, deadline)
    assert glanced is not None
    assert (glanced.origin, glanced.end) == (measured.origin, measured.end)
    assert aims_of(glanced, 16) == aims_of(measured, 16)


def test_parts_in_ticks() -> None:
    """Against the same in fractions of a second."""
    from fractions import Fraction

    timeline = Timeline(tick_seconds=Fraction(1, 12_800), frame_seconds=Fraction(1, 25), origin=77, end=77 + 51_717)
    for count, start, end in ((1, None, None), (16, None, None), (7, 0.3, 3.9), (1000, 1.0, 1.001)):
        selection = Selection(count, start, end)
        first, last = selection.bounds(timeline)
        for part, aim in enumerate(selection.aims(timeline)):
            left = first + (last - first) * Fraction(part, count)
            right = first + (last - first) * Fraction(part + 1, count)
            assert aim.middle == timeline.tick((left + right) / 2)
            assert timeline.seconds(aim.first) >= left > timeline.seconds(aim.first - 1)
            assert timeline.seconds(aim.last) < right <= timeline.seconds(aim.last + 1)
