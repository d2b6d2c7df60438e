"""The page with its tabs."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like

from captioner import Captioner
from demo import strings
from demo.api import endpoints
from demo.components.player import render_samples
from demo.engine import Engine
from demo.limits import Limits
from demo.tabs.actions import actions_tab
from demo.tabs.anomalies import anomalies_tab
from demo.tabs.batch import batch_tab
from demo.tabs.caption import caption_tab
from demo.tabs.compare import compare_tab
from demo.tabs.evaluate import evaluate_tab
from demo.tabs.timeline import timeline_tab


def build(captioners: Mapping[str, Captioner], *, limits: Limits) -> gr.Blocks:
    """The whole demo over one or more checkpoints, by name."""
    engine = Engine(captioners, limits=limits)
    clips, films, folder = render_samples()
    with gr.Blocks(
        title=strings.TITLE, analytics_enabled=False, delete_cache=(min(60, limits.keep_seconds), limits.keep_seconds)
    ) as page:
        gr.HTML(_head(limits), elem_id="cap-head", js_on_load=None, apply_default_css=False)
        with gr.Tabs():
            with gr.Tab(strings.TAB_CAPTION, id="caption"):
                caption = caption_tab(engine, samples=clips)
            with gr.Tab(strings.TAB_ACTIONS, id="actions"):
                actions_tab(engine, samples=clips)
            with gr.Tab(strings.TAB_ANOMALIES, id="anomalies"):
                anomalies_tab(limits)
            with gr.Tab(strings.TAB_TIMELINE, id="timeline"):
                timeline = timeline_tab(engine, samples=films)
            with gr.Tab(strings.TAB_BATCH, id="batch"):
                batch_tab(engine)
            with gr.Tab(strings.TAB_COMPARE, id="compare"):
                compare_tab(engine, samples=clips)
            with gr.Tab(strings.TAB_EVALUATE, id="evaluate"):
                evaluate_tab(limits)
        gr.HTML(f"<p>{escape(strings.ABOUT)}</p>", elem_id="cap-foot", js_on_load=None, apply_default_css=False)
        endpoints(engine, caption=caption, timeline=timeline)
    for block in page.blocks.values():
        _refuse_addresses(block)
    page.queue(max_size=limits.waiting, api_open=False)
    weakref.finalize(page, _close, engine, folder)
    return page


def _head(limits: Limits) -> str:
    privacy = strings.PRIVACY.format(minutes=limits.keep_seconds / 60)
    size = strings.LIMITS.format(megabytes=limits.upload_megabytes, minutes=limits.clip_minutes)
    return f'<h1>{strings.TITLE}</h1><p class="cap-lead">{strings.LEAD}</p><p>{privacy} {size}</p>'


def _refuse_addresses(block: Any) -> None:
    """Gradio fetches a file that a request names by its address, for any component: here nothing is fetched."""
    move = block.async_move_resource_to_block_cache

    async def moved(resource: Any) -> Any:
        if resource is not None and is_http_url_like(str(resource)):
            raise gr.Error(strings.NO_ADDRESS, print_exception=False)
        return await move(resource)

    block.async_move_resource_to_block_cache = moved


def _close(engine: Engine, folder: Any) -> None:
    engine.close()
    folder.cleanup()
