"""The folded settings, as components and as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo import strings
from demo.engine import Engine, Settings, Strategy

MOST_BEAMS = 20
MOST_FRAMES = 64


@dataclass(frozen=True)
class Panel:
    """The components of one set of settings, in the order of :func:`settings`."""

    components: list[Any]


def panel(
    engine: Engine,
    *,
    span: bool = True,
    opened: bool = False,
    label: str = strings.SETTINGS,
    model: str = "",
    strategy: Strategy = "beam",
) -> Panel:
    """Draw the settings, folded away unless ``opened``; ``span`` adds start and end."""
    default = engine.defaults()
    names = list(engine.captioners)
    with gr.Accordion(label, open=opened):
        chosen = gr.Dropdown(names, value=model or default.model, label=strings.MODEL, visible=len(names) > 1)
        how = gr.Radio(list(strings.STRATEGIES.items()), value=strategy, label=strings.STRATEGY)
        with gr.Row():
            beams = gr.Slider(1, MOST_BEAMS, default.beams, step=1, label=strings.BEAMS, info=strings.BEAMS_INFO)
            penalty = gr.Slider(
                0,
                2,
                default.length_penalty,
                step=0.1,
                label=strings.LENGTH_PENALTY,
                info=strings.LENGTH_PENALTY_INFO,
            )
            frames = gr.Slider(1, MOST_FRAMES, default.frames, step=1, label=strings.FRAMES, info=strings.FRAMES_INFO)
            least = gr.Slider(
                0,
                1,
                default.min_confidence,
                step=0.01,
                label=strings.MIN_CONFIDENCE,
                info=strings.MIN_CONFIDENCE_INFO,
            )
        with gr.Row(visible=span):
            start = gr.Number(0, label=strings.START, minimum=0)
            end = gr.Number(0, label=strings.END, info=strings.END_INFO, minimum=0)
    return Panel([chosen, how, beams, penalty, frames, least, start, end])


def settings(
    model: str,
    strategy: Any,
    beams: float,
    penalty: float,
    frames: float,
    least: float | None,
    start: float,
    end: float,
) -> Settings:
    """The value of a panel, in the order of its components; an end of 0 is the end of the video."""
    return Settings(
        model=model or "",
        strategy=strategy,
        beams=int(beams),
        length_penalty=float(penalty),
        frames=int(frames),
        min_confidence=None if least is None else float(least),
        start_seconds=start or None,
        end_seconds=end or None,
    )
