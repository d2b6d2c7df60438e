"""How likely the captioner's decoder finds a query for a clip, from the features that an index keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from captioner.checkpoint.captioning import Checkpoint, load_checkpoint
from captioner.language.pieces import BOS, EOS


class Likelihood:
    """Scores sentences for clips by a captioner's decoder."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model, self.tokenizer = checkpoint.model, checkpoint.tokenizer
        self.fingerprint = checkpoint.fingerprint

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Likelihood:
        """Of a captioner's folder; by default that inside the package. Raises CheckpointError."""
        return cls(load_checkpoint(folder))

    @torch.inference_mode()
    def of(self, sentence: str, features: Sequence[bytes]) -> np.ndarray:
        """The mean log-probability (K,) of a token of ``sentence`` for K clips, each as :func:`kept_features`."""
        width = self.model.encoder.width
        arrays = [np.frombuffer(each, np.float16).reshape(1, -1, width) for each in features]
        clips = torch.from_numpy(np.stack(arrays).astype(np.float32))  # (K, 1, P, D): one frame each
        memory = self.model.observe(clips, torch.ones(len(arrays), 1, dtype=torch.bool)).memory
        tokens = self.tokenizer.encode(sentence)
        inputs, targets = torch.tensor([BOS, *tokens]), torch.tensor([*tokens, EOS])
        logits, _ = self.model.decoder(memory, inputs.expand(len(arrays), 1, -1))
        log_probs: np.ndarray = (
            logits[:, 0].float().log_softmax(-1)[:, range(len(targets)), targets].mean(dim=1).numpy()
        )
        return log_probs


def kept_features(features: np.ndarray, *, places: int) -> bytes:
    """Features (T, P, D) of a clip as one frame: means as float16.

    The places after the first ``places`` are of the original CNN; of these the mean is over the frames that it saw.
    """
    mean = features.mean(axis=0)
    seen = (features[:, places:] != 0).any(axis=(1, 2))
    if seen.any():
        mean[places:] = features[seen, places:].mean(axis=0)
    return mean.astype(np.float16).tobytes()
