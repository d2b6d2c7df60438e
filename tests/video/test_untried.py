"""Kinds of files that players treat in ways of their own: each gives its pictures, as they are stored."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from captioner.video.config import VideoConfig
from captioner.video.frames import probe, sample_frames
from tests.media import encode_image, frame_number, frame_pixels, render_clip
from tests.video.test_stereo import LEFT, box, render, shown, tag

VIDEO = VideoConfig(frames=4, size=48)


def without_tables(jpeg: bytes) -> bytes:
    """A JPEG picture without its Huffman tables, as webcams send it."""
    out, place = jpeg[:2], 2
    while jpeg[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
        if jpeg[place + 1] != 0xC4:
            out += jpeg[place:end]
        place = end
    return out + jpeg[place:]


@pytest.mark.parametrize("name", ["webcam.mjpeg", "webcam.avi", "photo.jpg"])
def test_motion_jpeg_without_huffman_tables(tmp_path: Path, name: str) -> None:
    pictures = []
    with av.open(
        str(render_clip(tmp_path / "whole.avi", frames=8, codec="mjpeg", codec_options={"huffman": "default"}))
    ) as clip:
        packets = [bytes(packet) for packet in clip.demux(video=0) if packet.size]
        pictures = [without_tables(packet) for packet in packets]
        assert all(len(bare) < len(packet) for bare, packet in zip(pictures, packets, strict=True))
    if name.endswith(".avi"):
        data = (tmp_path / "whole.avi").read_bytes()
        for packet, bare in zip(packets, pictures, strict=True):
            data = data.replace(packet, bare + bytes(len(packet) - len(bare)))
        (tmp_path / name).write_bytes(data)
    else:
        (tmp_path / name).write_bytes(b"".join(pictures[: 1 if name.endswith(".jpg") else None]))
    frames = sample_frames(tmp_path / name, VIDEO)
    numbers = [frame_number(picture) for picture in frames.pixels]
    assert numbers == ([0] if name.endswith(".jpg") else [1, 3, 5, 7]) and frames.lost == 0


def test_ordered_chapters_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    """They would show the second half first; whoever looks at all of a file need not."""
    whole = render_clip(tmp_path / "whole.mkv", frames=48, bframes=0)
    clip = tmp_path / "a.mkv"
    halves = [{"start": 1000, "end": 2000}, {"start": 0, "end": 1000}]
    with av.open(str(whole)) as source, av.open(str(clip), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        out.set_chapters(
            [{"id": n + 1, "time_base": Fraction(1, 1000), "metadata": {}, **c} for n, c in enumerate(halves)]
        )
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    plain = clip.read_bytes()
    default, ordered = b"\x45\xdb\x81", b"\x45\xdd\x81\x01"
    place = plain.index(default)
    clip.write_bytes(plain[:place] + ordered + plain[place + 4 :])
    with av.open(str(clip)) as container:
        assert container.chapters()
    assert [frame_number(picture) for picture in sample_frames(clip, VIDEO).pixels] == [5, 17, 29, 41]


def test_a_spherical_video_is_read_as_the_flat_picture_that_it_stores(tmp_path: Path) -> None:
    projection = box(b"proj", box(b"prhd", bytes(16)) + box(b"equi", bytes(20)))
    clip = render(tmp_path / "a.mp4", frame_pixels(LEFT, (96, 48)))
    tag(clip, box(b"sv3d", box(b"svhd", bytes(5)) + projection))
    assert shown(clip) == (LEFT, (96, 48))


def test_a_file_that_grows_is_read_as_far_as_it_was(tmp_path: Path) -> None:
    """``caption`` does not wait for more: it sees what is there, and says what is missing where the file tells."""
    whole = render_clip(tmp_path / "whole.ts", frames=96).read_bytes()
    clip, found = tmp_path / "grows.ts", []
    for share in (0.3, 0.6, 1.0):
        with clip.open("ab") as file:
            file.write(whole[clip.stat().st_size : int(share * len(whole))])
        found.append(probe(clip).duration_seconds or 0)
    assert 0 < found[0] < found[1] < found[2] == pytest.approx(4.0)


def test_pictures_are_told_by_their_bytes(tmp_path: Path) -> None:
    """A JPEG among the frames of a film is still a photo."""
    (tmp_path / "a.mp4").write_bytes(encode_image(frame_pixels(7), codec="mjpeg", pixel_format="yuvj420p"))
    assert [frame_number(p) for p in sample_frames(tmp_path / "a.mp4", VIDEO).pixels] == [7]
