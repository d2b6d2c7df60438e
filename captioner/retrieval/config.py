"""The network of a retriever."""

from __future__ import annotations

from dataclasses import dataclass

from captioner.config import require


@dataclass(frozen=True, kw_only=True)
class RetrieverConfig:
    """What stands on the captioner's features, and what reads a query."""

    width: int = 256
    """Numbers of a vector W: of a clip and of a query."""
    embed: int = 128
    """Numbers of a word E."""
    hidden: int = 384
    """State H of the GRU that reads a query."""
    rank: int = 0
    """Of the matrix that reads the pooled features; 0 is full rank."""
    dropout: float = 0.3
    """Of the pooled features."""
    query_dropout: float = 0.2
    """Of the words' numbers and of the last state."""
    least_count: int = 3
    """A word that training captions have less often is unknown to the retriever."""

    def __post_init__(self) -> None:
        for name in ("width", "embed", "hidden", "least_count"):
            require(getattr(self, name) >= 1, f"retriever.{name} is {getattr(self, name)}; it must be at least 1")
        require(self.rank >= 0, f"retriever.rank is {self.rank}; it must not be negative")
        for name in ("dropout", "query_dropout"):
            require(0 <= getattr(self, name) < 1, f"retriever.{name} is {getattr(self, name)}; it must be in [0, 1)")
