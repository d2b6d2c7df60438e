"""Clips in every container and codec that videos come in: what :func:`tests.media.render_clip` is told for each."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av

from tests.media import render_clip


def _x264(parameters: str) -> dict[str, str]:
    return {"x264-params": f"{parameters}:scenecut=0:threads=1", "preset": "medium"}


_OPEN_GOP = {"codec_options": _x264("open-gop=1:bframes=3:b-pyramid=normal")}
_HIDDEN = {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16"}

BY_KEYFRAME: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "h264.mkv": {},
    "every-frame-a-key.mp4": {"gop": 1},
    "one-key.mp4": {"gop": 250},
    "no-b.mp4": {"bframes": 0},
    "open-gop.mp4": _OPEN_GOP,
    "pyramid.mkv": {"codec_options": _x264("bframes=5:b-pyramid=normal:ref=4")},
    "interlaced.mp4": {"codec_options": _x264("tff=1:bframes=2")},
    "444.mp4": {"pixel_format": "yuv444p"},
    "10-bit.mkv": {"pixel_format": "yuv420p10le"},
    "hevc.mp4": {"codec": "libx265"},
    "hevc.mkv": {"codec": "libx265", "bframes": 4},
    "hevc-open-gop.mp4": {
        "codec": "libx265",
        "codec_options": {"x265-params": "log-level=none:bframes=4:open-gop=1:scenecut=0:pools=1:keyint=12"},
    },
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp9-hidden-frames.webm": {"codec": "libvpx-vp9", "codec_options": _HIDDEN},
    "vp9.mp4": {"codec": "libvpx-vp9"},
    "av1.mp4": {"codec": "libsvtav1"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mpeg4-no-b.avi": {"codec": "mpeg4", "bframes": 0},
    "h264-no-b.avi": {"bframes": 0},
    "mpeg2.mkv": {"codec": "mpeg2video"},
    "mjpeg.avi": {"codec": "mjpeg"},
    "mjpeg.mov": {"codec": "mjpeg"},
    "prores.mov": {"codec": "prores", "pixel_format": "yuv422p10le"},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "dash.mp4": {"container_options": {"movflags": "dash+frag_every_frame"}},
    "fast-start.mp4": {"container_options": {"movflags": "faststart"}},
    "late-start.mp4": {"start": 37},
    "late-start.mkv": {"start": 37},
    "no-edit-list.mp4": {"start": 37, "container_options": {"use_editlist": "0"}},
    "negative-offsets.mp4": {"container_options": {"movflags": "negative_cts_offsets"}},
    "odd-times.mp4": {"times": [i * i for i in range(96)]},
    "odd-times.webm": {"codec": "libvpx-vp9", "times": [3 * i + i % 3 for i in range(96)]},
    "gap.mp4": {"times": [i + 500 * (i > 40) for i in range(96)]},
    "turned-90.mp4": {"rotation": 90},
    "turned-180.mov": {"rotation": 180},
    "turned-270.mkv": {"rotation": 270},
    "sound.mp4": {"audio": True},
    "sound.mkv": {"audio": True},
    "sound.webm": {"codec": "libvpx-vp9", "audio": True},
}
"""Those whose container has an index and whose keyframes start afresh: no need to decode all of them."""

OTHERS: dict[str, dict[str, Any]] = {
    "refresh-without-keys.mp4": {"codec_options": _x264("intra-refresh=1:bframes=0")},
    "h264.ts": {},
    "open-gop.ts": _OPEN_GOP,
    "hevc.ts": {"codec": "libx265"},
    "mpeg2.ts": {"codec": "mpeg2video"},
    "sound.ts": {"audio": True},
    "late-start.ts": {"start": 37},
    "gap.ts": {"times": [i + 500 * (i > 40) for i in range(96)]},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "mpeg1.mpg": {"codec": "mpeg1video"},
    "h264.flv": {},
    "flash.flv": {"codec": "flv"},
    "wmv.asf": {"codec": "wmv2"},
    "vp8.webm": {"codec": "libvpx"},
    "vp8-hidden-frames.webm": {"codec": "libvpx", "codec_options": _HIDDEN},
    "mpeg4.avi": {"codec": "mpeg4"},
    "h264.avi": {},
    "ffv1.mkv": {"codec": "ffv1"},
    "huffyuv.avi": {"codec": "huffyuv", "pixel_format": "rgb24"},
    "animation.mov": {"codec": "qtrle", "pixel_format": "rgb24"},
    "raw.avi": {"codec": "rawvideo", "pixel_format": "bgr24"},
    "mpeg2.mxf": {"codec": "mpeg2video", "size": (720, 576), "rate": 25},
    "camcorder.dv": {"codec": "dvvideo", "size": (720, 576), "rate": 25, "pixel_format": "yuv420p", "format": "dv"},
    "real.rm": {"codec": "rv20", "size": (176, 144)},
    "h263.3gp": {"codec": "h263", "size": (128, 96)},
    "msmpeg4.avi": {"codec": "msmpeg4"},
    "animation.gif": {"codec": "gif"},
    "animation.png": {"codec": "apng", "pixel_format": "rgb24", "format": "apng"},
    "vp9.ivf": {"codec": "libvpx-vp9", "format": "ivf"},
    "h264.h264": {"format": "h264"},
    "hevc.hevc": {"codec": "libx265", "format": "hevc"},
    "mpeg2.m2v": {"codec": "mpeg2video", "format": "mpeg2video"},
    "motion.mjpeg": {"codec": "mjpeg", "format": "mjpeg"},
}
"""Those that have no index, or whose keyframes lean on what came before."""

COUNTED = {"mpeg4.avi", "h264.avi", "h264.h264", "hevc.hevc", "motion.mjpeg"}
"""Those whose timestamps are missing or mean nothing."""

FRAMES = 96


def render_case(folder: Path, name: str, *, frames: int = FRAMES) -> Path:
    """The clip ``name`` of the tables above in ``folder``, rendered once for all tests."""
    (folder / name).write_bytes(_rendered(name, frames))
    return folder / name


@cache
def _rendered(name: str, frames: int) -> bytes:
    with TemporaryDirectory() as folder:
        clip = render_clip(Path(folder) / name, **{"frames": frames, **(BY_KEYFRAME | OTHERS)[name]})
        return clip.read_bytes()


def cut_by_edit_list(path: Path, *, skip: int) -> Path:
    """An MP4 whose edit list hides the first ``skip`` frames, though they are needed to decode the others."""
    render_clip(path, frames=FRAMES, gop=30)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12  # its one entry: duration in milliseconds, first tick, speed
    duration, first = struct.unpack_from(">Ii", data, at)
    with av.open(str(path)) as container:
        frame_ticks = round(1 / (24 * container.streams.video[0].time_base))
    struct.pack_into(">Ii", data, at, duration - round(skip * 1000 / 24), first + skip * frame_ticks)
    path.write_bytes(data)
    return path


def copied_to_avi(source: Path, path: Path) -> Path:
    """The H.264 packets of ``source`` in an AVI, as ``ffmpeg -c copy`` puts them there: in the order of decoding."""
    with av.open(str(source)) as container, av.open(str(path), "w") as out:
        stream = container.streams.video[0]
        target = out.add_stream_from_template(stream)
        to_avi = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in container.demux(stream):
            for converted in to_avi.filter(packet) if packet.dts is not None else ():
                converted.stream = target
                out.mux(converted)
    return path


def retimed(source: Path, path: Path, pts: Callable[[int], int]) -> Path:
    """The packets of ``source`` in another file, each with the timestamp that ``pts`` makes of its own; no B-frames."""
    with av.open(str(source)) as container, av.open(str(path), "w") as out:
        stream = container.streams.video[0]
        target = out.add_stream_from_template(stream)
        for packet in container.demux(stream):
            if packet.size:
                packet.pts = packet.dts = pts(packet.pts)
                packet.stream = target
                out.mux(packet)
    return path
