"""The engine behind all tabs and endpoints: checkpoints, decoding pool and limits."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from captioner import Captioner, Recognizer
from captioner.actions.recognizer import Action
from captioner.actions.rows import as_row
from captioner.archive.pool import DecodeJob, DecodePool
from captioner.caption.clips import ClipModel, caption_frames
from captioner.caption.result import Caption, Place
from captioner.config import Setting, settings_of
from captioner.errors import CheckpointError
from captioner.index.indexer import Indexer
from captioner.language.config import SearchConfig
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames
from demo import strings
from demo.limits import Limits, Refusal, check_length
from demo.visit.line import Line
from demo.visit.preview import recipe, write_preview
from demo.visit.uploads import swept_folder

Strategy = Literal["beam", "greedy", "diverse", "sample"]

MOST_ALTERNATIVES = 5
TEMPERATURE = 0.7


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a visitor can choose."""

    model: str = ""
    """Name of the checkpoint; empty is the first."""
    strategy: Strategy = "beam"
    search: Mapping[str, float | None] = field(default_factory=dict)
    """Of the search, those that the page shows; None: the checkpoint's own."""
    frames: int = 16
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A caption and the frames it was made from."""

    caption: Caption
    frames: Frames
    squashed: bool
    """Whether the frames were made square by ignoring the clip's shape."""
    meaning: str
    """What the confidence is the chance of; empty where it is not calibrated."""


def sliders() -> dict[str, Setting]:
    """The settings of the search that the page shows, by their names."""
    return {name: said for name, said in settings_of(SearchConfig).items() if said.slider}


class Engine:
    """Captions uploads: decoding runs in processes that can be killed, the model takes one request at a time."""

    def __init__(self, captioners: Mapping[str, Captioner], *, limits: Limits) -> None:
        assert captioners
        self.captioners = dict(captioners)
        self.limits = limits
        self.clips = Line(places=limits.clips_at_once, most=limits.waiting)
        self.films = Line(places=limits.films_at_once, most=limits.waiting)
        # Everything that may run at once has a decoder of its own, and one looks at what was just uploaded.
        self.pool = DecodePool(
            workers=limits.clips_at_once + limits.films_at_once + 1, timeout_seconds=limits.decode_seconds
        )
        self._turn = threading.Lock()
        self.indexer = _indexer(self.first)
        """The first checkpoint's, with which the Find tab finds what it captions; None without a retriever for it."""
        self._recognizer: Recognizer | None = None  # loaded when it is first asked

    def close(self) -> None:
        """End the decoding processes."""
        self.pool.close()

    @property
    def first(self) -> Captioner:
        """The checkpoint that is used unless another is chosen."""
        return next(iter(self.captioners.values()))

    def defaults(self) -> Settings:
        """The settings that the first checkpoint was made for."""
        shown = {name: getattr(self.first.search, name) for name in sliders()}
        return Settings(model=next(iter(self.captioners)), search=shown, frames=self.first.video.frames)

    def captioner(self, settings: Settings) -> Captioner:
        """The chosen checkpoint. Raises Refusal for a name that is none."""
        if not settings.model:
            return self.first
        if settings.model not in self.captioners:
            raise Refusal(strings.NO_SUCH_MODEL)
        return self.captioners[settings.model]

    def video(self, settings: Settings) -> VideoConfig:
        """The frame recipe of the chosen checkpoint with the visitor's number of frames."""
        return replace(self.captioner(settings).video, frames=settings.frames)

    def search(self, settings: Settings) -> SearchConfig:
        """The search that a visitor's settings stand for. Raises ConfigError on numbers that make no sense."""
        own = self.captioner(settings).search
        chosen: dict[str, Any] = {name: value for name, value in settings.search.items() if value is not None}
        beams = 1 if settings.strategy == "greedy" else chosen.get("beams", own.beams)
        return replace(
            own,
            **chosen
            | {
                "beams": beams,
                "n_best": min(beams, MOST_ALTERNATIVES),
                "groups": beams if settings.strategy == "diverse" else 1,
                "temperature": TEMPERATURE if settings.strategy == "sample" else 0.0,
            },
        )

    def glance(self, path: Path) -> Frames:
        """One frame of a file, so that nothing is shown that cannot be captioned. Raises as ``caption`` does."""
        return self._whole(path, VideoConfig(frames=1, size=64))

    def preview(self, path: Path) -> Path:
        """A WebM of a file's frames, which every browser plays. Raises as ``caption`` does."""
        frames = self._whole(_opened(str(path)), recipe(self.glance(path).duration_seconds))
        return write_preview(frames, swept_folder("captioner-preview-") / f"{path.stem}.webm")

    def caption(self, upload: str | None, settings: Settings) -> Seen:
        """Caption one uploaded file. Raises Refusal, VideoError or ConfigError."""
        [seen] = self._see(_opened(upload), settings, segments=None)  # to the end: a decoder left half-way is killed
        return seen

    def actions(self, upload: str | None) -> tuple[list[Action], Caption]:
        """The likeliest actions of one uploaded file, and the likeliest as its caption. Raises as ``caption`` does."""
        with self._turn:
            self._recognizer = self._recognizer or Recognizer.load()
        recognizer = self._recognizer
        path = _opened(upload)
        frames = self._whole(path, recognizer.video)
        with self._turn:
            actions = recognizer.recognize(frames)
        place = Place(path=path.name, start_seconds=0.0, end_seconds=None)
        return actions, as_row(actions, frames, place, min_confidence=0.0, model=recognizer.checkpoint.fingerprint)

    def ways(self, upload: str | None, settings: Settings) -> dict[str, Seen]:
        """Caption one uploaded file greedily, by beam search and by diverse beams: the same frames for all."""
        first = self.caption(upload, replace(settings, strategy="greedy"))
        found = {"greedy": first}
        for strategy in ("beam", "diverse"):
            found[strategy] = self._look(
                first.frames, replace(settings, strategy=strategy), first.caption.path, _span(first.caption)
            )
        return found

    def timeline(self, upload: str | None, settings: Settings, *, segments: Literal["shots"] | float) -> Iterator[Seen]:
        """Caption one film part by part, as it is read. Raises as ``caption`` does, perhaps after some parts."""
        late = time.monotonic() + self.limits.run_seconds
        for seen in self._see(_opened(upload), settings, segments=segments):
            yield seen
            if time.monotonic() > late:
                raise Refusal(strings.RUN_TOO_LONG.format(minutes=self.limits.run_seconds / 60))

    def _whole(self, path: Path, video: VideoConfig) -> Frames:
        with contextlib.closing(self.pool.decode(DecodeJob(path=str(path), video=video))) as parts:  # type: ignore[type-var]
            [(_, frames)] = list(parts)
        check_length(frames.duration_seconds, self.limits)
        return frames

    def _see(self, path: Path, settings: Settings, *, segments: Literal["shots"] | float | None) -> Iterator[Seen]:
        job = DecodeJob(
            path=str(path),
            video=self.video(settings),
            segments=segments,
            start_seconds=settings.start_seconds,
            end_seconds=settings.end_seconds,
        )
        parts = self.pool.decode(job)
        with contextlib.closing(parts):  # type: ignore[type-var]  # a generator: closing it ends the decoder
            for span, frames in parts:
                check_length(frames.duration_seconds, self.limits)
                yield self._look(frames, settings, path.name, (span.start_seconds, span.end_seconds))

    def _look(self, frames: Frames, settings: Settings, name: str, span: tuple[float, float | None]) -> Seen:
        captioner, search = self.captioner(settings), self.search(settings)
        model: ClipModel = self.indexer if self.indexer and captioner is self.first else captioner
        with self._turn:
            [caption] = caption_frames(model, [frames], places=[Place(name, *span)], search=search)
        calibration = captioner.checkpoint.calibration
        return Seen(
            caption=caption,
            frames=frames,
            squashed=captioner.video.resize == "squash",
            meaning=calibration.good if calibration else "",
        )


def _indexer(captioner: Captioner) -> Indexer | None:
    try:
        return Indexer(captioner.checkpoint, captioner=captioner)
    except CheckpointError:
        return None


def _opened(upload: str | None) -> Path:
    if not upload:
        raise Refusal(strings.NO_FILE)
    return Path(upload)


def _span(caption: Caption) -> tuple[float, float | None]:
    return caption.start_seconds, caption.end_seconds
