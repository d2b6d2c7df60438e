"""Thirty files that cannot be captioned, each broken in a way of its own, rendered by the tests themselves."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.media import encode_image, frame_pixels, render_audio_only, render_clip, render_text

Writer = Callable[[Path], object]


def broken_files(folder: str | Path, *, port: int = 9) -> list[Path]:
    """Write thirty files into ``folder`` (made if need be), sorted by name: no two alike, each gives a ``VideoError``.

    All are regular files with the suffix of a video, so that a folder's listing finds them; some have odd names.
    The playlists among them point at a good clip, ``decoy/secret.mp4`` in ``folder``, and at ``port`` on loopback.
    """
    folder = Path(folder)
    (folder / "decoy").mkdir(parents=True, exist_ok=True)
    secret = render_clip(folder / "decoy" / "secret.mp4", frames=12)
    paths = [folder / name for name in BROKEN | _PLAYLISTS]
    for name, write in BROKEN.items():
        write(folder / name)
    for name, text in _PLAYLISTS.items():
        render_text(folder / name, text.format(secret=secret, port=port))
    return sorted(paths)


def no_index(path: Path) -> None:
    """A recording that was cut off: the table of contents, which an MP4 has at its end, is missing."""
    whole = _clip(path)
    path.write_bytes(whole[: whole.index(b"moov") - 4])


def no_data(path: Path) -> None:
    """A whole table of contents, and zeros where the frames should be."""
    whole = _clip(path, container_options={"movflags": "faststart"})
    start = whole.index(b"mdat") + 4
    path.write_bytes(whole[:start] + bytes(len(whole) - start))


def head_only(path: Path, *, keep: int = 300) -> None:
    """The first bytes of a clip, before any frame."""
    codec = {".webm": "libvpx", ".flv": "flv", ".ts": "mpeg2video"}.get(path.suffix, "libx264")
    path.write_bytes(_clip(path, codec=codec)[:keep])


def unknown_codec(path: Path) -> None:
    """A codec that nobody has written."""
    path.write_bytes(_clip(path).replace(b"avc1", b"zzz9").replace(b"avcC", b"free"))


def huge_in_header(path: Path) -> None:
    """A clip of 64 x 48 pixels whose header says 16,000 x 16,000, in a codec that relies on the header."""
    whole = bytearray(_clip(path, codec="ffv1", pixel_format="yuv420p"))
    struct.pack_into("<ii", whole, whole.index(b"strf") + 12, 16_000, 16_000)
    path.write_bytes(whole)


def png_bomb(path: Path, *, width: int = 16_000, height: int = 16_000) -> None:
    """A real black picture of 256 million pixels in 100 kB."""
    rows = zlib.compress(bytes(1 + (width + 7) // 8) * height, 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b""))


def bmp_bomb(path: Path) -> None:
    """A picture whose header alone says 16,000 x 16,000."""
    data = bytearray(encode_image(frame_pixels(1), codec="bmp", pixel_format="bgr24"))
    struct.pack_into("<ii", data, 18, 16_000, 16_000)
    path.write_bytes(data)


def gif_bomb(path: Path) -> None:
    """An animation with a screen of 65,535 x 65,535."""
    data = bytearray(encode_image(frame_pixels(2), codec="gif", pixel_format="rgb8"))
    struct.pack_into("<HH", data, 6, 0xFFFF, 0xFFFF)
    path.write_bytes(data)


def jpeg_bomb(path: Path) -> None:
    """A photo whose header says 65,000 x 65,000."""
    data = bytearray(encode_image(frame_pixels(3), codec="mjpeg", pixel_format="yuvj420p"))
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 65_000, 65_000)
    path.write_bytes(data)


def half_picture(path: Path) -> None:
    """A photo that ends in its headers."""
    data = encode_image(frame_pixels(4), codec="mjpeg", pixel_format="yuvj420p")
    path.write_bytes(data[: data.index(b"\xff\xda")])


def audio(path: Path) -> None:
    render_audio_only(path)


def song(path: Path) -> None:
    """An MP3 that calls itself a video."""
    path.write_bytes(render_audio_only(path.with_suffix(".mp3"), seconds=0.5).read_bytes())
    path.with_suffix(".mp3").unlink()


def archive(path: Path) -> None:
    """A zip file with a clip in it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("clip.mp4", _clip(path.with_suffix(".tmp.mp4")))


def noise(path: Path, *, head: bytes = b"") -> None:
    path.write_bytes(head + np.random.default_rng(0).bytes(20_000))


def _clip(path: Path, **options: object) -> bytes:
    """The bytes of a clip of 24 frames, written at ``path`` for a moment."""
    render_clip(path, frames=24, **options)  # type: ignore[arg-type]
    data = path.read_bytes()
    path.unlink()
    return data


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


BROKEN: dict[str, Writer] = {
    "empty.mp4": lambda path: path.touch(),
    "one-byte.mp4": lambda path: path.write_bytes(b"\0"),
    "zeros.mp4": lambda path: path.write_bytes(bytes(20_000)),
    "noise.avi": noise,
    "noise-with-a-head.mkv": lambda path: noise(path, head=b"\x1a\x45\xdf\xa3"),
    "text.mp4": lambda path: render_text(path),
    "subtitles.mkv": lambda path: render_text(path, "1\n00:00:00,000 --> 00:00:02,000\nHello.\n"),
    "page.webm": lambda path: render_text(path, "<!DOCTYPE html><title>404</title><p>Not found"),
    "archive.mp4": archive,
    "audio.mp4": audio,
    "audio.mkv": audio,
    "song.mp4": song,
    "-no-index.mp4": no_index,
    "no data.mp4": no_data,
    "head.avi": lambda path: head_only(path, keep=60),
    "kopf-ü字.mkv": lambda path: head_only(path, keep=100),
    "a:b.webm": lambda path: head_only(path, keep=90),
    "img%03d.flv": lambda path: head_only(path, keep=13),
    "new\nline.ts": lambda path: head_only(path, keep=188),
    "unknown-codec.mp4": unknown_codec,
    "huge.avi": huge_in_header,
    "png-bomb.mp4": png_bomb,
    "bmp-bomb.avi": bmp_bomb,
    "gif-bomb.gif": gif_bomb,
    "jpeg-bomb.mov": jpeg_bomb,
    "half-picture.mp4": half_picture,
}
"""How to write each by name, except for the playlists."""

_PLAYLISTS = {
    "playlist.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n",
    "playlist-of-a-server.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.mp4\n",
    "script.avi": "ffconcat version 1.0\nfile '{secret}'\n",
    "script-of-a-server.mp4": "ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/a.mp4'\n",
}
