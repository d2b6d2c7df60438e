"""Checks what captioning needs; the last check makes a caption."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import av
import numpy as np

from captioner import __version__
from captioner.archive.pool import DecodeJob, DecodePool
from captioner.errors import CaptionerError
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames

if TYPE_CHECKING:
    from captioner.caption.captioner import Captioner
    from captioner.runtime.runner import Runner

_NEEDED = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "mjpeg", "gif", "png")
_EXTRAS = {
    "web": "gradio",
    "eval": "jinja2",
    "search": "optuna",
    "onnx": "onnxruntime",
    "ray": "ray",
    "parquet": "pyarrow",
    "watch": "watchfiles",
    "timm": "timm",
    "meteor": "pycocoevalcap",
    "tensorboard": "tensorboard",
}
"""The package that each extra of pyproject.toml is for; those of developers are left out."""


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was looked at, what was found, and whether captioning can do with it."""

    name: str
    detail: str
    ok: bool = True


def examine(model: str | Path | None = None) -> Iterator[Finding]:
    """Every finding, as it is made; takes a few seconds, most of them to load torch."""
    with DecodePool(workers=1) as pool:  # its child starts meanwhile
        yield from _installed("captioner")
        yield _extras()
        yield _checked("torch", _torch)
        loaded: list[Captioner] = []
        yield _checked("checkpoint", lambda: _checkpoint(model, loaded))
        yield from _captioned(pool, loaded)
        if loaded:
            yield _checked("speed", lambda: _speed(loaded[0]))


def examine_without_torch(folder: str | Path | None = None) -> Iterator[Finding]:
    """The same of captioner-runtime: its export in place of torch and a checkpoint."""
    with DecodePool(workers=1) as pool:
        yield from _installed("captioner-runtime")
        yield _checked("onnxruntime", lambda: version("onnxruntime"))
        loaded: list[Runner] = []
        yield _checked("export", lambda: _export(folder, loaded))
        yield from _captioned(pool, loaded)


def _installed(name: str) -> Iterator[Finding]:
    python = f"Python {platform.python_version()}, {platform.platform()}"
    yield Finding(name=name, detail=f"{__version__}, {python}")
    yield Finding(name="av", detail=f"{version('av')}, FFmpeg's {_libraries()}")
    yield _codecs()


def _captioned(pool: DecodePool, loaded: Sequence[Captioner | Runner]) -> Iterator[Finding]:
    yield _checked("decoding process", lambda: _child(pool))
    if loaded:
        yield _checked("caption", lambda: _caption(loaded[0]))


def _export(folder: str | Path | None, loaded: list[Runner]) -> str:
    from captioner.runtime.runner import DEFAULT, Runner

    loaded.append(Runner(folder))
    place = Path(folder or DEFAULT)
    size = sum(file.stat().st_size for file in place.iterdir()) / 1e6
    return f"{loaded[0].fingerprint} in {place}, {size:.1f} MB"


def _checked(name: str, find: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, detail=find())
    except CaptionerError as error:
        return Finding(name=name, detail=str(error), ok=False)
    except Exception as error:  # any fault of the installation is a finding
        return Finding(name=name, detail=f"{type(error).__name__}: {error}", ok=False)


def _torch() -> str:
    import torch

    from captioner.archive.engine import cores
    from captioner.vision.precision import can_fuse, fast_dtype

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {cores()} cores"
    fused = ", fused convolutions" if can_fuse(device, fast_dtype(device)) else ""
    return f"{torch.__version__}, {where}, computes in {str(fast_dtype(device)).removeprefix('torch.')}{fused}"


def _libraries() -> str:
    names = ("libavformat", "libavcodec", "libswscale")
    return ", ".join(f"{name[3:]} {'.'.join(map(str, av.library_versions[name]))}" for name in names)


def _codecs() -> Finding:
    missing = [name for name in _NEEDED if not _can_decode(name)]
    detail = f"all of {', '.join(_NEEDED)}" if not missing else f"missing: {', '.join(missing)}"
    return Finding(name="decoders", detail=detail, ok=not missing)


def _can_decode(name: str) -> bool:
    try:
        av.CodecContext.create(name, "r")
    except (av.FFmpegError, ValueError):
        return False
    return True


def _extras() -> Finding:
    def state(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    detail = ", ".join(f"{extra}: {package} {state(package)}" for extra, package in _EXTRAS.items())
    return Finding(name="extras", detail=detail)


def _checkpoint(model: str | Path | None, loaded: list[Captioner]) -> str:
    from captioner.caption.captioner import Captioner
    from captioner.checkpoint.captioning import checkpoint_folder

    folder = checkpoint_folder(model)
    loaded.append(Captioner.load(folder))
    checkpoint = loaded[0].checkpoint
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    confidence = "calibrated" if checkpoint.calibration else "not calibrated"
    return f"{checkpoint.fingerprint} in {folder}, {size:.1f} MB, whole; confidence {confidence}"


def _child(pool: DecodePool) -> str:
    with tempfile.TemporaryDirectory() as folder:
        job = DecodeJob(path=str(_render(Path(folder) / "clip.avi")), video=VideoConfig(frames=4, size=64))
        [(_, frames)] = pool.decode(job)
    return f"starts and decodes: {len(frames.pixels)} frames of a rendered clip"


def _caption(captioner: Captioner | Runner) -> str:
    with tempfile.TemporaryDirectory() as folder:
        clip = _render(Path(folder) / "clip.avi")
        began = time.monotonic()
        caption = captioner.caption(clip)
    if not caption.text or not np.isfinite(caption.score):
        raise CaptionerError(f"the caption of a test clip is {caption.text!r}, its score {caption.score}")
    return f"{caption.text!r} of that clip, in {time.monotonic() - began:.1f} s"


def _speed(captioner: Captioner) -> str:
    """What a clip takes on this machine, and why; measured in about a second."""
    import torch

    from captioner.caption.clips import EncodedClip
    from captioner.vision.precision import dead_leaves, fast_dtype

    count, size = captioner.video.frames, captioner.video.size
    frames = Frames.made(dead_leaves(count, height=size, width=size).numpy())
    captioner.encode(frames)  # makes itself ready
    seconds, features = _timed(lambda: captioner.encode(frames))
    sentence, _ = _timed(lambda: captioner.caption_encoded([EncodedClip(frames, features)]))
    device = captioner.device
    dtype = str(fast_dtype(device)).removeprefix("torch.")
    why = f"on {torch.cuda.get_device_name()}" if device.type == "cuda" else _instructions(dtype)
    each = f"{1000 * seconds / count:.1f} ms a frame and {1000 * sentence:.0f} ms a sentence"
    return (
        f"{seconds + sentence:.2f} s a clip of {count} frames, without decoding: {each} "
        f"({dtype}, {why}, {torch.get_num_threads()} threads)"
    )


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """The shorter of two runs, and what came of it."""
    took = []
    for _ in range(2):
        began = time.perf_counter()
        result = work()
        took.append(time.perf_counter() - began)
    return min(took), result


def _instructions(dtype: str) -> str:
    """The processor's widest instructions that torch uses, and what they mean for the precision."""
    import torch

    widest = torch.backends.cpu.get_cpu_capability()
    if dtype == "bfloat16":
        return f"{widest} with bfloat16"
    slower = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return f"{widest}, " + ("where bfloat16 is ruled out or slower" if slower else "without bfloat16")


def _render(path: Path) -> Path:
    """A second of a square that moves, MPEG-4 in AVI: every FFmpeg can write that."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(12):
            pixels = np.full((120, 160, 3), 40, np.uint8)
            pixels[40:80, 10 * number : 10 * number + 40] = (220, 60, 40)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode(None))
    return path
