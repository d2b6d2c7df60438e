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
from demo.components.result import refused
from demo.components.samples import render_samples
from demo.components.wiring import QUIET, area
from demo.engine import Engine
from demo.finder import Finder, Source
from demo.limits import Limits
from demo.tabs.actions import actions_tab
from demo.tabs.anomalies import anomalies_tab
from demo.tabs.batch import batch_tab
from demo.tabs.caption import caption_tab
from demo.tabs.compare import compare_tab
from demo.tabs.evaluate import evaluate_tab
from demo.tabs.find import find_tab, linked
from demo.tabs.timeline import timeline_tab
from demo.visit.shelf import Shelf, Tab


def build(captioners: Mapping[str, Captioner], *, limits: Limits, source: Source) -> gr.Blocks:
    """The whole demo over one or more checkpoints, by name; the Find tab searches ``source``."""
    engine = Engine(captioners, limits=limits)
    shelf = Shelf(seconds=limits.keep_seconds)
    clips, films, folder = render_samples()
    gr.set_static_paths(folder.name)
    samples = [sample.path for sample in clips]
    finder = Finder(engine.indexer, source=source, samples=samples, shelf=shelf, limits=limits)
    with gr.Blocks(
        title=strings.TITLE, analytics_enabled=False, delete_cache=(min(60, limits.keep_seconds), limits.keep_seconds)
    ) as page:
        area(_head(limits), elem_id="cap-head")
        gone = area()
        corrections = gr.State({})
        with gr.Tabs() as tabs:
            with gr.Tab(strings.TAB_CAPTION, id="caption"):
                caption = caption_tab(engine, samples=clips, shelf=shelf, corrections=corrections)
            with gr.Tab(strings.TAB_ACTIONS, id="actions"):
                actions = actions_tab(engine, samples=clips, shelf=shelf)
            with gr.Tab(strings.TAB_ANOMALIES, id="anomalies"):
                anomalies = anomalies_tab(engine, shelf=shelf)
            with gr.Tab(strings.TAB_TIMELINE, id="timeline"):
                timeline = timeline_tab(engine, samples=films, shelf=shelf, corrections=corrections)
            with gr.Tab(strings.TAB_FIND, id="find"):
                found = find_tab(finder, engine)
            with gr.Tab(strings.TAB_BATCH, id="batch"):
                batch = batch_tab(engine, shelf=shelf, corrections=corrections)
            with gr.Tab(strings.TAB_COMPARE, id="compare"):
                compare = compare_tab(engine, samples=clips, shelf=shelf, corrections=corrections)
            with gr.Tab(strings.TAB_EVALUATE, id="evaluate"):
                evaluate = evaluate_tab(limits, shelf=shelf)
        _show_what_the_address_names(
            page,
            corrections,
            [caption, actions, anomalies, timeline, batch, compare, evaluate],
            tabs=tabs,
            gone=gone,
            shelf=shelf,
            minutes=limits.keep_seconds / 60,
        )
        _show_what_a_link_finds(page, finder, [tabs, *found])
        area(f"<p>{escape(strings.ABOUT)}</p>", elem_id="cap-foot")
        endpoints(engine, finder, caption=caption.request, timeline=timeline.request)
    for block in page.blocks.values():
        _refuse_addresses(block)
    page.queue(max_size=limits.waiting, api_open=False)
    weakref.finalize(page, _close, engine, finder, folder)
    return page


def _show_what_the_address_names(
    page: gr.Blocks,
    corrections: gr.State,
    kinds: list[Tab],
    *,
    tabs: gr.Tabs,
    gone: gr.HTML,
    shelf: Shelf,
    minutes: float,
) -> None:
    """``?result=NAME`` shows a result again, in its tab."""

    def restore(visitor: gr.Request) -> dict[Any, Any]:
        name = dict(visitor.query_params).get("result")
        if not name:
            return {gone: gr.skip()}
        kept = shelf.get(str(name))
        if kept is None:
            return {gone: refused(strings.GONE.format(minutes=minutes))}
        kind = next(kind for kind in kinds if kind.id == kept.tab)
        shown = dict(zip(kind.restored, kept.values, strict=True))
        return {tabs: gr.Tabs(selected=kind.id), corrections: kept.corrections, **shown}

    outputs = [gone, tabs, corrections, *(component for kind in kinds for component in kind.restored)]
    page.load(restore, None, outputs, **QUIET)


def _show_what_a_link_finds(page: gr.Blocks, finder: Finder, outputs: list[Any]) -> None:
    """``?q=a dog`` opens the Find tab with what the query finds."""

    def search(visitor: gr.Request) -> Any:
        query = dict(visitor.query_params).get("q")
        if not query:
            return [gr.skip()] * len(outputs)
        return gr.Tabs(selected="find"), *linked(finder, str(query), visitor=str(visitor.session_hash))

    page.load(search, None, outputs, show_progress="hidden", api_visibility="private")


def _head(limits: Limits) -> str:
    privacy = strings.PRIVACY.format(minutes=limits.keep_seconds / 60)
    size = strings.LIMITS.format(megabytes=limits.upload_megabytes, minutes=limits.clip_minutes)
    visit = f'<details class="cap-visit" hidden><summary>{strings.VISIT}</summary><ul></ul></details>'
    return f'<h1>{strings.TITLE}</h1><p class="cap-lead">{strings.LEAD}</p><p>{privacy} {size}</p>{visit}'


def _refuse_addresses(block: Any) -> None:
    """Gradio fetches a file that a request names by its address, for any component: here nothing is fetched."""
    move = block.async_move_resource_to_block_cache

    async def moved(resource: Any) -> Any:
        if resource is not None and is_http_url_like(str(resource)):
            raise gr.Error(strings.NO_ADDRESS, print_exception=False)
        return await move(resource)

    block.async_move_resource_to_block_cache = moved


def _close(engine: Engine, finder: Finder, folder: Any) -> None:
    engine.close()
    finder.close()
    folder.cleanup()
