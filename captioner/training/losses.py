"""Losses: cross-entropy of reference captions, and self-critical CIDEr of sampled ones.

Self-critical training is REINFORCE on CIDEr-D (Rennie et al. 2017), where the baseline of each sampled caption is
the mean reward of the clip's other samples (Luo 2020), which needs no greedy decoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from captioner.language.config import SearchConfig
from captioner.language.decoder import Memory
from captioner.language.tokenizer import CaptionTokenizer
from captioner.metrics.characters import tokenizer_for
from captioner.metrics.cider import CiderScorer
from captioner.model import CaptionModel
from captioner.training.batch import collate_captions


def cross_entropy(logits: Tensor, targets: Tensor, *, pad: int, smoothing: float = 0.0) -> Tensor:
    """Mean negative log-likelihood a token, with label smoothing (Szegedy et al. 2016).

    Logits (..., V), targets (...); positions whose target is ``pad`` do not count.
    """
    return nn.functional.cross_entropy(
        logits.flatten(0, -2).float(), targets.flatten(), ignore_index=pad, label_smoothing=smoothing
    )


_END = " endofcaption"  # scored as a word, so that a caption broken off ("a man is playing a") earns less


class CiderReward:
    """The reward of self-critical training: CIDEr-D of captions against their clip's references, end token included."""

    def __init__(self, references: Mapping[str, Sequence[str]]) -> None:
        tokenizer = tokenizer_for(caption for captions in references.values() for caption in captions)
        ended = {clip: [r + _END for r in refs] for clip, refs in references.items()}
        self._scorer = CiderScorer(ended, tokenize=tokenizer.tokenize)

    def __call__(self, clips: Sequence[str], captions: Sequence[str]) -> np.ndarray:
        """The reward of each caption of the clip beside it."""
        return self._scorer.score(clips, [c + _END for c in captions])


def self_critical_loss(
    model: CaptionModel,
    memory: Memory,
    *,
    clips: Sequence[str],
    reward: CiderReward,
    tokenizer: CaptionTokenizer,
    samples: int,
    max_length: int,
    seed: int,
    normalise: bool = False,
) -> tuple[Tensor, float]:
    """The policy-gradient loss of ``samples`` captions a clip, and their mean reward.

    ``normalise``: advantages in units of their deviation within the clip, as in GRPO (Shao et al. 2024, eq. 3).
    """
    sampling = SearchConfig(
        beams=samples,
        n_best=samples,
        max_length=max_length,
        temperature=1.0,
        seed=seed,
        no_repeat_ngram=0,  # the gradient is that of the model's own distribution
    )
    drawn = model.generate(memory, sampling)
    flat = [hypothesis.tokens for group in drawn for hypothesis in group]
    names = [clip for clip, group in zip(clips, drawn, strict=True) for _ in group]
    assert len(flat) == len(clips) * samples
    rewards = torch.from_numpy(reward(names, [tokenizer.decode(t) for t in flat])).float()
    rewards = rewards.view(len(clips), samples)
    others = (rewards.sum(dim=1, keepdim=True) - rewards) / (samples - 1)
    inputs, targets = collate_captions(flat)
    if max_length < targets.shape[1]:  # cut at max_length: there is no end token to learn
        inputs, targets = inputs[:, :max_length], targets[:, :max_length]
    device = memory.values.device
    shape = (len(clips), samples, -1)
    inputs, targets = inputs.view(shape).to(device), targets.view(shape).to(device)
    logits, _ = model.decoder(memory, inputs)
    log_probs = logits.float().log_softmax(dim=-1).gather(-1, targets[..., None]).squeeze(-1)
    advantages = rewards - others
    if normalise:  # a tenth of a CIDEr (10 points) is noise, not to be blown up
        advantages = advantages / (rewards.std(dim=1, keepdim=True) + 0.1)
    weights = advantages.to(device)[..., None] * (targets != tokenizer.pad_id)
    return -(weights * log_probs).sum() / (targets != tokenizer.pad_id).sum(), rewards.mean().item()
