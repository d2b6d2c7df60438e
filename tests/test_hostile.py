"""Files that are not what they seem give a coded error, never a hang, another file opened or a connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from captioner.errors import VideoError
from captioner.video import sample_frames
from tests.broken import bmp_bomb, broken_files, gif_bomb, huge_in_header, jpeg_bomb, png_bomb
from tests.media import encode_image, render_audio_only, render_clip, render_text, truncate


def code_of(path: Path) -> str:
    with pytest.raises(VideoError) as caught:
        sample_frames(path, timeout_seconds=20)
    assert "\n" not in str(caught.value)
    return caught.value.code


@pytest.fixture
def server() -> Iterator[tuple[int, list[object]]]:
    """A loopback port that notes who connects."""
    visitors: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                try:
                    connection, address = listener.accept()
                except TimeoutError:
                    continue
                visitors.append(address)
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield listener.getsockname()[1], visitors
        stop.set()
        thread.join()


@pytest.mark.parametrize("name", ["list.m3u8", "clip.mp4", "clip.avi", "clip"])
def test_playlists_open_neither_files_nor_connections(
    tmp_path: Path, server: tuple[int, list[object]], name: str
) -> None:
    port, visitors = server
    secret = render_clip(tmp_path / "secret.mp4")
    lists = [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n"
        for target in (secret.name, f"file://{secret}", f"http://127.0.0.1:{port}/a.mp4")
    ]
    lists += [f"ffconcat version 1.0\nfile {target}\n" for target in (secret.name, f"http://127.0.0.1:{port}/a.mp4")]
    for text in lists:
        path = render_text(tmp_path / name, text)
        assert code_of(path) in ("blocked", "unsupported", "no_video", "damaged")
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
    (tmp_path / "img001.png").write_bytes(encode_image(np.zeros((8, 8, 3), np.uint8)))
    assert code_of(tmp_path / "img%03d.png") == "not_found"


def test_what_is_no_file(tmp_path: Path) -> None:
    assert code_of(tmp_path / "none.mp4") == "not_found"
    assert code_of(tmp_path) == "not_a_file"
    (tmp_path / "empty.mp4").touch()
    assert code_of(tmp_path / "empty.mp4") == "empty"


def test_pipes_and_devices_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path("/dev/zero")):
        script = f"from captioner.video import sample_frames\nsample_frames({str(path)!r})"
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
    size = (8192, 4112)  # one row of blocks more than is decoded
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


def test_flipped_bytes_never_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name in ("a.mp4", "a.avi", "a.mkv"):
        data = bytearray(render_clip(tmp_path / name, frames=24).read_bytes())
        for _ in range(15):
            mutant = bytearray(data)
            for place in rng.integers(len(mutant), size=8):
                mutant[place] ^= 1 << int(rng.integers(8))
            (tmp_path / f"m{name}").write_bytes(mutant)
            try:
                frames = sample_frames(tmp_path / f"m{name}", timeout_seconds=20)
                assert 1 <= len(frames.pixels) <= 16
            except VideoError as error:
                assert error.code in ("damaged", "unsupported", "no_video", "too_large")


def test_broken_files_each_say_what_is_wrong(tmp_path: Path, server: tuple[int, list[object]]) -> None:
    port, visitors = server
    paths = broken_files(tmp_path, port=port)
    assert len({path.read_bytes() for path in paths}) == 30
    codes = {path.name: code_of(path) for path in paths}
    assert {"empty", "blocked", "damaged", "no_video", "unsupported", "too_large"} <= set(codes.values())
    assert {code for name, code in codes.items() if name.startswith(("playlist", "script"))} == {"blocked"}
    assert {code for name, code in codes.items() if "bomb" in name or "huge" in name} == {"too_large"}
    assert visitors == []
