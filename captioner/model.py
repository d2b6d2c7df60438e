"""The whole network: a frame encoder, and the attention GRU on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from captioner.language.config import DecoderConfig, SearchConfig
from captioner.language.decoder import AttentionGRU, Memory, State
from captioner.language.grounding import Condition, spelled_out
from captioner.language.hypothesis import Hypothesis
from captioner.language.pieces import BOS, EOS, PAD, UNK
from captioner.language.search import search
from captioner.vision.detector import ActionDetector, ClipDetector, WordDetector
from captioner.vision.encoder import FrameEncoder
from captioner.vision.evidence import Evidence


class Observation(NamedTuple):
    """What the network observes in clips: made once, before the search."""

    memory: Memory
    noun_probs: Tensor | None
    """(B, T, N) of the classifier's nouns in each frame, zeros where it did not look; None without a classifier."""
    word_probs: Tensor | None
    """(B, W) of the detector's words in each clip; None without a detector."""
    people_probs: Tensor | None
    """(B,) that a person is in the clip; None without a detector of people."""
    several_probs: Tensor | None
    """(B,) that the clip's captions say several people or animals; None without a detector of that."""
    rendered_probs: Tensor | None
    """(B,) that the clip shows graphics, not the world; None without a detector of them."""
    action_probs: Tensor | None
    """(B, A) of what people do in the clip; None without a detector of actions."""


class CaptionModel(nn.Module):
    """Pixels or features in, a memory to write captions from out."""

    def __init__(
        self,
        encoder: FrameEncoder,
        config: DecoderConfig,
        *,
        vocabulary: int,
        forms: Sequence[str] = (),
        actions: Sequence[str] = (),
    ) -> None:
        """``forms`` are the words of the detector, ``actions`` the labels of another, where ``config`` has them."""
        super().__init__()
        self.encoder = encoder
        self.decoder = AttentionGRU(config, vocabulary=vocabulary, width=encoder.width, places=encoder.places)
        self.evidence = Evidence(config.evidence, grounding=config.grounding) if config.evidence else None
        rank = config.detector
        self.detector = WordDetector(forms, width=encoder.width, rank=rank) if rank else None
        self.people = ClipDetector(encoder.width) if config.grounding else None
        self.several = ClipDetector(encoder.width) if config.several else None
        self.rendered = ClipDetector(encoder.width) if config.rendered else None
        self.actions = ActionDetector(actions, width=encoder.width) if config.actions else None
        self.phrases: Tensor | None
        table = torch.zeros(1024 * config.phrases, dtype=torch.uint8) if config.phrases else None
        self.register_buffer("phrases", table)

    def remember(self, clips: Tensor, mask: Tensor) -> Memory:
        """Clips as uint8 pixels (B, T, H, W, 3) or as features (B, T, P, D), with mask (B, T) -> Memory."""
        return self._read(*self.encoder.parts(self.encoder.read_clips(clips, mask)), mask)[0]

    def observe(self, features: Tensor, mask: Tensor) -> Observation:
        """All that is to be known of clips before a word is written: features (B, T, P, D), mask (B, T)."""
        own, shown = self.encoder.parts(features)
        memory, noun_probs = self._read(own, shown, mask)
        word_probs = None if self.detector is None else self.detector(own, mask)
        people_probs = None if self.people is None else self.people(own, mask)
        several_probs = None if self.several is None else self.several(own, mask)
        rendered_probs = None if self.rendered is None else self.rendered(own, mask)
        action_probs = None if self.actions is None else self.actions(own, mask)
        return Observation(memory, noun_probs, word_probs, people_probs, several_probs, rendered_probs, action_probs)

    def _read(self, own: Tensor, shown: Tensor, mask: Tensor) -> tuple[Memory, Tensor | None]:
        """The memory of what the CNN sees, and the probabilities of the nouns that are read from ``shown``."""
        memory = self.decoder.remember(own, mask)
        if self.evidence is None:
            return memory, None
        evidence, noun_probs = self.evidence(shown, mask, vocabulary=len(self.decoder.bias))
        return memory._replace(evidence=evidence), noun_probs

    @torch.inference_mode()
    def generate(
        self,
        memory: Memory,
        config: SearchConfig,
        *,
        seeds: tuple[int, ...] = (),
        begins_word: Tensor | None = None,
        condition: Condition | None = None,
    ) -> list[list[Hypothesis]]:
        """Captions of every clip of the memory, as :func:`captioner.language.search.search` finds them.

        B lists, best first. With a ``condition`` ``begins_word`` covers its new tokens too.
        """

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            return self.decoder.step(memory, tokens, state)

        start = self.decoder.start(memory)
        found = search(
            condition.step(step) if condition else step,
            condition.start(start) if condition else start,
            config=config,
            bos_id=BOS,
            eos_id=EOS,
            banned=(PAD, BOS, UNK),
            seeds=seeds,
            begins_word=begins_word,
            required=condition.token if condition else None,
        )
        return found if condition is None else [spelled_out(group, condition.lexicon) for group in found]
