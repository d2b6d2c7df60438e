"""Validation: CIDEr-D of the model's captions, and the loss on reference captions where CIDEr says too little."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from captioner.language.config import SearchConfig
from captioner.language.tokenizer import CaptionTokenizer
from captioner.model import CaptionModel
from captioner.training.batch import collate_captions, collate_clips
from captioner.training.losses import cross_entropy
from captioner.training.texts import CaptionCorpus

LEAST_CLIPS = 20
"""CIDEr of fewer clips says too little to choose an epoch by: it is what one or two sentences make of it."""
_BATCH = 64
_CAPTIONS = 5
"""Of each clip, that the loss is a mean over."""


class Validator:
    """Scores a model, in eval mode, on corpora."""

    def __init__(self, model: CaptionModel, tokenizer: CaptionTokenizer, *, search: SearchConfig) -> None:
        self._model, self._tokenizer, self._search = model, tokenizer, search
        self._device = next(model.parameters()).device

    def loss(self, corpora: Iterable[CaptionCorpus]) -> float:
        """Mean cross-entropy a token of people's captions (five at most) of all clips."""
        tokenizer, total, count = self._tokenizer, 0.0, 0
        for corpus in corpora:
            pairs = [
                (array, tokens)
                for array, known in zip(corpus.arrays, corpus.tokens, strict=True)
                for tokens in known[:_CAPTIONS]
            ]
            for start in range(0, len(pairs), _BATCH):
                batch = pairs[start : start + _BATCH]
                captions = [tokens for _, tokens in batch]
                inputs, targets = collate_captions(captions)
                with torch.inference_mode():
                    logits, _ = self._model.decoder(
                        self._memory([a for a, _ in batch]), inputs[:, None].to(self._device)
                    )
                words = sum(map(len, captions)) + len(captions)
                total += words * cross_entropy(logits[:, 0], targets.to(self._device), pad=tokenizer.pad_id).item()
                count += words
        return total / max(1, count)

    def cider(self, corpus: CaptionCorpus) -> float:
        """Mean CIDEr-D (1.0 = 100) of the model's captions of all clips."""
        return float(corpus.scorer().score(list(corpus.references()), self.captions(corpus)).mean())

    def captions(self, corpus: CaptionCorpus) -> list[str]:
        """Of all clips, as the search finds them."""
        tokenizer = self._tokenizer
        begins_word = torch.tensor(tokenizer.pieces.begins_word())
        captions = []
        for start in range(0, len(corpus.clips), _BATCH):
            with torch.inference_mode():
                found = self._model.generate(
                    self._memory(corpus.arrays[start : start + _BATCH]),
                    self._search,
                    begins_word=begins_word,
                )
            captions += [tokenizer.decode(group[0].tokens) for group in found]
        return captions

    def _memory(self, arrays: list[Any]) -> Any:
        clips, mask = collate_clips(arrays, like=arrays[0])
        return self._model.remember(clips.to(self._device), mask.to(self._device))
