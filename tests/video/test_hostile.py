"""Files that are not what they seem give a coded error, never a hang, another file opened or a connection."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from captioner.errors import VideoError
from captioner.video.frames import sample_frames
from tests.broken import bmp_bomb, broken_files, gif_bomb, huge_in_header, jpeg_bomb, png_bomb
from tests.media import encode_image, frame_number, render_audio_only, render_clip, render_image, render_text, truncate
from tests.watch import Watch, listening


def code_of(path: Path) -> str:
    with pytest.raises(VideoError) as caught:
        sample_frames(path, timeout_seconds=20)
    assert "\n" not in str(caught.value)
    return caught.value.code


@pytest.fixture
def server() -> Iterator[tuple[int, list[object]]]:
    """A loopback port that notes who connects."""
    with listening() as found:
        yield found


@pytest.mark.parametrize("name", ["list.m3u8", "clip.mp4", "clip.avi", "clip"])
def test_playlists_open_neither_files_nor_connections(
    tmp_path: Path, server: tuple[int, list[object]], name: str
) -> None:
    port, visitors = server
    secret = render_clip(tmp_path / "secret.mp4")
    nested = render_text(tmp_path / "nested.m3u8", _hls(f"file://{secret}"))
    url = f"http://127.0.0.1:{port}/a.mp4"
    targets = (
        secret.name,
        f"file://{secret}",
        f"file:{secret}",
        str(nested),
        url,
        f"tcp://127.0.0.1:{port}",
        f"concat:{secret}",
    )
    lists = [_hls(target) for target in targets]
    lists += [f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n" for target in (nested.name, url)]
    lists += [f"ffconcat version 1.0\nfile {target}\n" for target in (secret.name, f"'{secret}'", nested.name, url)]
    lists += [
        f"<MPD><Period><BaseURL>{url}</BaseURL></Period></MPD>",
        f"[playlist]\nFile1={url}\n",
        f"v=0\nc=IN IP4 {url}\n",
    ]
    watch = Watch(tmp_path) if sys.platform == "linux" else None
    for text in lists:
        path = render_text(tmp_path / name, text)
        assert code_of(path) == "blocked"
    if watch is not None:
        assert watch.opened() == {name}
        watch.close()
    assert visitors == []


def _hls(target: str) -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n"


def test_a_movie_that_points_at_another_file_does_not_open_it(tmp_path: Path, server: tuple[int, list[object]]) -> None:
    """QuickTime's data reference, which FFmpeg follows only if it is told to."""
    port, visitors = server
    secret = render_clip(tmp_path / "secret.mov", frames=12)
    data = render_clip(tmp_path / "plain.mov", frames=12, container_options={"movflags": "faststart"}).read_bytes()
    at = data.index(b"url \0\0\0\1")  # "the data are in this file": the flag goes, a name comes
    for target in (str(secret), f"http://127.0.0.1:{port}/a.mov"):
        name = target.encode().ljust(512, b"\0")
        clip = bytearray(data)
        clip[at : at + 8] = b"url \0\0\0\0" + name
        for atom in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
            start = clip.rindex(atom, 0, at) - 4
            clip[start : start + 4] = (int.from_bytes(clip[start : start + 4], "big") + len(name)).to_bytes(4, "big")
        clip[at - 4 : at] = (12 + len(name)).to_bytes(4, "big")
        (tmp_path / "clip.mov").write_bytes(clip)
        watch = Watch(tmp_path) if sys.platform == "linux" else None
        with suppress(VideoError):
            sample_frames(tmp_path / "clip.mov")
        assert watch is None or watch.opened() == {"clip.mov"}
    assert visitors == []


@pytest.mark.parametrize(
    "name", ["-x.mp4", "a:b.mp4", "img%03d.mp4", "ü 字.mp4", "new\nline.mp4", "http:x.mp4", "*.mp4"]
)
def test_odd_names_are_only_names(tmp_path: Path, name: str) -> None:
    render_clip(tmp_path / "img001.mp4", frames=5)
    path = tmp_path / name
    path.write_bytes(render_clip(tmp_path / "plain.mp4", frames=9).read_bytes())
    assert len(sample_frames(path).pixels) == 9


def test_a_pattern_opens_no_other_file(tmp_path: Path) -> None:
    for suffix in (".png", ".jpg", ".webp"):
        render_image(tmp_path / f"img001{suffix}", number=1)
        assert code_of(tmp_path / f"img%03d{suffix}") == "not_found"
        render_image(tmp_path / f"img%03d{suffix}", number=2)
        assert frame_number(sample_frames(tmp_path / f"img%03d{suffix}").pixels[0]) == 2


def test_names_that_are_not_text(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4")
    try:
        Path(name).write_bytes(render_clip(tmp_path / "plain.mp4", frames=9).read_bytes())
    except OSError:
        pytest.skip("needs a file system whose names may be any bytes (ext4, say)")
    assert len(sample_frames(name).pixels) == 9
    assert code_of(Path("x" * 5000)) == "not_found"
    assert code_of(Path("nul\0.mp4")) == "not_found"


def test_links_are_followed_but_only_to_files(tmp_path: Path) -> None:
    (tmp_path / "good.mp4").symlink_to(render_clip(tmp_path / "plain.mp4", frames=9))
    (tmp_path / "nowhere.mp4").symlink_to(tmp_path / "none")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    assert len(sample_frames(tmp_path / "good.mp4").pixels) == 9
    assert code_of(tmp_path / "nowhere.mp4") == code_of(tmp_path / "loop.mp4") == "not_found"


def test_absurd_durations_and_rates(tmp_path: Path) -> None:
    """A year between two frames, a million frames a second: taken as they are, at once."""
    for times in ([0, 24 * 86_400 * 365], [0, 1, 2, 10**9]):
        frames = sample_frames(render_clip(tmp_path / "a.mkv", frames=len(times), times=times, bframes=0))
        assert len(frames.pixels) >= 1
    frames = sample_frames(render_clip(tmp_path / "fast.mp4", frames=30, rate=30_000))
    assert len(frames.pixels) == 16


def test_what_is_no_file(tmp_path: Path) -> None:
    assert code_of(tmp_path / "none.mp4") == "not_found"
    assert code_of(tmp_path) == "not_a_file"
    (tmp_path / "empty.mp4").touch()
    assert code_of(tmp_path / "empty.mp4") == "empty"


def test_pipes_and_devices_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path("/dev/zero")):
        script = f"from captioner.video.frames import sample_frames\nsample_frames({str(path)!r})"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert "VideoError" in done.stderr.splitlines()[-1]
        assert code_of(path) == "not_a_file"


def test_what_holds_no_picture(tmp_path: Path) -> None:
    assert code_of(render_audio_only(tmp_path / "sound.mp4")) == "no_video"
    for name in ("text.mp4", "text.srt", "text.mkv"):
        assert code_of(render_text(tmp_path / name)) in ("unsupported", "no_video", "damaged")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    assert code_of(tmp_path / "noise.mp4") in ("unsupported", "no_video", "damaged")


@pytest.mark.parametrize("suffix", [".png", ".mp4"])
def test_a_bomb_is_too_large(tmp_path: Path, suffix: str) -> None:
    """16,000 x 16,000 pixels, in formats that FFmpeg would call damaged or could not even count."""
    for write in (png_bomb, bmp_bomb, gif_bomb, jpeg_bomb, huge_in_header):
        bomb = tmp_path / f"bomb{suffix if write is not huge_in_header else '.avi'}"
        write(bomb)
        assert code_of(bomb) == "too_large"


def test_clips_and_photos_that_are_too_large(tmp_path: Path) -> None:
    size = (8208, 8192)  # one row of blocks more than is decoded
    grey = np.full((size[1], size[0], 3), 90, np.uint8)
    for codec, pixel_format in (("mjpeg", "yuvj420p"), ("libwebp", "yuv420p"), ("tiff", "rgb24")):
        (tmp_path / "photo").write_bytes(encode_image(grey, codec=codec, pixel_format=pixel_format))
        assert code_of(tmp_path / "photo") == "too_large"
    assert code_of(render_clip(tmp_path / "clip.ts", size=size, images=[grey], bframes=0)) == "too_large"


def test_truncated_clips_give_what_is_good(tmp_path: Path) -> None:
    whole = render_clip(tmp_path / "whole.mkv", frames=96, gop=12)
    codes = set()
    for keep in (0.05, 0.3, 0.6, 0.9):
        path = truncate(whole, tmp_path / "cut.mkv", keep=keep)
        try:
            assert len(sample_frames(path).pixels) >= 1
            codes.add("frames")
        except VideoError as error:
            codes.add(error.code)
    assert "frames" in codes and codes <= {"frames", "damaged", "unsupported", "no_video"}


def test_broken_files_each_say_what_is_wrong(tmp_path: Path, server: tuple[int, list[object]]) -> None:
    port, visitors = server
    paths = broken_files(tmp_path, port=port)
    assert len({path.read_bytes() for path in paths}) == 30
    codes = {path.name: code_of(path) for path in paths}
    assert {"empty", "blocked", "damaged", "no_video", "unsupported", "too_large"} == set(codes.values())
    assert {code for name, code in codes.items() if name.startswith(("playlist", "script"))} == {"blocked"}
    assert {code for name, code in codes.items() if "bomb" in name or "huge" in name} == {"too_large"}
    assert visitors == []


def test_time_runs_out(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "a.mp4", frames=200)
    with pytest.raises(VideoError, match="longer than 1e-06 seconds") as caught:
        sample_frames(clip, timeout_seconds=1e-6)
    assert caught.value.code == "timeout"
    assert len(sample_frames(clip, timeout_seconds=None).pixels) == 16
