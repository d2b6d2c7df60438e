"""A trained retriever as one folder: config.json, the readers' weights, and which captioner's features it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.checkpoint.files import half, write_folder
from captioner.checkpoint.folder import CheckpointFolder
from captioner.checkpoint.hub import located
from captioner.config import to_dict
from captioner.errors import CheckpointError
from captioner.retrieval.config import RetrieverConfig
from captioner.retrieval.queries import DEFAULT, Queries, Vocabulary
from captioner.retrieval.retriever import Retriever
from captioner.vision.encoder import FrameEncoder

_KEYS = {"format", "captioner", "task", "retriever", "words", "reads", "places", "inputs", "trained_on", "files"}


@dataclass(frozen=True, kw_only=True)
class RetrieverCheckpoint:
    """What a folder holds, loaded and verified."""

    model: Retriever
    words: Vocabulary
    reads: str
    """Fingerprint of the encoder whose features it reads."""
    trained_on: dict[str, Any]
    papers: dict[str, bytes] = field(default_factory=dict)
    """Notices and licences that go with what is made of it."""
    fingerprint: str

    def queries(self) -> Queries:
        """What reads sentences for it, without torch."""
        weights = {name: tensor.numpy() for name, tensor in self.model.queries.state_dict().items()}
        return Queries(weights, self.words, fingerprint=self.fingerprint)


def save_retriever(
    folder: str | Path,
    *,
    model: Retriever,
    words: Vocabulary,
    reads: str,
    trained_on: dict[str, Any],
    papers: Mapping[str, bytes] = {},
) -> None:
    """Write a checkpoint to a temporary sibling, then rename it to ``folder`` (replacing what was there)."""
    config = {
        "task": "retrieval",
        "retriever": to_dict(model.config),
        "reads": reads,
        "places": model.places,
        "inputs": len(model.clips.middle),
        "words": list(words.words),
        "trained_on": trained_on,
    }
    write_folder(folder, weights=half(model), config=config, papers=papers)


def retriever_folder(folder: str | Path | None) -> Path:
    """The folder that is meant: None is the package's own."""
    return DEFAULT if folder is None else located(folder)


def load_retriever(folder: str | Path | None = None, *, encoder: FrameEncoder | None = None) -> RetrieverCheckpoint:
    """Load a retriever, by default the package's own, on the CPU.

    Raises CheckpointError, also unless it reads the features of ``encoder``, where that is given.
    """
    saved = CheckpointFolder.open(retriever_folder(folder), keys=_KEYS, task="retrieval")
    config, words = saved.config, Vocabulary(saved.names("words"))
    if encoder is not None and encoder.fingerprint() != config["reads"]:
        raise CheckpointError(
            f"the retriever {saved.fingerprint} reads the features of another captioner's CNN; train one on "
            "this captioner's: recipes/retrieval/default.toml with --set train.start=FOLDER"
        )
    settings = saved.settings(RetrieverConfig, "retriever")
    return RetrieverCheckpoint(
        model=saved.weighted(
            lambda: Retriever(settings, inputs=config["inputs"], words=words.rows, places=config["places"])
        ),
        words=words,
        reads=config["reads"],
        trained_on=config["trained_on"],
        papers=saved.papers,
        fingerprint=saved.fingerprint,
    )
