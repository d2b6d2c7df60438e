"""Words and vectors of queries, in numpy: a search starts without torch, which takes seconds to import."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from captioner.errors import CheckpointError
from captioner.io.model_folder import CONFIG, WEIGHTS
from captioner.metrics.text import tokenize
from captioner.safe.json_text import parse_json

DEFAULT = Path(__file__).parent / "default"
"""The retriever inside the package."""
_PREFIX = "queries."
PAD, UNKNOWN = 0, 1
"""Numbers that are no words."""
_FIRST = 2


class Vocabulary:
    """Words by number, from 2 on."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._numbers = {word: number for number, word in enumerate(self.words, start=_FIRST)}

    @classmethod
    def learn(cls, clips: Iterable[Iterable[Sequence[str]]], *, least: int) -> Vocabulary:
        """The words that at least ``least`` captions have, in the order of the alphabet."""
        counts = Counter(word for captions in clips for caption in captions for word in set(caption))
        return cls(sorted(word for word, count in counts.items() if count >= least))

    def __len__(self) -> int:
        return len(self.words)

    @property
    def rows(self) -> int:
        """Of a table with a row for each word, and for padding and unknown ones."""
        return len(self.words) + _FIRST

    def numbers(self, words: Sequence[str]) -> list[int]:
        """Each word's number, :data:`UNKNOWN` for one that is not known; of no words one unknown."""
        return [self._numbers.get(word, UNKNOWN) for word in words] or [UNKNOWN]

    def unknown(self, words: Iterable[str]) -> tuple[str, ...]:
        """Those that are not known, each once."""
        return tuple(dict.fromkeys(word for word in words if word not in self._numbers))


class Queries:
    """A retriever's reader of queries: what :class:`captioner.retrieval.retriever.QueryReader` is, without torch."""

    def __init__(self, weights: dict[str, np.ndarray], words: Vocabulary, *, fingerprint: str) -> None:
        """``weights`` by the names of ``QueryReader``."""
        self.words, self.fingerprint = words, fingerprint
        self._weights = {name: array.astype(np.float32) for name, array in weights.items()}

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """By the names of ``QueryReader``, in float16."""
        return {name: array.astype(np.float16) for name, array in self._weights.items()}

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Queries:
        """Of a retriever's folder, by default the one inside the package. Raises CheckpointError."""
        from safetensors import SafetensorError, safe_open

        folder = DEFAULT if folder is None else Path(folder)
        try:
            text = (folder / CONFIG).read_bytes()
            config: dict[str, Any] = parse_json(text, name=folder / CONFIG, error=CheckpointError)
            if config.get("task") != "retrieval":
                raise CheckpointError(f"{folder} is a checkpoint for {config.get('task', 'captions')}, not a retriever")
            data = (folder / WEIGHTS).read_bytes()
            if hashlib.sha256(data).hexdigest() != config["files"][WEIGHTS]:
                raise CheckpointError(f"{folder / WEIGHTS} is damaged: its digest is not the one in config.json")
            with safe_open(folder / WEIGHTS, "np") as file:
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
        vector: np.ndarray = self.vectors([text])[0]
        return vector

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """The unit vectors (Q, W) of queries."""
        w = self._weights
        queries = [self.words.numbers(tokenize(text)) for text in texts]
        words = np.array(list(zip_longest(*queries, fillvalue=PAD)))  # (L, Q)
        given = w["embed.weight"][words] @ w["gru.cells.0.input.weight"].T + w["gru.cells.0.input.bias"]
        state = np.zeros((len(queries), w["gru.cells.0.recurrent.weight"].shape[1]), np.float32)
        for step, numbers in zip(given, words, strict=True):
            state = np.where(numbers[:, None] == PAD, state, self._next(step, state))
        vectors: np.ndarray = state @ w["out.weight"].T + w["out.bias"]
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    def _next(self, given: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The GRU's next state: the equations of :mod:`captioner.recurrent.gru`, reset after the product."""
        w, size = self._weights, state.shape[1]
        past = state @ w["gru.cells.0.recurrent.weight"].T + w["gru.cells.0.recurrent.bias"]
        gates = 1 / (1 + np.exp(-(given[:, : 2 * size] + past[:, : 2 * size])))
        candidate = np.tanh(given[:, 2 * size :] + gates[:, size:] * past[:, 2 * size :])
        new: np.ndarray = state + gates[:, :size] * (candidate - state)
        return new
