"""The training objectives against slow arithmetic, and what they do to a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from captioner.training.batch import collate_captions
from captioner.training.losses import CiderReward, cross_entropy, self_critical_loss
from tests.tiny import tiny_model


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_the_mean_over_words(smoothing: float) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 3, 5), torch.tensor([[4, 2, 0], [1, 0, 0]])
    expected = []
    for row, column in ((0, 0), (0, 1), (1, 0)):
        log_probs = logits[row, column].log_softmax(0)
        hit = -log_probs[targets[row, column]]
        expected.append((1 - smoothing) * hit - smoothing * log_probs.mean())
    torch.testing.assert_close(cross_entropy(logits, targets, pad=0, smoothing=smoothing), torch.stack(expected).mean())


def test_the_reward_is_cider_and_punishes_broken_off_captions() -> None:
    references = {
        "0": ["a man is playing a guitar", "a man plays the guitar"],
        "1": ["a dog runs on the beach", "the dog is running"],
        "2": ["two cats sleep"],
    }
    reward = CiderReward(references)
    whole, broken, wrong = reward(["0"] * 3, ["a man is playing a guitar", "a man is playing a", "two cats sleep"])
    assert whole > broken > wrong == 0


@pytest.mark.parametrize("normalise", [False, True])
def test_self_critical_training_turns_to_the_caption_that_scores(tmp_path: Path, normalise: bool) -> None:
    """Taught two captions for each clip in equal shares, then rewarded for one of them, the model says that one."""
    model, tokenizer = tiny_model(tmp_path)
    both = [
        ("a red circle grows", "two blue squares moves left"),
        ("a green cross grows", "two red circle moves right"),
    ]
    features, mask = torch.randn(2, 1, 1, model.encoder.width), torch.ones(2, 1, dtype=torch.bool)
    coded = [[tokenizer.encode(c) for c in pair] for pair in both]
    inputs, targets = collate_captions([c for pair in coded for c in pair])
    optimizer = torch.optim.Adam(model.decoder.parameters(), 0.02)

    def taught() -> torch.Tensor:
        logits, _ = model.decoder(model.decoder.remember(features, mask), inputs.view(2, 2, -1))
        return cross_entropy(logits, targets.view(2, 2, -1), pad=tokenizer.pad_id)

    def step(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def chosen_probability() -> torch.Tensor:
        """Of each clip's first caption."""
        with torch.no_grad():
            logits, _ = model.decoder(model.decoder.remember(features, mask), inputs.view(2, 2, -1))
            log_probs = logits.log_softmax(-1).gather(-1, targets.view(2, 2, -1, 1))[..., 0]
            return (log_probs * (targets.view(2, 2, -1) != tokenizer.pad_id)).sum(-1).exp()[:, 0]

    for _ in range(150):
        step(taught())
    before = chosen_probability()
    assert (before > 0.3).all() and (before < 0.7).all()
    reward = CiderReward({"0": [both[0][0]], "1": [both[1][0]], "2": [both[0][1]], "3": [both[1][1]]})
    rewards = []
    for group in optimizer.param_groups:  # where most samples agree, one that differs weighs much: small steps
        group["lr"] = 0.005
    for seed in range(40):
        loss, mean = self_critical_loss(
            model,
            model.decoder.remember(features, mask),
            clips=["0", "1"],
            reward=reward,
            tokenizer=tokenizer,
            samples=8,
            max_length=24,
            seed=seed,
            normalise=normalise,
        )
        rewards.append(mean)
        step(loss)
    assert (chosen_probability() > 0.8).all()
    # What it earned at first is a matter of chance: another processor draws other samples. A right caption earns 10,
    # so the policy before is expected to earn at least its share of right ones.
    assert sum(rewards[-5:]) / 5 > 10 * before.mean()


def test_normalised_advantages_do_not_depend_on_the_scale_of_the_reward(tmp_path: Path) -> None:
    """A data set of ten times the CIDEr pulls ten times as hard, unless advantages are normalised."""
    model, tokenizer = tiny_model(tmp_path)
    features, mask = torch.randn(1, 1, 1, model.encoder.width), torch.ones(1, 1, dtype=torch.bool)

    class Scaled(CiderReward):
        def __init__(self, scale: float) -> None:
            self.scale = scale

        def __call__(self, clips: Sequence[str], captions: Sequence[str]) -> np.ndarray:
            return self.scale * np.array([float(len(c)) for c in captions])

    def loss(scale: float, normalise: bool) -> float:
        return self_critical_loss(
            model,
            model.decoder.remember(features, mask),
            clips=["0"],
            reward=Scaled(scale),
            tokenizer=tokenizer,
            samples=6,
            max_length=24,
            seed=5,
            normalise=normalise,
        )[0].item()

    assert loss(10, False) == pytest.approx(10 * loss(1, False), rel=1e-4)
    assert loss(10, True) == pytest.approx(loss(1, True), rel=0.05) != 0
