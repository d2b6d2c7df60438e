"""What a file really is, and what is said of it: cut off, encrypted, a song with a cover, an animation, an address."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from captioner.caption.segments import segment_frames
from captioner.errors import VideoError
from captioner.video import boxes
from captioner.video.config import VideoConfig
from captioner.video.frames import probe, sample_frames
from tests.media import frame_number, frame_pixels, render_clip

VIDEO = VideoConfig(frames=8, size=64)
ENCRYPTED = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "00112233445566778899aabbccddeeff",
    "encryption_kid": "ffeeddccbbaa99887766554433221100",
}


def refusal(path: Path | str) -> VideoError:
    for attempt in (
        lambda: sample_frames(path, VIDEO),
        lambda: list(segment_frames(path, VIDEO, segments=1.0)),
        lambda: probe(path),
    ):
        with pytest.raises(VideoError) as caught:
            attempt()
    return caught.value


@pytest.mark.parametrize("keep", ["all but the index", "half", "less than a box"])
def test_a_recording_without_its_index_is_cut_off(tmp_path: Path, keep: str) -> None:
    data = render_clip(tmp_path / "whole.mp4", frames=48).read_bytes()
    end = {"all but the index": data.index(b"moov") - 4, "half": len(data) // 2, "less than a box": 60}[keep]
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(data[:end])
    error = refusal(clip)
    assert error.code == "damaged" and "is cut off" in str(error)


def test_fragments_cut_inside_their_head(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov"}
    data = render_clip(tmp_path / "whole.mp4", frames=48, container_options=options).read_bytes()
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(data[: data.index(b"moof") + 30])
    error = refusal(clip)
    assert error.code == "damaged" and "is cut off" in str(error)
    fragment = tmp_path / "segment.m4s"  # of a stream: the head is in a file of its own
    fragment.write_bytes(data[data.index(b"moof") - 4 :])
    assert refusal(fragment).code == "damaged"


def test_an_encrypted_clip_says_so(tmp_path: Path) -> None:
    for number in range(12):  # in one of ten, by its random start, something can be decoded
        clip = render_clip(tmp_path / f"{number}.mp4", frames=24, container_options=ENCRYPTED)
        error = refusal(clip)
        assert error.code == "unsupported" and "is encrypted" in str(error)


def test_a_song_with_a_cover_is_no_video(tmp_path: Path) -> None:
    song = tmp_path / "song.mp3"
    with av.open(str(song), "w") as out:
        sound = out.add_stream("mp3", rate=48_000)
        cover = out.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(frame_pixels(3), format="rgb24")
        picture.pts = 0
        out.mux(cover.encode(picture))
        out.mux(cover.encode(None))
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48_000, 1152 * number
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    error = refusal(song)
    assert error.code == "no_video" and "only a cover picture and audio" in str(error)


@pytest.mark.parametrize("suffix", ["webp", "avif"])
def test_every_picture_of_an_animation_is_seen(tmp_path: Path, suffix: str) -> None:
    pictures = [Image.fromarray(frame_pixels(number)) for number in range(12)]
    clip = tmp_path / f"animation.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {"quality": 95}
    pictures[0].save(clip, save_all=True, append_images=pictures[1:], duration=100, **options)
    frames = sample_frames(clip, VideoConfig(frames=4, size=64))
    assert frames.times_seconds == pytest.approx((0.1, 0.4, 0.7, 1.0)) and frames.duration_seconds == pytest.approx(1.2)
    assert [frame_number(pixels) for pixels in frames.pixels] == [1, 4, 7, 10]
    late = sample_frames(clip, VideoConfig(frames=2, size=64), start_seconds=0.6)
    assert [frame_number(pixels) for pixels in late.pixels] == [7, 10]
    info = probe(clip)
    assert (info.width, info.height) == (64, 48) and info.duration_seconds == pytest.approx(1.2)
    parts = [frames for _, frames in segment_frames(clip, VIDEO, segments=0.5)]
    assert sum(len(part.pixels) for part in parts) >= 8


def test_an_animation_without_pillow_is_unsupported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [Image.fromarray(frame_pixels(number)) for number in range(3)]
    clip = tmp_path / "animation.webp"
    pictures[0].save(clip, save_all=True, append_images=pictures[1:])
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    error = refusal(clip)
    assert error.code == "unsupported" and "pip install pillow" in str(error)


@pytest.mark.parametrize("address", ["https://example.org/a.mp4", "rtsp://camera/1", "s3://bucket/a.mp4", "HTTP://x/y"])
def test_an_address_is_told_from_a_name(address: str) -> None:
    error = refusal(address)
    assert error.code == "not_found" and "is an address, not a file; download it first" in str(error)


def test_the_photos_of_phones_are_not_too_large(tmp_path: Path) -> None:
    photo = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (8064, 6048), (90, 120, 30)).save(photo, quality=30, exif=exif)
    frames = sample_frames(photo, VIDEO)
    assert (frames.width, frames.height) == (6048, 8064)
    huge = tmp_path / "huge.jpg"
    Image.new("L", (6000, 12_000)).save(huge, quality=10)
    assert refusal(huge).code == "too_large" and "6000 x 12000 pixels" in str(refusal(huge))
    Image.new("L", (6000, 12_000)).save(huge, quality=10, exif=exif)
    assert "12000 x 6000 pixels" in str(refusal(huge))


def test_boxes_of_anything(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4", frames=24)
    kinds = [box.kind for box in boxes.top_boxes(clip)]
    assert kinds[0] == b"ftyp" and {b"moov", b"mdat"} <= set(kinds)
    assert not boxes.is_cut_off(clip) and not boxes.is_encrypted(boxes.movie_index(clip))
    for data in (b"", b"RIFF\x10\0\0\0WEBP", b"\0\0\0\1ftyp", b"\0\0\0\0mdat", b"\0\0\0\4ftyp" * 9):
        (tmp_path / "odd").write_bytes(data)
        list(boxes.top_boxes(tmp_path / "odd"))
        assert not boxes.is_encrypted(boxes.movie_index(tmp_path / "odd"))
