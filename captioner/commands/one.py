"""``captioner caption`` for a single file: no child process and no journal, for a quick start."""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from captioner.caption.clips import ClipModel, caption_frames
from captioner.caption.result import UNSURE, Caption, Place
from captioner.caption.segments import merge_captions, segment_frames
from captioner.commands.models import load_model
from captioner.commands.settings import override, search_settings
from captioner.errors import VideoError
from captioner.io.files import (
    ResumedFile,
    StandardOutput,
    Template,
    refuse_to_overwrite,
)
from captioner.outputs.writers import writer
from captioner.safe.whole import WholeFile, is_regular, refuse_to_replace
from captioner.video.frames import probe, sample_frames

if TYPE_CHECKING:
    from captioner.io.inputs import Inputs, Item
    from captioner.io.progress import Monitor
    from captioner.video.config import VideoConfig

GRACE_SECONDS = 5.0
"""How much longer than ``--timeout`` a decoder may take to notice that its time is up."""


def run_one(options: argparse.Namespace, inputs: Inputs, monitor: Monitor) -> int:
    item = inputs.items[0]
    places = _places(options, item)
    captioner = load_model(options)
    monitor.detail(f"checkpoint {captioner.checkpoint.fingerprint} on {captioner.device}")
    video: VideoConfig = override(captioner.video, options)
    captions = _captions(captioner, item, options, video, monitor)
    try:
        first = next(captions, None)  # before the output is touched
    except VideoError as error:
        monitor.failure(item.path, error.code, str(error))
        return 1
    failed = False

    def all_of_them() -> Iterator[Caption]:
        nonlocal failed
        if first is not None:
            yield first
        try:
            yield from captions
        except VideoError as error:  # a film that breaks off
            failed = True
            monitor.failure(item.path, error.code, str(error))

    found: Iterable[Caption] = all_of_them()
    if len(places) > 1:
        found = list(found)
    for form, output in places.items():
        write = writer(form, words=options.words, segments=bool(options.segments))
        with _opened(output, form, options) as out:
            for text in write(found):
                monitor.clear()
                out.write(text)
    monitor.clear()
    return 1 if failed else 0


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
    captioner: ClipModel, item: Item, options: argparse.Namespace, video: VideoConfig, monitor: Monitor
) -> Iterator[Caption]:
    search = search_settings(captioner.search, options)
    if options.segments:
        found = _segments(captioner, item, options, video, search, monitor)
    else:
        found = iter([_caption(captioner, item, options, video, search, monitor)])
    began = time.monotonic()
    for caption in found:
        monitor.detail(f"{item.path}: {looked_at(caption)}, after {time.monotonic() - began:.2f} s")
        for warning in caption.warnings:
            monitor.warning(item.path, warning)
        yield caption


def _caption(
    captioner: ClipModel,
    item: Item,
    options: argparse.Namespace,
    video: VideoConfig,
    search: Any,
    monitor: Monitor,
) -> Caption:
    """The caption of the whole; a decoder that hangs, and so cannot raise, ends the program."""

    def give_up() -> None:
        monitor.failure(item.path, "timeout", f"{item.path} took longer than {options.timeout} seconds; it hung")
        os._exit(1)

    timer = threading.Timer(options.timeout + GRACE_SECONDS, give_up)
    timer.daemon = True
    timer.start()
    times = {"start_seconds": item.start_seconds, "end_seconds": item.end_seconds}
    try:
        frames = sample_frames(item.path, video, timeout_seconds=options.timeout, **times)
    finally:
        timer.cancel()
    place = Place(item.path, item.start_seconds or 0.0, item.end_seconds)
    return caption_frames(captioner, [frames], places=[place], search=search)[0]


def _segments(
    captioner: ClipModel,
    item: Item,
    options: argparse.Namespace,
    video: VideoConfig,
    search: Any,
    monitor: Monitor,
) -> Iterator[Caption]:
    """Captions as they come, neighbours that say the same as one; a VideoError after the last that could be had."""
    parts = segment_frames(
        item.path,
        video,
        segments=options.segments,
        start_seconds=item.start_seconds,
        end_seconds=item.end_seconds,
        timeout_seconds=options.timeout,
    )
    errors: list[VideoError] = []
    end = item.end_seconds or (probe(item.path).duration_seconds if monitor.live else None)

    def up_to_the_error() -> Iterator[Caption]:
        try:
            for span, frames in parts:
                place = Place(item.path, span.start_seconds, span.end_seconds)
                [caption] = caption_frames(captioner, [frames], places=[place], search=search)
                monitor.position(caption.end_seconds, start=item.start_seconds or 0.0, end=end)
                yield caption
        except VideoError as error:
            errors.append(error)

    yield from merge_captions(up_to_the_error())
    if errors:
        raise errors[0]


def looked_at(caption: Caption) -> str:
    """What a caption was made of, for people."""
    times = caption.times_seconds
    seen = f"{len(times)} frames from {times[0]:.1f} to {times[-1]:.1f} s" if times else "no frames"
    return f"{seen}, confidence {caption.confidence:.2f}"
