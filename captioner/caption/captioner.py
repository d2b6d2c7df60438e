"""The captioner: frames in, caption out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from captioner.caption.noun_correction import Glances, Sight, named, sights
from captioner.caption.reader import BLANK, Place, Reader
from captioner.caption.result import Alternative, Caption, Word
from captioner.checkpoint.captioning import Checkpoint, load_checkpoint
from captioner.language.attention import Memory
from captioner.language.calibration import confidence_of
from captioner.language.collate import collate_captions
from captioner.language.config import SearchConfig
from captioner.language.reranker import Choice
from captioner.language.search import Hypothesis
from captioner.video.frames import Frames
from captioner.vision.detector import WordDetector

_UNCALIBRATED = "min_confidence is a bare number here: the confidence of this checkpoint is not calibrated"


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
        self._decoder = self._model.decoder
        self._decoder.lay_out_by_columns()
        detector = self._model.detector
        self._choice = self._chooser(detector) if detector else None
        self._familiar = self._choice.words if self._choice else None

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
        given = self._padded(features, shape)
        memory = self._model.read(*given)
        if not config.evidence:
            memory = memory._replace(evidence=None)
        detected = self._model.detect(*given)
        words = None if detected is None else detected.cpu().numpy()
        found = self._find(memory, words, config)
        attention, gates = self._trace(memory, [group[0] for group in found])
        nouns = self._nouns(clips, features, config)
        return [
            self._caption(
                frames,
                place,
                hypotheses=found[i],
                attention=attention[i, :, : len(frames.times_seconds)],
                gates=None if gates is None else gates[i],
                nouns=nouns[i],
                seen_words=None if words is None else words[i],
                min_confidence=config.min_confidence,
            )
            for i, (frames, place) in enumerate(zip(clips, places, strict=True))
        ]

    def _chooser(self, detector: WordDetector) -> Choice:
        table = self._model.phrases
        return Choice(detector.forms, detector.usual.cpu().numpy(), None if table is None else table.cpu().numpy())

    def _find(self, memory: Memory, seen: np.ndarray | None, config: SearchConfig) -> list[list[Hypothesis]]:
        """The hypotheses of every clip, best first: by the search, and by the words that are ``seen`` (B, W)."""
        choice = self._choice if config.reorders else None
        found = self._model.generate(
            memory,
            replace(config, n_best=config.beams) if choice else config,
            bos_id=self.tokenizer.bos_id,
            eos_id=self.tokenizer.eos_id,
            banned=(self.tokenizer.pad_id, self.tokenizer.unk_id),
            begins_word=self._begins_word,
        )
        if choice is None or seen is None:
            return found
        ordered = []
        for group, row in zip(found, seen, strict=True):
            texts = [self.tokenizer.decode(h.tokens) for h in group]
            ordered.append(choice.order(group, texts, seen=row, config=config)[: config.n_best])
        return ordered

    def _nouns(
        self, clips: Sequence[Frames], features: Sequence[np.ndarray], config: SearchConfig
    ) -> list[Glances | None]:
        """What each clip's frames show by the CNN's own classifier."""
        evidence = self._model.evidence
        if evidence is None or not config.evidence:
            return [None] * len(features)
        found: list[Glances | None] = []
        for frames, array in zip(clips, features, strict=True):
            _, shown = self._model.encoder.parts(torch.from_numpy(array).to(self.device))
            looked = evidence.looked(shown)
            times = tuple(compress(frames.times_seconds, looked.tolist()))
            found.append(Glances(evidence.probabilities(shown[looked]).cpu().numpy(), times))
        return found

    def _trace(self, memory: Any, best: Sequence[Hypothesis]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Where each piece of each clip's best caption looked (B, L, T, P), and its gates (B, L, 2)."""
        inputs, _ = collate_captions(
            [h.tokens for h in best], pad=self.tokenizer.pad_id, bos=self.tokenizer.bos_id, eos=self.tokenizer.eos_id
        )
        inputs = inputs[:, None].to(self.device)
        weights, gates = self._decoder.trace(memory, inputs)
        looked = weights[:, 0].reshape(len(best), inputs.shape[2], -1, self._model.encoder.places)
        return looked.float().cpu(), None if gates is None else gates[:, 0].float().cpu()

    def _caption(
        self,
        frames: Frames,
        place: Place,
        *,
        hypotheses: list[Hypothesis],
        attention: torch.Tensor,
        gates: torch.Tensor | None,
        nouns: Glances | None,
        seen_words: np.ndarray | None,
        min_confidence: float,
    ) -> Caption:
        best = hypotheses[0]
        words = []
        for text, first, last in self.tokenizer.words(best.tokens):
            looked = attention[first:last].mean(dim=0)  # (T, P)
            shares = looked.sum(dim=1)
            grid = tuple(tuple(row) for row in looked.tolist()) if looked.shape[1] > 1 else ()
            words.append(
                Word(
                    text=text,
                    attention=tuple(shares.tolist()),
                    peak_seconds=frames.times_seconds[int(shares.argmax())],
                    grid=grid,
                    gates=None if gates is None else tuple(gates[first:last].mean(dim=0).tolist()),
                )
            )
        text = self.tokenizer.decode(best.tokens)
        seen: tuple[Sight, ...] = ()
        if nouns is not None and not frames.is_blank:
            spoken = named([w.text for w in words], nouns.probabilities.mean(axis=0), familiar=self._familiar)
            words = [replace(word, text=new) for word, new in zip(words, spoken, strict=True)]
            text = " ".join(spoken)
            seen = sights(nouns, said=spoken)
        calibration = self.checkpoint.calibration
        support = None
        if self._choice is not None and seen_words is not None:
            support = self._choice.support(self.tokenizer.decode(best.tokens), seen=seen_words)
        confidence = self._confidence(best, frames, words=len(words), seen=seen, support=support or 0.0)
        warnings = (*frames.warnings, BLANK) if frames.is_blank else frames.warnings
        if min_confidence and not calibration:
            warnings = (*warnings, _UNCALIBRATED)
        return Caption(
            path=place.path,
            text=text,
            score=best.score,
            log_prob=best.log_prob,
            confidence=confidence,
            calibrated=calibration is not None,
            abstained=confidence < min_confidence,
            words=tuple(words),
            alternatives=self._alternatives(hypotheses, text),
            times_seconds=frames.times_seconds,
            start_seconds=place.start_seconds,
            end_seconds=place.end(frames),
            warnings=warnings,
            model=self.checkpoint.fingerprint,
            evidence=seen,
            support=support,
        )

    def _confidence(
        self, best: Hypothesis, frames: Frames, *, words: int, seen: tuple[Sight, ...], support: float
    ) -> float:
        """The caption's; 0 where nothing can be seen."""
        if frames.is_blank:
            return 0.0
        return confidence_of(
            self.checkpoint.calibration,
            best.log_prob / max(1, len(best.token_log_probs)),
            moving=len(frames.times_seconds) > 1,
            words=words,
            seen=seen[0].probability if seen else 0.0,
            support=support,
        )

    def _alternatives(self, hypotheses: list[Hypothesis], best: str) -> tuple[Alternative, ...]:
        """Each sentence once, the best way of writing it: pieces may spell the same words in several ways.

        ``best`` is the text of the first, which may say a noun that was seen in place of its own.
        """
        found: dict[str, Alternative] = {}
        for rank, h in enumerate(hypotheses):
            text = self.tokenizer.decode(h.tokens) if rank else best
            found.setdefault(text, Alternative(text=text, score=h.score, log_prob=h.log_prob))
        return tuple(found.values())
