"""The index that the Find tab searches: one that the server was given or one of the samples, and the visit's clips."""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from captioner.archive.engine import Outcome, Task
from captioner.archive.run import record_of
from captioner.caption.clips import caption_frames
from captioner.caption.result import Place
from captioner.index.archive import Archive, Found, Results
from captioner.index.indexer import Indexer
from captioner.index.schema import Facts
from captioner.index.writer import IndexWriter
from captioner.io.inputs import Item
from captioner.video.frames import sample_frames
from demo import strings
from demo.child import Child
from demo.limits import Limits, Refusal
from demo.visit.line import Line
from demo.visit.shelf import Clip, Shelf

COUNT = 12
"""Results on the page."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the server's start names for the Find tab."""

    index: Path | None = None
    """What is searched; None: the samples."""
    folder: Path | None = None
    """Of videos: a visitor may have it indexed into ``index``."""
    checkpoint: str | None = None
    """The folder of the checkpoint that indexes it; None: the packaged one."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a query found, with pictures."""

    results: Results
    pictures: tuple[bytes, ...]
    """Of each result, as WebP; empty where there is none."""


class Finder:
    """Searches one index; that of the samples is made when it is first needed, a second or two.

    A visitor's clips are indexed for each search, in a folder that goes with it: 50 ms for a hundred.
    """

    def __init__(
        self,
        indexer: Indexer | None,
        *,
        source: Source,
        samples: Sequence[Path] = (),
        shelf: Shelf,
        limits: Limits,
    ) -> None:
        """``shelf`` has the visitors' clips. Raises CaptionerError where the index cannot be searched."""
        self._indexer, self._samples, self._shelf, self._limits = indexer, samples, shelf, limits
        self.source = source
        is_there = source.index and not (source.folder and not source.index.exists())
        self._archive = Archive.open(source.index) if source.index and is_there else None
        self.line = Line(places=1, most=limits.waiting)
        """Of those who have the folder indexed."""
        self._folder = tempfile.TemporaryDirectory(prefix="captioner-find-", ignore_cleanup_errors=True)
        self._turn = threading.Lock()

    def close(self) -> None:
        """Close the index, and delete what was made."""
        if self._archive is not None:
            self._archive.close()
        self._folder.cleanup()

    def search(self, query: str, *, count: int = COUNT, visitor: str = "") -> Answer:
        """What a query finds, among what ``visitor`` captioned too. Raises Refusal and ConfigError."""
        if not query.strip():
            raise Refusal(strings.NO_QUERY)
        found, unknown = _search(self._opened(), query, count)
        if visitor:
            found += self._of_visit(visitor, query, count)
        found = sorted(found, key=lambda pair: -pair[0].score)[:count]
        return Answer(
            results=Results(found=tuple(each for each, _ in found), unknown=unknown),
            pictures=tuple(picture for _, picture in found),
        )

    @contextmanager
    def indexing(self) -> Iterator[Child]:
        """The process that indexes the server's folder; when the block ends, the index as it then is is searched.

        Files that are indexed already take no time. One visitor at a time may have it indexed (``line``).
        """
        index, folder, checkpoint = self.source.index, self.source.folder, self.source.checkpoint
        assert index and folder
        arguments = ["captioner", "index", str(folder), "-r", "-o", str(index), "--quiet"]
        arguments += ["-m", checkpoint] if checkpoint else []
        yield Child(arguments, names=[folder, index], seconds=math.inf, late="")
        if not index.exists():  # it was cancelled before
            return
        archive = Archive.open(index)
        with self._turn:
            self._archive = archive  # a search that is under way still has the one before

    def count(self) -> int:
        """Clips that can be found in the index that is searched now; 0 before the first search without one."""
        return 0 if self._archive is None else self._archive.count()

    def playable(self, found: Found) -> Path:
        """The clip where the page may show it. Raises Refusal for one that is gone, or too large."""
        from gradio.utils import get_upload_folder

        source = Path(found.path)
        if not source.is_file():
            raise Refusal(strings.REFUSED["not_found"])
        if source.stat().st_size > self._limits.upload_megabytes * 2**20:
            raise Refusal(strings.TOO_LARGE_TO_PLAY.format(limit=self._limits.upload_megabytes))
        if source in self._samples or source.is_relative_to(get_upload_folder()):
            return source  # the page may show it; and a copy of an upload would outlive it
        name = hashlib.sha256(found.path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        target = Path(get_upload_folder(), f"captioner-found-{name}", source.name)  # swept as uploads are
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        return target

    def _opened(self) -> Archive:
        with self._turn:
            if self._archive is None:
                self._archive = self._of_samples()
            return self._archive

    def _of_samples(self) -> Archive:
        if self._indexer is None:
            raise Refusal(strings.NO_RETRIEVER)
        path = Path(self._folder.name) / "samples.db"
        search = replace(self._indexer.search, n_best=min(4, self._indexer.search.beams))
        clips = []
        for sample in self._samples:
            place, frames = Place(str(sample), 0.0, None), sample_frames(sample, self._indexer.video)
            captions = caption_frames(self._indexer, [frames], places=[place], search=search)
            clips.append(Clip(file=str(sample), captions=tuple(captions)))
        _write(path, self._indexer.facts, clips)
        return Archive.open(path)

    def _of_visit(self, visitor: str, query: str, count: int) -> list[tuple[Found, bytes]]:
        """Those of another checkpoint than the first have no vector, and are left out."""
        clips = [
            clip
            for clip in self._shelf.clips(visitor)
            if Path(clip.file) not in self._samples and clip.captions and all(c.embedding for c in clip.captions)
        ]
        if self._indexer is None or not clips:
            return []
        with tempfile.TemporaryDirectory(prefix="captioner-visit-") as folder:
            path = Path(folder) / "visit.db"
            _write(path, self._indexer.facts, clips)
            with Archive.open(path) as archive:
                return _search(archive, query, count)[0]


def _search(archive: Archive, query: str, count: int) -> tuple[list[tuple[Found, bytes]], tuple[str, ...]]:
    """What is found with its pictures, and the words that are not known."""
    results = archive.find(query, count=count)
    return [(found, archive.thumbnail(found.row)) for found in results], results.unknown


def _write(path: Path, facts: Facts, clips: Iterable[Clip]) -> None:
    """An index of clips; of a file that comes twice the last is found."""
    with IndexWriter(path, facts) as writer:
        for number, clip in enumerate(clips):
            item = Item(path=clip.file, start_seconds=clip.captions[0].start_seconds or None)
            outcome = Outcome(task=Task(index=number, item=item, key=f"{number:032x}"), captions=clip.captions)
            writer.append(record_of(outcome))
            writer.place(outcome)
