"""Writes checkpoint folders: config.json, model.safetensors and a task's own files.

What a CNN has unchanged from a pip package is not copied: it is read from there (:mod:`captioner.checkpoint.folder`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from captioner import __version__
from captioner.config import to_dict
from captioner.errors import CaptionerError, CheckpointError, DataError
from captioner.io.model_folder import CNN, CONFIG, WEIGHTS
from captioner.safe.json_text import read_settings
from captioner.safe.whole import check_folder, whole_folder
from captioner.vision.backbones import is_packaged, packaged_weights
from captioner.vision.encoder import FrameEncoder

FORMAT = 1


def write_model(
    folder: str | Path,
    *,
    model: nn.Module,
    size: int,
    config: dict[str, Any],
    add_files: Callable[[Path], None] = lambda folder: None,
    papers: Mapping[str, bytes] = {},
) -> None:
    """Write the folder of a model that has its CNN in ``encoder``, which is recorded for frames of ``size`` pixels."""
    encoder: Any = model.encoder
    shared = _of_package(encoder)
    cnn = {
        "encoder": to_dict(encoder.config)
        | {"source": encoder.config.source if shared else "", "weights": "pretrained"},
        "cnn": encoder.cnn_config(size=size),
    }
    write_folder(
        folder,
        weights=half(model, without=frozenset(f"{CNN}{name}" for name in shared)),
        config=cnn | config,
        add_files=add_files,
        papers=papers,
    )


def write_folder(
    folder: str | Path,
    *,
    weights: dict[str, torch.Tensor],
    config: dict[str, Any],
    add_files: Callable[[Path], None] = lambda folder: None,
    papers: Mapping[str, bytes] = {},
) -> None:
    """Write a folder to a temporary sibling, then rename it to ``folder``.

    It takes the place of a checkpoint that is there (commands ask :func:`check_output` first); other files in it, such
    as a README.md, stay.

    ``add_files`` writes what there is beside the weights; ``papers``
    (:func:`captioner.checkpoint.hub.find_papers`) come to it.
    ``config`` is completed by the format, the version and the files' digests.
    """
    from safetensors.torch import save_file

    with whole_folder(folder, overwrite=True, ours=own_files) as temporary:
        save_file(weights, temporary / WEIGHTS)
        add_files(temporary)
        digests = {path.name: digest(path) for path in sorted(temporary.iterdir())}
        whole = {"format": FORMAT, "captioner": __version__} | config | {"files": digests}
        (temporary / CONFIG).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        for name, content in papers.items():
            (temporary / name).write_bytes(content)


def own_files(folder: Path) -> set[str]:
    """The names of what a checkpoint folder consists of; papers are left out, for people add theirs."""
    return {CONFIG, *_peek(folder).get("files", ())}


def is_ours(folder: Path) -> bool:
    """Whether a folder holds a checkpoint of any task, or an export."""
    return bool(_peek(folder).keys() & {"captioner", "runtime"})


def check_output(folder: Path, *, overwrite: bool, inputs: Sequence[str | Path] = ()) -> None:
    """Raise CaptionerError unless a command may write a checkpoint there (:func:`captioner.safe.whole.check_folder`).

    One of its ``inputs`` it may not replace.
    """
    for source in inputs:
        if folder.exists() and Path(source).exists() and folder.samefile(source):
            raise CaptionerError(f"writing {folder} would destroy the input {source}; give another output")
    check_folder(folder, overwrite=overwrite, ours=is_ours)


def _peek(folder: Path) -> dict[str, Any]:
    """The config.json of any folder; empty without one."""
    try:
        return read_settings(folder / CONFIG)
    except DataError:
        return {}


def is_for(folder: Path, task: str) -> bool:
    """Whether a folder is a checkpoint of this task; captions, the first, have no name in it."""
    return bool(_peek(folder).get("task") == task)


def tuned_weights(encoder: FrameEncoder) -> int:
    """How many of the CNN's weights are not those of the pip package that it comes from; all without one."""
    shared = set(_of_package(encoder))
    return sum(p.numel() for name, p in encoder.cnn.named_parameters() if name not in shared)


def _of_package(encoder: FrameEncoder) -> list[str]:
    """The weights that the encoder's CNN has unchanged from the pip package that it comes from; none without one."""
    source = encoder.config.source
    if not is_packaged(source):
        return []
    own = encoder.cnn.state_dict()
    return [name for name, tensor in packaged_weights(source).items() if torch.equal(own[name].cpu(), tensor)]


def half(model: nn.Module, *, without: frozenset[str] = frozenset()) -> dict[str, torch.Tensor]:
    """The weights in float16, but for those named in ``without``."""
    weights = {}
    for name, tensor in model.state_dict().items():
        if name in without:
            continue
        half = tensor.detach().to("cpu", torch.float16 if tensor.is_floating_point() else tensor.dtype)
        if half.is_floating_point() and not half.isfinite().all():
            raise CheckpointError(f"the weights {name} are not finite in float16; the training has diverged")
        weights[name] = half.contiguous()
    return weights


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
