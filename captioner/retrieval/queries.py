"""Reads queries in numpy: a search starts without torch, which takes seconds to import."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from captioner.errors import CheckpointError
from captioner.metrics.text import tokenize
from captioner.retrieval.words import Vocabulary
from captioner.safe.json_text import parse_json

DEFAULT = Path(__file__).parent / "default"
"""The retriever inside the package."""
_WEIGHTS = "model.safetensors"
_PREFIX = "queries."


class Queries:
    """A retriever's reader of queries: what :class:`captioner.retrieval.network.QueryReader` is, without torch."""

    def __init__(self, weights: dict[str, np.ndarray], words: Vocabulary, *, fingerprint: str) -> None:
        """``weights`` by the names of ``QueryReader``."""
        self.words, self.fingerprint = words, fingerprint
        self._weights = {name: array.astype(np.float32) for name, array in weights.items()}

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Queries:
        """Of a retriever's folder, by default the one inside the package. Raises CheckpointError."""
        from safetensors import SafetensorError, safe_open

        folder = DEFAULT if folder is None else Path(folder)
        try:
            text = (folder / "config.json").read_bytes()
            config: dict[str, Any] = parse_json(text, name=folder / "config.json", error=CheckpointError)
            if config.get("task") != "retrieval":
                raise CheckpointError(f"{folder} is a checkpoint for {config.get('task', 'captions')}, not a retriever")
            data = (folder / _WEIGHTS).read_bytes()
            if hashlib.sha256(data).hexdigest() != config["files"][_WEIGHTS]:
                raise CheckpointError(f"{folder / _WEIGHTS} is damaged: its digest is not the one in config.json")
            with safe_open(folder / _WEIGHTS, "np") as file:
                weights = {
                    name.removeprefix(_PREFIX): file.get_tensor(name)
                    for name in file.keys()  # noqa: SIM118 - safetensors' own
                    if name.startswith(_PREFIX)
                }
            return cls(weights, Vocabulary(config["words"]), fingerprint=hashlib.sha256(text).hexdigest()[:12])
        except FileNotFoundError as error:
            raise CheckpointError(f"{folder} is not a retriever: it has no {Path(error.filename).name}") from None
        except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
            raise CheckpointError(f"cannot read the retriever {folder}: {error}") from error

    def unknown(self, text: str) -> tuple[str, ...]:
        """The words of a query that the retriever does not know."""
        return self.words.unknown(tokenize(text))

    def vector(self, text: str) -> np.ndarray:
        """The unit vector (W,) of a query."""
        w = self._weights
        state = np.zeros(w["gru.cells.0.recurrent.weight"].shape[1], np.float32)
        for number in self.words.numbers(tokenize(text)):
            state = self._step(w["embed.weight"][number], state)
        vector: np.ndarray = w["out.weight"] @ state + w["out.bias"]
        return vector / max(float(np.linalg.norm(vector)), 1e-12)

    def _step(self, word: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The GRU's next state: the equations of :mod:`captioner.recurrent.gru`, reset after the product."""
        w, size = self._weights, len(state)
        given = w["gru.cells.0.input.weight"] @ word + w["gru.cells.0.input.bias"]
        past = w["gru.cells.0.recurrent.weight"] @ state + w["gru.cells.0.recurrent.bias"]
        gates = 1 / (1 + np.exp(-(given[: 2 * size] + past[: 2 * size])))
        candidate = np.tanh(given[2 * size :] + gates[size:] * past[2 * size :])
        new: np.ndarray = state + gates[:size] * (candidate - state)
        return new
