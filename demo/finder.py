"""The index that the Find tab searches: one that the server was given, or one made of the samples."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from captioner.archive.engine import Outcome, Task
from captioner.archive.run import record_of
from captioner.caption.clips import caption_frames
from captioner.caption.result import Place
from captioner.checkpoint.captioning import Checkpoint
from captioner.errors import CheckpointError
from captioner.index.archive import Archive, Found, Results
from captioner.index.indexer import Indexer
from captioner.index.writer import IndexWriter
from captioner.io.inputs import Item
from captioner.video.frames import sample_frames
from demo import strings
from demo.limits import Limits, Refusal

COUNT = 12
"""Results on the page."""


class Finder:
    """Searches one index; that of the samples is made when it is first needed, a second or two."""

    def __init__(
        self, checkpoint: Checkpoint, *, index: Path | None = None, samples: Sequence[Path] = (), limits: Limits
    ) -> None:
        """Raises CaptionerError where ``index`` cannot be searched."""
        self._checkpoint, self._samples, self._limits = checkpoint, samples, limits
        self._archive = Archive.open(index) if index else None
        self._folder = tempfile.TemporaryDirectory(prefix="captioner-find-", ignore_cleanup_errors=True)
        self._turn = threading.Lock()

    def close(self) -> None:
        """Close the index, and delete what was made."""
        if self._archive is not None:
            self._archive.close()
        self._folder.cleanup()

    def search(self, query: str, *, count: int = COUNT) -> Results:
        """What a query finds. Raises Refusal and ConfigError."""
        if not query.strip():
            raise Refusal(strings.NO_QUERY)
        return self._opened().find(query, count=count)

    def thumbnail(self, found: Found) -> bytes:
        """Its picture as WebP; empty without one."""
        return self._opened().thumbnail(found.row)

    def playable(self, found: Found) -> Path:
        """The clip where the page may show it. Raises Refusal for one that is gone, or too large."""
        source = Path(found.path)
        if not source.is_file():
            raise Refusal(strings.REFUSED["not_found"])
        if source.stat().st_size > self._limits.upload_megabytes * 2**20:
            raise Refusal(strings.TOO_LARGE_TO_PLAY.format(limit=self._limits.upload_megabytes))
        if source in self._samples:
            return source
        name = hashlib.sha256(found.path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        target = Path(self._folder.name) / f"{name}{source.suffix}"
        if not target.exists():
            shutil.copyfile(source, target)
        return target

    def _opened(self) -> Archive:
        with self._turn:
            if self._archive is None:
                self._archive = self._of_samples()
            return self._archive

    def _of_samples(self) -> Archive:
        try:
            indexer = Indexer(self._checkpoint)
        except CheckpointError:
            raise Refusal(strings.NO_RETRIEVER) from None
        path = Path(self._folder.name) / "samples.db"
        search = replace(indexer.search, n_best=min(4, indexer.search.beams))
        with IndexWriter(path, indexer.facts, overwrite=True) as writer:
            for number, sample in enumerate(self._samples):
                place, frames = Place(str(sample), 0.0, None), sample_frames(sample, indexer.video)
                captions = tuple(caption_frames(indexer, [frames], places=[place], search=search))
                key = hashlib.sha256(sample.read_bytes()).hexdigest()[:32]
                outcome = Outcome(task=Task(index=number, item=Item(path=str(sample)), key=key), captions=captions)
                writer.append(record_of(outcome))
                writer.place(outcome)
        return Archive.open(path)
