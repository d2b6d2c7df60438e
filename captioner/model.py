"""The whole network: a frame encoder, and the attention GRU on top of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from captioner.attention import Memory
from captioner.config import DecoderConfig, SearchConfig
from captioner.decoder import AttentionGRU
from captioner.encoder import FrameEncoder
from captioner.search import Hypothesis, search


class CaptionModel(nn.Module):
    """Pixels or features in, a memory to write captions from out."""

    def __init__(self, encoder: FrameEncoder, config: DecoderConfig, *, vocabulary: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = AttentionGRU(config, vocabulary=vocabulary, width=encoder.width, places=encoder.places)

    def remember(self, clips: Tensor, mask: Tensor) -> Memory:
        """Clips as uint8 pixels (B, T, H, W, 3) or as features (B, T, P, D), with mask (B, T) -> Memory."""
        features = self._encode(clips, mask) if clips.dtype == torch.uint8 else clips
        return self.decoder.remember(features, mask)

    def _encode(self, clips: Tensor, mask: Tensor) -> Tensor:
        """Features of the frames that ``mask`` shows, zeros for the rest: a photo among clips costs one frame."""
        seen = self.encoder(clips[mask])
        return seen.new_zeros(*mask.shape, *seen.shape[1:]).index_put((mask,), seen)

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
