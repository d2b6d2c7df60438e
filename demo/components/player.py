"""The player: a video from the visitor's machine or from the samples, shown by the browser itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import gradio as gr
from gradio.utils import get_upload_folder

from captioner.errors import VideoError
from demo import strings
from demo.components.result import line, refused
from demo.components.samples import Sample
from demo.components.wiring import area
from demo.engine import Engine
from demo.limits import Refusal, told

ACCEPT = "video/*,image/*,.avi,.dv,.flv,.m2ts,.mkv,.mts,.mxf,.ogv,.rm,.ts,.wmv"


@dataclass(frozen=True)
class Player:
    """A player and what it holds."""

    held: gr.State
    """The path of the video in it; empty where there is none."""
    stage: gr.HTML
    note: gr.HTML
    """One line beside the player: what is wrong with a file, or with the browser."""
    opened: Any
    """``opened.then(...)``: once a video was dropped or a sample taken. ``held`` is empty where it was refused."""


_QUEUE: Final[dict[str, Any]] = {
    "concurrency_id": "opening",
    "concurrency_limit": 8,
    "show_progress": "hidden",
    "api_visibility": "private",
}


def player(
    elem_id: str, engine: Engine, *, samples: Sequence[Sample] = (), first: Sample | None = None, drops: bool = True
) -> Player:
    """Draw a player inside the running Blocks, with a gallery of samples; ``first`` is in it from the start.

    Where nothing can be dropped into it (``drops``), a handler puts :func:`shown` onto its stage.
    """
    with gr.Column(elem_id=elem_id, elem_classes="cap-player"):
        stage = area(_stage(first.path if first else None), events=("unplayable",))
        drop = area(_drop(engine), events=("opened",)) if drops else None
        note = area()
        if samples:
            area(_gallery(samples), elem_classes="cap-gallery")
    held = gr.State(str(first.path) if first else "")

    def put(event: gr.EventData) -> tuple[str, str, str]:
        try:
            path = _chosen(event, samples)
            engine.glance(path)
        except Exception as error:
            return "", _stage(None), refused(told(error))
        return str(path), _stage(path), ""

    def replay(event: gr.EventData, path: str) -> tuple[str, str]:
        """The browser cannot play it: a preview of its frames in its place, from the same moment."""
        try:
            preview = engine.preview(Path(path))
            return _stage(Path(path), preview=preview, at=event._data["at"]), line(strings.PREVIEW)
        except (VideoError, Refusal):
            return gr.skip(), line(strings.NO_PREVIEW)

    stage.unplayable(replay, held, [stage, note], **_QUEUE)
    opened = drop.opened(put, None, [held, stage, note], **_QUEUE) if drop else None
    return Player(held, stage, note, opened)


def shown(path: str, *, at: float | None = None) -> str:
    """The stage with one video in it, as HTML; it plays by itself from the moment ``at``."""
    return _stage(Path(path) if path else None, at=at)


def _chosen(event: gr.EventData, samples: Sequence[Sample]) -> Path:
    """The file of an event: a sample, or one that the browser has just uploaded and no other file of this machine."""
    if "sample" in event._data:
        return samples[int(event._data["sample"])].path
    path = Path(str(event._data["path"])).resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):
        raise Refusal(strings.NO_ADDRESS)
    return path


def _stage(path: Path | None, *, preview: Path | None = None, at: Any = None) -> str:
    if path is None:
        return f'<p class="cap-empty">{strings.NO_VIDEO}</p>'
    name = escape(strings.VIDEO_NAMED.format(name=path.name))
    what = f'data-preview data-file="{escape(str(preview))}"' if preview else f'data-file="{escape(str(path))}"'
    moment = "" if at is None else f' data-at="{float(at):.3f}"'
    return f'<video controls playsinline preload="auto" aria-label="{name}" {what}{moment}></video>'


def _drop(engine: Engine) -> str:
    megabytes = engine.limits.upload_megabytes
    words = {
        "most": megabytes * 2**20,
        "large": strings.FILE_TOO_LARGE.format(limit=megabytes),
        "broken": strings.UPLOAD_BROKEN,
        "uploading": strings.UPLOADING,
    }
    data = " ".join(f'data-{name}="{escape(str(value))}"' for name, value in words.items())
    return (
        f'<div class="cap-drop" {data}><label><input type="file" class="cap-hidden" accept="{ACCEPT}">'
        f'<span>{strings.DROP}</span></label><p class="cap-uploading" role="status" hidden></p></div>'
    )


def _gallery(samples: Sequence[Sample]) -> str:
    items = "".join(
        f'<li><button type="button" class="cap-sample" data-sample="{number}"><img src="{sample.picture}" alt="">'
        f"<span>{escape(sample.name)}</span></button></li>"
        for number, sample in enumerate(samples)
    )
    return f'<p class="cap-note">{strings.SAMPLES}</p><ul class="cap-samples" data-rove=".cap-sample">{items}</ul>'
