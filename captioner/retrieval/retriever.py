"""From the features of clips to vectors; sentences are read by :mod:`captioner.retrieval.queries`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from captioner.errors import CheckpointError
from captioner.retrieval.checkpoint import RetrieverCheckpoint, load_retriever
from captioner.retrieval.network import pooled
from captioner.retrieval.queries import Queries
from captioner.vision.encoder import FrameEncoder


class Retriever:
    """Makes vectors of clips: those of clips and queries that belong together lie together."""

    def __init__(self, checkpoint: RetrieverCheckpoint, *, encoder: FrameEncoder) -> None:
        """``encoder`` makes the features; raises CheckpointError unless the retriever was trained on its features."""
        if encoder.fingerprint() != checkpoint.reads:
            raise CheckpointError(
                f"the retriever {checkpoint.fingerprint} reads the features of another captioner's CNN; train one on "
                "this captioner's: recipes/retrieval/default.toml with --set train.start=FOLDER"
            )
        self.checkpoint = checkpoint
        self.width = checkpoint.head.config.width
        self._head = checkpoint.head

    @classmethod
    def load(cls, folder: str | Path | None = None, *, encoder: FrameEncoder) -> Retriever:
        """Load a folder, by default the one inside the package. Raises CheckpointError."""
        return cls(load_retriever(folder), encoder=encoder)

    @classmethod
    def packaged(cls, encoder: FrameEncoder) -> Retriever | None:
        """The one inside the package where it reads the features of ``encoder``, else None. Raises CheckpointError."""
        checkpoint = load_retriever()
        return cls(checkpoint, encoder=encoder) if checkpoint.reads == encoder.fingerprint() else None

    def queries(self) -> Queries:
        """What reads sentences for it, without torch."""
        weights = {name: tensor.numpy() for name, tensor in self._head.queries.state_dict().items()}
        return Queries(weights, self.checkpoint.words, fingerprint=self.checkpoint.fingerprint)

    @torch.inference_mode()
    def vectors(self, features: Tensor, mask: Tensor) -> np.ndarray:
        """Unit vectors (B, W) float16 of clips' features (B, T, P, D) with mask (B, T)."""
        clips = pooled(features.cpu(), mask.cpu(), places=self.checkpoint.places)
        return self._head.clips(clips).numpy().astype(np.float16)
