"""A trained retriever as one folder: config.json, the readers' weights, and which captioner's features it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.checkpoint.files import WEIGHTS, check_files, digest, filled, half, read_folder, section, write_folder
from captioner.checkpoint.hub import find_papers, located
from captioner.config import to_dict
from captioner.errors import CheckpointError
from captioner.retrieval.config import RetrieverConfig
from captioner.retrieval.network import RetrieverHead
from captioner.retrieval.queries import Vocabulary

DEFAULT = Path(__file__).parent / "default"
"""The retriever inside the package."""

_KEYS = {"format", "captioner", "task", "retriever", "words", "reads", "places", "inputs", "trained_on", "files"}


@dataclass(frozen=True, kw_only=True)
class RetrieverCheckpoint:
    """What a folder holds, loaded and verified."""

    head: RetrieverHead
    words: Vocabulary
    reads: str
    """Fingerprint of the encoder whose features it reads."""
    places: int
    """P of these, without the untuned CNN's."""
    trained_on: dict[str, Any]
    papers: dict[str, bytes] = field(default_factory=dict)
    """Notices and licences that go with what is made of it."""
    fingerprint: str


def save_retriever(
    folder: str | Path,
    *,
    head: RetrieverHead,
    words: Vocabulary,
    reads: str,
    places: int,
    trained_on: dict[str, Any],
    papers: Mapping[str, bytes] = {},
) -> None:
    """Write a checkpoint to a temporary sibling, then rename it to ``folder`` (replacing what was there)."""
    config = {
        "task": "retrieval",
        "retriever": to_dict(head.config),
        "reads": reads,
        "places": places,
        "inputs": len(head.clips.middle),
        "words": list(words.words),
        "trained_on": trained_on,
    }
    write_folder(folder, weights=half(head), config=config, papers=papers)


def read_retriever(folder: str | Path | None = None) -> tuple[Path, dict[str, Any]]:
    """The folder that is meant, by default the package's own, and its config.json. Raises CheckpointError."""
    folder = DEFAULT if folder is None else located(folder)
    config = read_folder(folder, keys=_KEYS, files={WEIGHTS}, task="retrieval")
    check_files(folder, config)
    words = config["words"]
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise CheckpointError(f"{folder / 'config.json'}: words must be a list of words")
    return folder, config


def load_retriever(folder: str | Path | None = None) -> RetrieverCheckpoint:
    """Load a retriever, by default the package's own, on the CPU. Raises CheckpointError."""
    folder, config = read_retriever(folder)
    words, settings = Vocabulary(config["words"]), section(RetrieverConfig, config, "retriever", folder)
    return RetrieverCheckpoint(
        head=filled(lambda: RetrieverHead(settings, inputs=config["inputs"], words=words.rows), folder / WEIGHTS),
        words=words,
        reads=config["reads"],
        places=config["places"],
        trained_on=config["trained_on"],
        papers=find_papers(folder),
        fingerprint=digest(folder / "config.json")[:12],
    )
