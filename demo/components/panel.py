"""The folded settings, as components and as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_type_hints

import gradio as gr

from captioner.config import Setting
from captioner.language.config import SearchConfig
from demo import strings
from demo.engine import Engine, Settings, Strategy, sliders

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
            search = [_slider(said, default.search[name]) for name, said in sliders().items()]
            frames = gr.Slider(1, MOST_FRAMES, default.frames, step=1, label=strings.FRAMES, info=strings.FRAMES_INFO)
        with gr.Row(visible=span):
            start = gr.Number(0, label=strings.START, minimum=0)
            end = gr.Number(0, label=strings.END, info=strings.END_INFO, minimum=0)
    return Panel([chosen, how, *search, frames, start, end])


def _slider(said: Setting, value: float | None) -> gr.Slider:
    assert said.slider is not None
    label, low, high, step = said.slider
    return gr.Slider(low, high, value, step=step, label=label, info=said.help[0].upper() + said.help[1:])


def settings(model: str, strategy: Any, *values: Any) -> Settings:
    """The value of a panel, in the order of its components; an end of 0 is the end of the video."""
    *search, frames, start, end = values
    kinds = get_type_hints(SearchConfig)
    named = zip(sliders(), search, strict=True)
    return Settings(
        model=model or "",
        strategy=strategy,
        search={name: None if value is None else kinds[name](value) for name, value in named},
        frames=int(frames),
        start_seconds=start or None,
        end_seconds=end or None,
    )
