"""The whole network: a frame encoder, and the attention GRU on top of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from captioner.language.attention import Memory
from captioner.language.config import DecoderConfig, SearchConfig
from captioner.language.decoder import AttentionGRU
from captioner.language.search import Hypothesis, search
from captioner.vision.detector import WordDetector
from captioner.vision.encoder import FrameEncoder
from captioner.vision.evidence import Evidence


class CaptionModel(nn.Module):
    """Pixels or features in, a memory to write captions from out."""

    def __init__(
        self, encoder: FrameEncoder, config: DecoderConfig, *, vocabulary: int, forms: Sequence[str] = ()
    ) -> None:
        """``forms``: the words of the detector, where ``config`` has one."""
        super().__init__()
        self.encoder = encoder
        self.decoder = AttentionGRU(config, vocabulary=vocabulary, width=encoder.width, places=encoder.places)
        self.evidence = Evidence(config.evidence) if config.evidence else None
        rank = config.detector
        self.detector = WordDetector(forms, width=encoder.width, rank=rank) if rank else None
        self.phrases: Tensor | None
        table = torch.zeros(1024 * config.phrases, dtype=torch.uint8) if config.phrases else None
        self.register_buffer("phrases", table)

    def remember(self, clips: Tensor, mask: Tensor) -> Memory:
        """Clips as uint8 pixels (B, T, H, W, 3) or as features (B, T, P, D), with mask (B, T) -> Memory."""
        return self.read(self.encoder.read_clips(clips, mask), mask)

    def read(self, features: Tensor, mask: Tensor) -> Memory:
        """Features (B, T, P, D) with mask (B, T) -> Memory, with what the classifier saw if the model has one."""
        own, shown = self.encoder.parts(features)
        memory = self.decoder.remember(own, mask)
        if self.evidence is None:
            return memory
        return memory._replace(evidence=self.evidence(shown, mask, vocabulary=len(self.decoder.bias)))

    def detect(self, features: Tensor, mask: Tensor) -> Tensor | None:
        """Probabilities (B, W) of the detector's words from features (B, T, P, D), mask (B, T); None without one."""
        return None if self.detector is None else self.detector(self.encoder.parts(features)[0], mask)

    @torch.inference_mode()
    def generate(
        self,
        memory: Memory,
        config: SearchConfig,
        *,
        bos_id: int,
        eos_id: int,
        banned: tuple[int, ...],
        seeds: tuple[int, ...] = (),
        begins_word: torch.Tensor | None = None,
    ) -> list[list[Hypothesis]]:
        """Captions of every clip of the memory, as :func:`captioner.search.search` finds them: B lists, best first."""
        return search(
            lambda tokens, state: self.decoder.step(memory, tokens, state),
            self.decoder.start(memory),
            config=config,
            bos_id=bos_id,
            eos_id=eos_id,
            banned=banned,
            seeds=seeds,
            begins_word=begins_word,
        )
