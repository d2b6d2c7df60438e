"""What can be done with captions: copy, correct, download, draw into the video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path

import gradio as gr

from captioner.caption.result import Caption
from captioner.outputs.writers import jsonl
from demo import strings
from demo.child import Child
from demo.components.downloads import files_of, links, stem
from demo.components.result import refused, said_aloud, working
from demo.components.runs import waiting
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
    """What makes the browser note a result among those of this visit, as HTML."""
    first = result.captions[0]
    title = strings.TITLE_OF.format(tab=tab, name=first.path, said=first.told)
    return f'<span hidden data-result="{result.name}" data-title="{escape(title)}"></span>'


def correct_button(caption: Caption, index: int, *, of: str = "") -> str:
    """A button that opens a line beside it, to write a better sentence in; ``of`` says which of several it is."""
    words = f'data-label="{strings.CORRECTION}" data-save="{strings.SAVE}" data-discard="{strings.DISCARD}"'
    name = f' aria-label="{escape(strings.CORRECT_OF.format(name=of))}"' if of else ""
    return (
        f'<button type="button" class="cap-correct" data-index="{index}" '
        f'data-said="{escape(caption.text)}"{name} {words}>{"✎" if of else strings.CORRECT}</button>'
    )


def burn(result: Told, held: str, engine: Engine) -> Iterator[str]:
    """Draws the captions into the video in a process of its own; how far it is, and at last the file, as HTML."""
    if not result.captions or not held:
        yield refused(strings.BURN_STALE)
        return
    try:
        with engine.films.join() as places:
            yield from waiting(places)
            yield from _burn(result, Path(held), engine.limits)
    except Exception as error:
        yield refused(told(error))


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


def correct(result: Told, event: gr.EventData, corrections: Corrections, shelf: Shelf) -> tuple[Told, Corrections]:
    """The result and the visit's corrections with the sentence that a ``corrected`` event brings."""
    result = result.correct(int(event._data["index"]), str(event._data["text"]))
    result = replace(result, name=result.name or shelf.name())
    return result, {**corrections, **result.corrections()}
