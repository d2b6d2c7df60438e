"""Averages the weights of checkpoints that were trained from one start: a model soup (Wortsman et al. 2022).

The mean of a fine-tuned network and the one it began with knows the new task and keeps the old (Wortsman et al.,
WiSE-FT, 2022).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from captioner.checkpoint.captioning import Checkpoint, load_checkpoint, save_checkpoint
from captioner.checkpoint.cnn import load_whole, save_tuned
from captioner.checkpoint.files import is_for
from captioner.config import to_dict
from captioner.errors import CheckpointError, UsageError
from captioner.video.config import VideoConfig


def average(sources: Sequence[str | Path], out: str | Path, *, weights: Sequence[float] = ()) -> None:
    """Write the mean of captioners, or of CNNs that the task ``words`` tuned, to the folder ``out``.

    By ``weights`` (default: equal; they need not sum to one).

    Everything but the weights is the last one's, and the notices and licences are those of all; a calibration is left
    out, as it belongs to other weights. Raises UsageError for weights that do not fit, CheckpointError where the
    checkpoints are not of one kind.
    """
    shares = list(weights) or [1.0] * len(sources)
    if len(shares) != len(sources) or min(shares) < 0 or not 0 < sum(shares) < math.inf:
        raise UsageError(f"weights {shares} for {len(sources)} checkpoints; give each one number, none below 0")
    shares = [share / sum(shares) for share in shares]
    if is_for(Path(sources[0]), "words"):
        _average_tuned([Path(source) for source in sources], Path(out), shares)
        return
    loaded = [load_checkpoint(source) for source in sources]
    for source, other in zip(sources[1:], loaded[1:], strict=True):
        if differs := _difference(loaded[0], other):
            raise CheckpointError(f"{sources[0]} and {source} cannot be averaged: they differ in {differs}")
    last = loaded[-1]
    states = [checkpoint.model.state_dict() for checkpoint in loaded]
    _load_mean(last.model, states, shares)
    told = _told(last.trained_on, [checkpoint.fingerprint for checkpoint in loaded], shares)
    save_checkpoint(
        out,
        model=last.model,
        tokenizer=last.tokenizer,
        video=last.video,
        search=last.search,
        trained_on=told,
        papers=_together([checkpoint.papers for checkpoint in loaded]),
    )


def _average_tuned(folders: Sequence[Path], out: Path, shares: Sequence[float]) -> None:
    loaded = [load_whole(folder) for folder in folders]
    last, saved = loaded[-1]
    for folder, (_, other) in zip(folders, loaded, strict=True):
        for key in ("words", "labels", "video", "encoder"):
            if other.config[key] != saved.config[key]:
                raise CheckpointError(f"{folder} and {folders[-1]} cannot be averaged: they differ in the {key}")
    states = [model.state_dict() for model, _ in loaded]
    _load_mean(last, states, shares)
    save_tuned(
        out,
        last,
        words=saved.names("words"),
        labels=saved.names("labels"),
        video=saved.settings(VideoConfig, "video"),
        trained_on=_told(saved.config["trained_on"], [one.fingerprint for _, one in loaded], shares),
    )


def _load_mean(model: Any, states: Sequence[dict[str, Tensor]], shares: Sequence[float]) -> None:
    mean = {name: _mean([state[name] for state in states], shares) for name in states[0]}
    if any(not torch.equal(mean[name], states[-1][name]) for name in mean if name.startswith("encoder.cnn.")):
        model.encoder.exact.clear()  # it was found for other weights
    model.load_state_dict(mean)


def _told(trained_on: dict[str, Any], fingerprints: Sequence[str], shares: Sequence[float]) -> dict[str, Any]:
    """The training record of an average."""
    averaged = [{"checkpoint": f, "weight": round(share, 4)} for f, share in zip(fingerprints, shares, strict=True)]
    return {key: value for key, value in trained_on.items() if key not in _OF_ONE} | {"average_of": averaged}


_OF_ONE = {"validation", "chosen_at"}
"""Entries that hold for one checkpoint alone, and not for an average."""


def _mean(tensors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    first = tensors[0]
    if all(torch.equal(first, tensor) for tensor in tensors):  # and stays what a package holds, bit for bit
        return first
    if not first.is_floating_point():  # a table of bits: what any of them knows
        return functools.reduce(torch.bitwise_or, tensors)
    return torch.stack([share * tensor for share, tensor in zip(shares, tensors, strict=True)]).sum(dim=0)


def _together(papers: Sequence[dict[str, bytes]]) -> dict[str, bytes]:
    """The notices and licences of all. A second text under a name that is taken gets another name."""
    found: dict[str, bytes] = {}
    for name, content in (item for those in papers for item in those.items()):
        while found.get(name, content) != content:
            name += "-2"
        found[name] = content
    return found


def _actions(checkpoint: Checkpoint) -> tuple[str, ...]:
    detector = checkpoint.model.actions
    return detector.labels if detector is not None else ()


def _forms(checkpoint: Checkpoint) -> tuple[str, ...]:
    return checkpoint.model.detector.forms if checkpoint.model.detector else ()


def _difference(one: Checkpoint, other: Checkpoint) -> str:
    """The first thing that keeps two networks from being averaged; empty if nothing does."""
    pairs = {
        "the frames": (to_dict(one.video), to_dict(other.video)),
        "the pieces": (one.tokenizer.pieces.spelled, other.tokenizer.pieces.spelled),
        "the decoder": (to_dict(one.model.decoder.config), to_dict(other.model.decoder.config)),
        "the words of the detector": (_forms(one), _forms(other)),
        "the actions of the detector": (_actions(one), _actions(other)),
        "the CNN": (to_dict(one.model.encoder.config), to_dict(other.model.encoder.config)),
        "the weights' shapes": tuple(
            {name: tensor.shape for name, tensor in checkpoint.model.state_dict().items()}
            for checkpoint in (one, other)
        ),
    }
    return next((what for what, (mine, its) in pairs.items() if mine != its), "")
