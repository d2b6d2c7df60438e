"""The player that takes an upload, and the samples beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from captioner.errors import CaptionerError
from captioner.setup.sample import SHOTS, render_sample
from data.shapes import Scene, draw, look, write_clip
from demo import strings

SIDE = 288
SCENES = (
    Scene(shape="circle", colour="red", motion="moves left", count=2),
    Scene(shape="cross", colour="blue", motion="spins", count=1),
    Scene(shape="triangle", colour="yellow", motion="grows", count=3),
    Scene(shape="square", colour="green", motion="moves right", count=1),
)


def player(elem_id: str) -> gr.Video:
    """A place to drop a video. No ``format`` and no webcam: either would run ffmpeg on the upload."""
    return gr.Video(label=strings.VIDEO, sources=["upload"], include_audio=True, elem_id=elem_id, height=320)


def samples_of(video: gr.Video, samples: dict[str, Path], *, elem_id: str) -> Callable[..., Any] | None:
    """Samples to be chosen in place of an upload; returns what to do once one has been, None where there is none."""
    if not samples:
        return None
    examples = gr.Examples(
        [[str(path)] for path in samples.values()],
        [video],
        label=strings.SAMPLES,
        example_labels=list(samples),
        elem_id=elem_id,
        api_visibility="private",
    )
    then: Callable[..., Any] = examples.load_input_event.then
    return then


def render_samples() -> tuple[dict[str, Path], dict[str, Path], tempfile.TemporaryDirectory[str]]:
    """Short clips, and a film of several shots, by what a visitor reads; and the folder they live in, to be closed.

    Of photographs where the package that brings them is installed; drawn otherwise.
    """
    folder = tempfile.TemporaryDirectory(prefix="captioner-samples-")
    film = Path(folder.name) / "film.mp4"
    try:
        clips = {
            strings.SAMPLE_NAMES[shot.name]: render_sample(Path(folder.name) / f"{shot.name}.mp4", [shot])
            for shot in SHOTS
        }
        render_sample(film)
        count = len(SHOTS)
    except CaptionerError:
        clips, count = _draw(Path(folder.name), film), len(SCENES)
    return clips, {strings.SAMPLE_FILM.format(count=count): film}, folder


def _draw(folder: Path, film: Path) -> dict[str, Path]:
    clips, shots = {}, []
    for number, scene in enumerate(SCENES, start=1):
        frames = draw(scene, look(scene, np.random.default_rng(number - 1), size=SIDE))
        path = clips[strings.SAMPLE_DRAWN.format(number=number)] = folder / f"drawing-{number}.mp4"
        write_clip(path, np.concatenate([frames, frames[::-1]]) if scene.motion == "spins" else frames)
        shots.append(np.repeat(frames, 2, axis=0))
    write_clip(film, np.concatenate(shots))
    return clips
