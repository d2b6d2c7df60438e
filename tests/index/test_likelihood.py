"""The decoder's likelihood of a query, beside the decoder's own steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from captioner.checkpoint.captioning import load_checkpoint
from captioner.index.likelihood import Likelihood, kept_features
from captioner.language.pieces import BOS, EOS
from tests.tiny import tiny_checkpoint


def test_a_sentence_is_as_likely_as_its_tokens_step_by_step(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint(tmp_path, grid=2))
    model, rng = checkpoint.model, np.random.default_rng(0)
    clips = [rng.normal(size=(1, 4, model.encoder.width)).astype(np.float16).astype(np.float32) for _ in range(3)]
    sentence = "a red circle moves left"
    found = Likelihood(checkpoint).of(sentence, [kept_features(clip, places=4) for clip in clips])
    tokens = checkpoint.tokenizer.encode(sentence)
    for clip, likelihood in zip(clips, found, strict=True):
        with torch.inference_mode():
            memory = model.observe(torch.from_numpy(clip)[None], torch.ones(1, 1, dtype=torch.bool)).memory
            state, total = model.decoder.start(memory), 0.0
            for before, token in zip([BOS, *tokens], [*tokens, EOS], strict=True):
                log_probs, state = model.decoder.step(memory, torch.tensor([[before]]), state)
                total += float(log_probs[0, 0, token])
        assert likelihood == pytest.approx(total / (len(tokens) + 1), abs=1e-4)


def test_kept_features_are_means_over_the_frames_that_each_cnn_saw() -> None:
    features = np.zeros((4, 3, 2), np.float32)
    features[:, :2] = np.arange(4)[:, None, None]
    features[[1, 3], 2] = [[2, 4], [4, 8]]  # the original CNN looked at two frames
    kept = np.frombuffer(kept_features(features, places=2), np.float16).reshape(3, 2)
    np.testing.assert_array_equal(kept, [[1.5, 1.5], [1.5, 1.5], [3, 6]])
    assert np.frombuffer(kept_features(features[:1], places=3), np.float16).tolist() == [0] * 6
