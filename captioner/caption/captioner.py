"""The captioner: frames in, caption out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from captioner.caption.reader import Reader
from captioner.caption.result import Caption, Place
from captioner.caption.telling import Evidence, Wording, choose, tell
from captioner.checkpoint.captioning import Checkpoint, load_checkpoint
from captioner.language.attention import Memory
from captioner.language.collate import collate_captions
from captioner.language.config import SearchConfig
from captioner.language.reranker import Reranker
from captioner.language.search import Hypothesis
from captioner.model import CaptionModel
from captioner.video.frames import Frames


class Captioner(Reader):
    """Captions video files with one checkpoint.

    >>> Captioner.load().caption("clip.mp4").text  # doctest: +SKIP
    'a man is playing a guitar'
    """

    def __init__(self, checkpoint: Checkpoint, *, device: str | None = None) -> None:
        """Raises ConfigError for a device that is not there."""
        super().__init__(checkpoint, device=device)
        self.checkpoint: Checkpoint = checkpoint
        self.tokenizer = checkpoint.tokenizer
        self._begins_word = torch.tensor(checkpoint.tokenizer.begins_word())
        self._model = checkpoint.model
        self._model.decoder.lay_out_by_columns()
        self._wording = Wording(
            pieces=checkpoint.tokenizer.pieces,
            reranker=_reranker(self._model),
            calibration=checkpoint.calibration,
            fingerprint=checkpoint.fingerprint,
        )

    @classmethod
    def load(cls, folder: str | Path | None = None, *, device: str | None = None) -> Captioner:
        """Load a checkpoint folder; by default the one inside the package. Raises CheckpointError and ConfigError."""
        return cls(load_checkpoint(folder), device=device)

    @property
    def search(self) -> SearchConfig:
        """The default search settings of the checkpoint."""
        return self.checkpoint.search

    def _say(
        self,
        clips: Sequence[Frames],
        features: Sequence[np.ndarray],
        places: Sequence[Place],
        *,
        config: SearchConfig,
        shape: tuple[int, int],
    ) -> list[Caption]:
        observation = self._model.observe(*self._padded(features, shape))
        memory = observation.memory if config.evidence else observation.memory._replace(evidence=None)
        noun_probs = _rows(observation.noun_probs if config.evidence else None)
        word_probs = _rows(observation.word_probs)
        found = self._search(memory, config)
        best = [
            choose(group, self._wording, word_probs=None if word_probs is None else word_probs[i], config=config)
            for i, group in enumerate(found)
        ]
        attention, gates = self._trace(memory, [group[0] for group in best])
        told = []
        for i, (frames, place) in enumerate(zip(clips, places, strict=True)):
            count = len(frames.times_seconds)
            evidence = Evidence(
                noun_probs=None if noun_probs is None else noun_probs[i, :count],
                word_probs=None if word_probs is None else word_probs[i],
            )
            told.append(
                tell(
                    best[i],
                    self._wording,
                    attention=attention[i, :, :count],
                    gates=None if gates is None else gates[i],
                    evidence=evidence,
                    frames=frames,
                    place=place,
                    min_confidence=config.min_confidence,
                )
            )
        return told

    def _search(self, memory: Memory, config: SearchConfig) -> list[list[Hypothesis]]:
        """The hypotheses of every clip, best first."""
        return self._model.generate(
            memory,
            self._wording.searched(config),
            bos_id=self.tokenizer.bos_id,
            eos_id=self.tokenizer.eos_id,
            banned=(self.tokenizer.pad_id, self.tokenizer.unk_id),
            begins_word=self._begins_word,
        )

    def _trace(self, memory: Memory, best: Sequence[Hypothesis]) -> tuple[np.ndarray, np.ndarray | None]:
        """Where each piece of each clip's best caption looked (B, L, T, P), and its gates (B, L, 2)."""
        inputs, _ = collate_captions(
            [h.tokens for h in best], pad=self.tokenizer.pad_id, bos=self.tokenizer.bos_id, eos=self.tokenizer.eos_id
        )
        inputs = inputs[:, None].to(self.device)
        weights, gates = self._model.decoder.trace(memory, inputs)
        looked = weights[:, 0].reshape(len(best), inputs.shape[2], -1, self._model.encoder.places)
        return looked.float().cpu().numpy(), None if gates is None else gates[:, 0].float().cpu().numpy()


def _reranker(model: CaptionModel) -> Reranker | None:
    if model.detector is None:
        return None
    table = None if model.phrases is None else model.phrases.cpu().numpy()
    return Reranker(model.detector.forms, model.detector.usual.cpu().numpy(), table)


def _rows(probabilities: Tensor | None) -> np.ndarray | None:
    return None if probabilities is None else probabilities.cpu().numpy()
