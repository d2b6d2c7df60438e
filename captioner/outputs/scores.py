"""Scores and events as files: CSV, JSON Lines, a plot, subtitles for players."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from captioner.anomalies.scoring import Event, Moment
from captioner.errors import CaptionerError
from captioner.outputs import svg
from captioner.outputs.subtitles import clock
from captioner.safe.whole import put, refuse_to_replace, writing

_BINS = 1000
_WIDTH, _HEIGHT, _MARGIN = 1000, 220, 34


def score_paths(folder: Path, stem: str, formats: Sequence[str]) -> dict[str, Path]:
    """The files of one video's scores, by format."""
    names = {
        "csv": f"{stem}.scores.csv",
        "jsonl": f"{stem}.scores.jsonl",
        "events": f"{stem}.events.jsonl",
        "svg": f"{stem}.scores.svg",
        "vtt": f"{stem}.anomalies.vtt",
    }
    return {form: folder / name for form, name in names.items() if form in formats}


class ScoreFiles:
    """Writes the files of one video into a folder while it is scored; memory does not grow with the video.

    ``STEM.scores.csv`` and ``STEM.scores.jsonl`` have a row a picture, ``STEM.events.jsonl`` one an event,
    ``STEM.anomalies.vtt`` a cue an event; ``STEM.scores.svg`` is drawn at the end. As long as a file is not complete
    its name ends with ``.part``. Files that are there stay unless ``overwrite``. Raises CaptionerError.
    """

    def __init__(
        self, folder: Path, stem: str, formats: Sequence[str], *, threshold: float, overwrite: bool = False
    ) -> None:
        self._places = score_paths(folder, stem, formats)
        self.paths = list(self._places.values())
        self._threshold, self._overwrite = threshold, overwrite
        self._curve = Curve()
        self._events: list[Event] = []
        self._files: dict[str, TextIO] = {}
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        refuse_to_replace([*self.paths, *map(_part, self.paths)], overwrite=overwrite)
        try:
            for form, path in self._places.items():
                with writing(path):
                    self._files[form] = _part(path).open("w", encoding="utf-8", newline="\n")
            self._write("csv", "seconds,score,abnormal\n")
            self._write("vtt", "WEBVTT\n\n")
        except CaptionerError:
            self.discard()
            raise

    def _write(self, form: str, text: str) -> None:
        if form in self._files:
            with writing(self._places[form]):
                self._files[form].write(text)

    def moment(self, moment: Moment) -> None:
        """The next one."""
        self._curve.push(moment)
        over = moment.score > self._threshold
        self._write("csv", f"{moment.seconds:.3f},{moment.score:.4f},{int(over)}\n")
        row = {"seconds": round(moment.seconds, 3), "score": round(moment.score, 4), "abnormal": over}
        self._write("jsonl", json.dumps(row | {"where": moment.where}) + "\n")

    def event(self, event: Event) -> None:
        """One that is over."""
        self._events.append(event)
        self._write("events", json.dumps(event_row(event)) + "\n")
        start, end = (clock(round(1000 * s), ".") for s in (event.start_seconds, event.end_seconds))
        self._write("vtt", f"{start} --> {end}\n{told(event)}\n\n")
        if "events" in self._files:
            with writing(self._places["events"]):
                self._files["events"].flush()

    def close(self) -> None:
        """Give the files their names, with what was written so far."""
        try:
            self._write("svg", plot(self._curve, self._events, threshold=self._threshold))
            for form, path in self._places.items():
                with writing(path):
                    self._files[form].close()
            for path in self.paths:
                with writing(path):
                    put(_part(path), path, overwrite=self._overwrite)
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave nothing of what has no name yet."""
        for form, file in self._files.items():
            with contextlib.suppress(OSError):  # what could not be written is tried again
                file.close()
            _part(self._places[form]).unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def event_row(event: Event) -> dict[str, object]:
    """An event as plain values."""
    numbers = {key: round(value, 3) for key, value in asdict(event).items() if key != "where"}
    return numbers | {"place": event.place, "where": list(event.where)}


def told(event: Event) -> str:
    """An event in words."""
    return f"abnormal, {event.place}, {event.strength:.1f} times the threshold"


class Curve:
    """The largest score of each of at most 1,000 equal spans of a video whose length is not known beforehand."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.seconds = 0.0
        self._each = 1
        self._filled = 0

    def push(self, moment: Moment) -> None:
        """The next moment; spans double when there are too many."""
        if self._filled == 0:
            if len(self.values) == _BINS:
                self.values = [max(pair) for pair in zip(self.values[::2], self.values[1::2], strict=True)]
                self._each *= 2
            self.values.append(moment.score)
        self.values[-1] = max(self.values[-1], moment.score)
        self._filled = (self._filled + 1) % self._each
        self.seconds = moment.seconds


def plot(curve: Curve, events: list[Event], *, threshold: float) -> str:
    """An SVG of the scores over time, with the threshold as a line and the events as bands."""
    top = 1.15 * max([threshold, *curve.values])
    length = max(curve.seconds, 1e-9)
    right, floor = _WIDTH - _MARGIN, _HEIGHT - _MARGIN

    def x(seconds: float) -> float:
        return _MARGIN + (right - _MARGIN) * seconds / length

    def y(score: float) -> float:
        return floor * (1 - score / top) + 8

    def band(event: Event) -> str:
        title = svg.title(f"{clock(round(1000 * event.start_seconds), '.')}: {told(event)}")
        begin, end = x(event.start_seconds), x(event.end_seconds)
        return svg.rect(begin, 8, max(2.0, end - begin), floor, title, fill="#f4c7c3")

    step = length / max(1, len(curve.values) - 1)
    points = ((x(i * step), y(value)) for i, value in enumerate(curve.values))
    hours = [(x(length * i / 5), clock(round(1000 * length * i / 5), ".")[:8]) for i in range(6)]
    return svg.drawing(
        _WIDTH,
        _HEIGHT,
        svg.title("How abnormal each moment is"),
        *map(band, events),
        svg.polyline(points, fill="none", stroke="#1a4f8b", stroke_width=1.5),
        svg.line(_MARGIN, y(threshold), right, y(threshold), stroke="#b3261e", stroke_dasharray="5 4"),
        svg.text(right, y(threshold) - 4, "alarm", text_anchor="end", fill="#b3261e"),
        *(svg.text(at, _HEIGHT - 8, when, text_anchor="middle", fill="#444") for at, when in hours),
    )
