"""Loads the model that a command uses: a captioner, an indexer or a recogniser of actions."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from captioner.errors import UsageError, counted

if TYPE_CHECKING:
    from captioner.caption.clips import ClipModel


@contextmanager
def loading() -> Iterator[None]:
    """Import and load without collecting garbage: what is loaded stays, and to look through it takes 0.1 s a time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@loading()
def load_model(options: argparse.Namespace) -> ClipModel:
    """What ``-m`` names, by default the package's own. Raises CheckpointError, ConfigError and UsageError."""
    if options.kind == "actions":
        from captioner.actions.recognizer import Recognizer
        from captioner.actions.rows import ActionRows

        recognizer = Recognizer.load(options.model, device=options.device)
        if options.top is not None and not 1 <= options.top <= len(recognizer.labels):
            raise UsageError(
                f"--top is {options.top}; the checkpoint knows {counted(len(recognizer.labels), 'action')}"
            )
        return ActionRows(recognizer)
    if options.kind == "index":
        from captioner.index.indexer import Indexer

        return Indexer.load(
            options.model,
            retriever=options.retriever,
            thumbnails=options.thumbnails,
            features=options.features,
            device=options.device,
        )
    from captioner.caption.captioner import Captioner

    return Captioner.load(options.model, device=options.device)


def load_alone(options: argparse.Namespace) -> ClipModel:
    """The model, for a process that does nothing else."""
    import torch

    from captioner.io.platform import keep_freed_memory

    keep_freed_memory()
    model = load_model(options)
    if model.device.type == "cpu":
        torch.set_num_threads(1)  # each child has a thread that encodes; and one thread gives the same bits anywhere
    return model
