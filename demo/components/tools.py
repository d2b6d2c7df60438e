"""What can be done with captions: copy, correct, download, draw into the video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from captioner.caption.result import Caption
from captioner.outputs.writers import jsonl
from demo import strings
from demo.child import Child
from demo.components.downloads import files_of, links, stem
from demo.components.result import refused, said_aloud, working
from demo.components.runs import waiting
from demo.components.wiring import QUIET
from demo.engine import Engine
from demo.limits import Limits, Refusal, told
from demo.visit.correction import Corrections, Told
from demo.visit.shelf import Shelf
from demo.visit.uploads import swept_folder


def tools(result: Told, corrections: Corrections) -> str:
    """The row of buttons and links, as HTML; nothing where there are no captions."""
    if not result.captions:
        return ""
    text = "\n".join(caption.text for caption in result.captions)
    own = correct_button(result.captions[0], 0) if len(result.captions) == 1 else ""
    return (
        f'<div class="cap-tools"><button type="button" class="cap-copy" data-copy="{escape(text)}" '
        f'data-done="{strings.COPIED}">{strings.COPY}</button>{own}<button type="button" class="cap-burn">'
        f"{strings.BURN}</button>{links(files_of(result.captions), label=strings.DOWNLOAD)}</div>" + learnt(corrections)
    )


def learnt(corrections: Corrections) -> str:
    """The file of the visit's corrections, as HTML; nothing where there are none."""
    if not corrections:
        return ""
    note = strings.CORRECTIONS_NOTE.format(count=len(corrections))
    return links({"corrections.jsonl": "".join(corrections.values())}, label=note)


def kept(result: Told, tab: str) -> str:
    """What makes the browser note captions among the results of this visit, as HTML."""
    first = result.captions[0]
    return noted(result.name, tab=tab, file=first.path, said=first.told)


def noted(name: str, *, tab: str, file: str, said: str) -> str:
    """What makes the browser note the result of that name, as HTML."""
    title = strings.TITLE_OF.format(tab=tab, name=file, said=said)
    return f'<span hidden data-result="{name}" data-title="{escape(title)}"></span>'


def correct_button(caption: Caption, index: int, *, of: str = "") -> str:
    """A button that opens a line beside it, to write a better sentence in; ``of`` says which of several it is."""
    words = f'data-label="{strings.CORRECTION}" data-save="{strings.SAVE}" data-discard="{strings.DISCARD}"'
    name = f' aria-label="{escape(strings.CORRECT_OF.format(name=of))}"' if of else ""
    return (
        f'<button type="button" class="cap-correct" data-index="{index}" '
        f'data-said="{escape(caption.text)}"{name} {words}>{"✎" if of else strings.CORRECT}</button>'
    )


def wire_burn(button: Any, made: Any, engine: Engine, *, result: gr.State, held: gr.State) -> None:
    """Let the ``burn`` of ``button`` draw the captions into the video, and show in ``made`` how far that is."""

    def burn(result: Told, held: str) -> Iterator[str]:
        if not result.captions or not held:
            yield refused(strings.BURN_STALE)
            return
        try:
            with engine.films.join() as places:
                yield from waiting(places)
                yield from _burn(result, Path(held), engine.limits)
        except Exception as error:
            yield refused(told(error))

    button.burn(burn, [result, held], made, **QUIET)


def _burn(captions: Told, video: Path, limits: Limits) -> Iterator[str]:
    folder = swept_folder("captioner-burnt-")
    rows, out = folder / "captions.jsonl", folder / f"{stem(video.name)}-captions.mp4"
    rows.write_text("".join(jsonl(captions.captions)), encoding="utf-8")
    late = strings.RUN_TOO_LONG.format(minutes=limits.run_seconds / 60)
    arguments = ["captioner", "burn", str(video), str(rows), "-o", str(out), f"--timeout={limits.run_seconds}"]
    child = Child(arguments, names=[video], seconds=limits.run_seconds, late=late)
    for seconds in child.wait():
        yield working(strings.BURNING, seconds, child.progress)
    if child.code:
        raise Refusal(child.said)
    said = strings.BURNT.format(minutes=limits.keep_seconds / 60)
    yield (
        f'<p class="cap-downloads"{said_aloud(said)}><span>{said}</span>'
        f'<a data-file="{escape(str(out))}" download="{escape(out.name)}">MP4</a></p>'
    )


Keep = Callable[..., tuple[Any, ...]]
"""Puts a result on the shelf and gives what the tab shows of it. Takes the visitor, the result, the visit's corrections
and what else the tab holds."""


def wire_corrections(
    buttons: Any, keep: Keep, shelf: Shelf, *, states: list[gr.State], held: Any, shown: list[Any]
) -> None:
    """Let the ``buttons`` in a component put the visitor's sentence in place of a caption's.

    ``states``: the result, and the corrections of the visit; ``held``: what ``keep`` takes beside them.
    """

    def correct(
        visitor: gr.Request, event: gr.EventData, now: Told, corrected: Corrections, held: Any
    ) -> tuple[Any, ...]:
        now = now.correct(int(event._data["index"]), str(event._data["text"]))
        now = replace(now, name=now.name or shelf.name())
        corrected = {**corrected, **now.corrections()}
        return *keep(str(visitor.session_hash), now, corrected, held), now, corrected

    buttons.corrected(correct, [*states, held], [*shown, *states], **QUIET)
