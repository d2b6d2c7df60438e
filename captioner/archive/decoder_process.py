"""The decoding process itself: a hostile file may hang or crash it without harm to the run.

It answers requests on stdin with frames on stdout, as JSON headers and raw pixels. The parent never runs anything that
comes out of it (no pickle), even where a file takes over the child.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import struct
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np

from captioner.caption.segments import Span, segment_frames
from captioner.config import from_dict
from captioner.errors import CaptionerError, VideoError
from captioner.io.platform import die_with_parent
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames

_LENGTHS = struct.Struct("<II")
_MAX_HEADER = 1 << 20
_MAX_BODY = 1 << 31


def send(stream: BinaryIO, header: dict[str, Any], body: memoryview | bytes = b"") -> None:
    """One message: JSON values, and bytes that belong to them."""
    text = json.dumps(header).encode()  # ASCII: names that are not UTF-8 travel as escaped surrogates
    stream.write(_LENGTHS.pack(len(text), len(body)) + text)
    stream.write(body)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytearray] | None:
    """The next message, or None where the other side has gone; raises ValueError on what is no message."""
    lengths = _read(stream, _LENGTHS.size)
    if lengths is None:
        return None
    size, body_size = _LENGTHS.unpack(lengths)
    if size > _MAX_HEADER or body_size > _MAX_BODY:
        raise ValueError("not a message")
    text = _read(stream, size)
    body = _read(stream, body_size)
    if text is None or body is None:
        return None
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("not a message")
    return header, body


def _read(stream: BinaryIO, size: int) -> bytearray | None:
    data = bytearray(size)
    view, filled = memoryview(data), 0
    while filled < size:
        count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            return None
        filled += count
    return data


def pack_frames(span: Span, frames: Frames) -> tuple[dict[str, Any], memoryview]:
    """A part of a clip as a message."""
    pixels = np.ascontiguousarray(frames.pixels)
    values = {name: value for name, value in vars(frames).items() if name != "pixels"}
    return {"span": asdict(span), "shape": list(pixels.shape), **values}, pixels.reshape(-1).data.cast("B")


def unpack_frames(header: dict[str, Any], body: bytearray, *, size: int) -> tuple[Span, Frames]:
    """The part of a clip that a message holds; raises ValueError, TypeError or KeyError if it does not hold one."""
    values = dict(header)
    span, shape = Span(**values.pop("span")), tuple(values.pop("shape"))
    times, warnings = tuple(map(float, values.pop("times_seconds"))), tuple(map(str, values.pop("warnings")))
    if shape[1:] != (size, size, 3) or shape[0] != len(times) or not times:
        raise ValueError(f"frames of shape {shape}")
    pixels = np.frombuffer(body, np.uint8).reshape(shape)
    return span, Frames(pixels=pixels, times_seconds=times, warnings=warnings, **values)


def serve() -> None:
    """Answer requests until the parent has gone."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # a library's output must not come among the answers
    die_with_parent()
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting.put), daemon=True).start()
    _warm_up()
    send(answers, {"ready": os.getpid()})
    while True:
        _answer(answers, waiting.get())


def _listen(requests: BinaryIO, put: Callable[[dict[str, Any]], None]) -> None:
    while (message := receive(requests)) is not None:
        put(message[0])
    os._exit(0)  # even in the middle of a file


def _warm_up() -> None:
    """Import what the first file needs: torch, for its scaler, takes longer than many a clip."""
    from captioner.video.frames import resize_frame

    with contextlib.suppress(ImportError):  # captioner-runtime has none
        import torch

        torch.set_num_threads(1)
    resize_frame(np.zeros((8, 8, 3), np.uint8), size=16, how="squash")


def _answer(answers: BinaryIO, request: dict[str, Any]) -> None:
    try:
        parts = segment_frames(
            request["path"],
            from_dict(VideoConfig, request["video"]),
            segments=request["segments"],
            start_seconds=request["start_seconds"],
            end_seconds=request["end_seconds"],
            timeout_seconds=request["timeout_seconds"],
        )
        for span, frames in parts:
            send(answers, *pack_frames(span, frames))
        send(answers, {"end": True})
    except VideoError as error:
        send(answers, {"error": str(error), "code": error.code})
    except CaptionerError as error:
        send(answers, {"error": str(error), "code": None})
    except MemoryError:
        send(answers, {"error": f"{request['path']} needs more memory than is available", "code": "too_large"})
    except BrokenPipeError:
        os._exit(0)
    except Exception as error:  # a library's surprise at a hostile file is that file's failure
        if os.environ.get("CAPTIONER_DEBUG"):
            import traceback

            traceback.print_exc()
        what = f"{request['path']} cannot be decoded ({type(error).__name__}: {error})"
        send(answers, {"error": what, "code": "damaged"})
