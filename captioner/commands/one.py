"""``captioner caption`` for a single file: no child process and no journal, for a quick start."""

from __future__ import annotations

import argparse
import itertools
import os
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from captioner.caption.clips import ClipModel, caption_frames
from captioner.caption.merging import merge_captions
from captioner.caption.result import UNSURE, Caption, Place
from captioner.caption.segments import Span, segment_frames
from captioner.commands.models import load_model
from captioner.commands.settings import override, search_settings
from captioner.errors import VideoError
from captioner.io.files import ResumedFile, StandardOutput, Template, refuse_to_overwrite
from captioner.outputs.writers import looked_at, writer
from captioner.safe.whole import WholeFile, is_regular, refuse_to_replace
from captioner.video.frames import Frames, probe

if TYPE_CHECKING:
    from captioner.io.inputs import Inputs, Item
    from captioner.io.progress import Monitor
    from captioner.video.config import VideoConfig

GRACE_SECONDS = 5.0
"""How much longer than ``--timeout`` a decoder may take to notice that its time is up."""


def run_one(options: argparse.Namespace, inputs: Inputs, monitor: Monitor) -> int:
    """Caption the one item; returns the exit status."""
    item = inputs.items[0]
    places = _places(options, item)
    captioner = load_model(options)
    monitor.detail(f"checkpoint {captioner.checkpoint.fingerprint} on {captioner.device}")
    failures: list[VideoError] = []
    captions = _captions(captioner, item, options, monitor, failures)
    first = list(itertools.islice(captions, 1))  # before the output is touched
    if first or not failures:
        found: Iterable[Caption] = itertools.chain(first, captions)
        if len(places) > 1:
            found = list(found)
        for form, output in places.items():
            write = writer(form, words=options.words, segments=bool(options.segments))
            with _opened(output, form, options) as out:
                for text in write(found):
                    monitor.clear()
                    out.write(text)
        monitor.clear()
    for error in failures:  # after the captions of a film that breaks off
        monitor.failure(item.path, error.code, str(error))
    return 1 if failures else 0


def _places(options: argparse.Namespace, item: Item) -> dict[str, str | None]:
    """Where each format goes; None is stdout. Raises CaptionerError rather than let anything be lost."""
    places: dict[str, str | None] = {}
    for form in options.format:
        output = str(Template(options.output, form=form).path(0, item)) if options.template else options.output
        refuse_to_overwrite([item.path], [output])
        refuse_to_replace([output], overwrite=options.overwrite)
        places[form] = output
    return places


def _opened(output: str | None, form: str, options: argparse.Namespace) -> Any:
    if output is None:
        return StandardOutput(mark=UNSURE if form == "txt" else "")
    if not is_regular(output):
        return ResumedFile(output)
    return WholeFile(output, make_folder=options.template, overwrite=options.overwrite)


def _captions(
    captioner: ClipModel, item: Item, options: argparse.Namespace, monitor: Monitor, failures: list[VideoError]
) -> Iterator[Caption]:
    """Captions as they come, neighbours that say the same as one; ``failures`` gets the error that ends them."""
    search = search_settings(captioner.search, options)

    def each() -> Iterator[Caption]:
        try:
            end = item.end_seconds or (probe(item.path).duration_seconds if options.segments and monitor.live else None)
            for span, frames in _parts(item, override(captioner.video, options), options, monitor):
                place = Place(item.path, span.start_seconds, span.end_seconds)
                [caption] = caption_frames(captioner, [frames], places=[place], search=search)
                if options.segments:
                    monitor.position(caption.end_seconds, start=item.start_seconds or 0.0, end=end)
                yield caption
        except VideoError as error:
            failures.append(error)

    began = time.monotonic()
    for caption in merge_captions(each()):
        monitor.detail(f"{item.path}: {looked_at(caption)}, after {time.monotonic() - began:.2f} s")
        for warning in caption.warnings:
            monitor.warning(item.path, warning, seconds=caption.start_seconds)
        yield caption


def _parts(
    item: Item, video: VideoConfig, options: argparse.Namespace, monitor: Monitor
) -> Iterator[tuple[Span, Frames]]:
    """The file's segments, or the whole; a decoder that hangs on the whole, and so cannot raise, ends the program."""

    def give_up() -> None:
        monitor.failure(
            item.path, "timeout", f"{item.path} took longer than {options.timeout} seconds; its decoder hung"
        )
        os._exit(1)

    timer = threading.Timer(options.timeout + GRACE_SECONDS, give_up)
    timer.daemon = True
    if not options.segments:
        timer.start()
    try:
        for part in segment_frames(
            item.path,
            video,
            segments=options.segments,
            start_seconds=item.start_seconds,
            end_seconds=item.end_seconds,
            timeout_seconds=options.timeout,
        ):
            timer.cancel()
            yield part
    finally:
        timer.cancel()
