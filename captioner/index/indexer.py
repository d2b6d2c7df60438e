"""Captions with what an index holds of each clip beside them: its vector, the words detected in it, a thumbnail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from captioner.caption.captioner import Captioner
from captioner.caption.clips import EncodedClip
from captioner.caption.result import Caption, DetectedNoun, Embedding
from captioner.checkpoint.captioning import Checkpoint, load_checkpoint
from captioner.index.likelihood import kept_features
from captioner.index.schema import Facts
from captioner.index.thumbnails import thumbnail
from captioner.language.config import SearchConfig
from captioner.metrics.content import carries
from captioner.retrieval.checkpoint import load_retriever
from captioner.video.frames import Frames

LEAST = 0.1
"""Words less probable than this are not kept."""
_MOST = 24
"""Words kept of a clip."""


class Indexer:
    """A captioner whose captions have an :class:`~captioner.caption.result.Embedding` each."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        retriever: str | Path | None = None,
        thumbnails: bool = True,
        features: bool = False,
        device: str | None = None,
        captioner: Captioner | None = None,
    ) -> None:
        """``features`` are kept for :class:`~captioner.index.likelihood.Likelihood`. ``captioner`` is one of this
        checkpoint that is there already.

        Raises CheckpointError where the retriever does not read this captioner's features.
        """
        self._captioner = captioner or Captioner(checkpoint, device=device)
        self.checkpoint, self.device = checkpoint, self._captioner.device
        self.video, self.search = checkpoint.video, checkpoint.search
        own = self._captioner.retriever if retriever is None else None
        self.retriever = own or load_retriever(retriever, encoder=checkpoint.model.encoder)
        self._thumbnails, self._features = thumbnails, features
        detector = checkpoint.model.detector
        self._words = [min(form.split(), key=len) for form in detector.forms] if detector else []

    @classmethod
    def load(
        cls,
        folder: str | Path | None = None,
        *,
        retriever: str | Path | None = None,
        thumbnails: bool = True,
        features: bool = False,
        device: str | None = None,
    ) -> Indexer:
        """A captioner's folder and a retriever's; by default those inside the package."""
        checkpoint = load_checkpoint(folder)
        return cls(checkpoint, retriever=retriever, thumbnails=thumbnails, features=features, device=device)

    @property
    def facts(self) -> Facts:
        """What an index by this captioner is made with."""
        return Facts(
            model=self.checkpoint.fingerprint,
            retriever=self.retriever.fingerprint,
            width=self.retriever.model.config.width,
            vectors="clips",
        )

    def encode(self, frames: Frames) -> np.ndarray:
        """Features (T, P, D) of a clip."""
        return self._captioner.encode(frames)

    def keeps(self, frames: Frames) -> np.ndarray:
        """The frame in the middle, of which a thumbnail is made."""
        middle = len(frames.pixels) // 2
        return frames.pixels[middle : middle + self._thumbnails].copy()

    def vector(self, frames: Frames) -> np.ndarray:
        """The vector (W,) of a clip or a photo."""
        batch = self._captioner.encoder.batch([self.encode(frames)])
        return self.retriever.model.vectors(*batch)[0].astype(np.float32)

    @torch.inference_mode()
    def caption_encoded(
        self, clips: Sequence[EncodedClip], *, search: SearchConfig | None = None, shape: tuple[int, int] = (0, 0)
    ) -> list[Caption]:
        """What the captioner says, each with its embedding."""
        if not clips:
            return []
        captions = self._captioner.caption_encoded(clips, search=search, shape=shape)
        batch = self._captioner.encoder.batch([clip.features for clip in clips], shape)
        places = self.checkpoint.model.encoder.places
        return [
            replace(
                caption,
                embedding=Embedding(
                    vector=vector.tobytes(),
                    words=self._detected(clip.features, clip.frames.times_seconds),
                    thumbnail=thumbnail(clip.frames.pixels, clip.frames.width, clip.frames.height),
                    features=kept_features(clip.features, places=places) if self._features else b"",
                ),
            )
            for caption, vector, clip in zip(captions, self.retriever.model.vectors(*batch), clips, strict=False)
        ]

    def _detected(self, features: np.ndarray, times_seconds: Sequence[float]) -> tuple[DetectedNoun, ...]:
        """The likeliest words of a clip, from its features (T, P, D), surest first."""
        detector = self.checkpoint.model.detector
        if detector is None:
            return ()
        own, _ = self.checkpoint.model.encoder.parts(torch.from_numpy(features))
        frames = detector.of_frames(own.float().mean(dim=1).to(self.device)).cpu().numpy()  # (T, W)
        mean = frames.mean(axis=0)
        found = [
            DetectedNoun(
                noun=self._words[column],
                probability=float(mean[column]),
                peak_seconds=times_seconds[int(frames[:, column].argmax())],
            )
            for column in np.argsort(-mean, kind="stable")[: 2 * _MOST].tolist()
            if mean[column] >= LEAST and carries(self._words[column])
        ]
        return tuple(found[:_MOST])
