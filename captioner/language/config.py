"""Settings of the decoder, the tokenizer and the search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import require
from captioner.recurrent.config import CellName


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The attention GRU that writes the sentence, and the temporal encoder under it."""

    embed: int = 512
    """Word embedding width E; the output layer is tied to it."""
    hidden: int = 512
    """GRU state width H."""
    attention: int = 256
    """Width A of the additive attention's hidden layer."""
    cell: CellName = "gru"
    """The recurrent cell of the decoder and of the temporal encoder, by its name in ``recurrent.cells``."""
    layers: int = 1
    """Stacked cells."""
    reset: Literal["before", "after"] = "after"
    """Where the reset gate acts: ``before`` the recurrent matrix product (Cho et al. 2014) or ``after`` it
    (cuDNN, torch.nn.GRU). See docs/decisions/0002-reset-gate.md."""
    temporal: Literal["none", "gru", "bigru"] = "none"
    """Temporal encoder over the frame vectors before attention, in one direction or both; its cell is ``cell``."""
    evidence: str = ""
    """Name of the packaged CNN (encoder.source) whose ImageNet classifier tells the decoder which nouns it sees; empty:
    none."""
    detector: int = 0
    """Rank of the detector of words, which helps to choose between the beams; 0: none. It comes with a CNN that the
    task ``words`` tuned."""
    phrases: int = 0
    """Kilobytes of a table of the sequences of three words that people wrote, for the same choice; 0: none."""
    attend: bool = True
    """False: mean pooling in place of attention (for ablations)."""
    dropout: float = 0.4

    def __post_init__(self) -> None:
        for name in ("embed", "hidden", "attention", "layers"):
            require(getattr(self, name) >= 1, f"decoder.{name} is {getattr(self, name)}; it must be at least 1")
        require(self.hidden % 2 == 0, f"decoder.hidden is {self.hidden}; it must be even")
        require(self.detector >= 0, f"decoder.detector is {self.detector}; it must not be negative")
        require(self.phrases >= 0, f"decoder.phrases is {self.phrases}; it must not be negative")
        require(self.detector > 0 or not self.phrases, "decoder.phrases is for the choice that decoder.detector makes")
        require(0 <= self.dropout < 1, f"decoder.dropout is {self.dropout}; it must be in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Where the pieces come from."""

    source: str = ""
    """Folder or hub id of any pretrained Hugging Face tokenizer. Empty: train our own SentencePiece unigram model
    on the training captions."""
    vocab_size: int = 4000
    """Pieces of our own model; a pretrained one is trimmed to the ids that the training captions use."""

    def __post_init__(self) -> None:
        require(self.vocab_size >= 8, f"tokenizer.vocab_size is {self.vocab_size}; it must be at least 8")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How the sentence is chosen, and when it is held back."""

    beams: int = 5
    """Hypotheses kept a step (B in the papers). 1 is greedy search. Samples drawn, when ``temperature`` is set."""
    max_length: int = 24
    """Longest caption, in tokens, the end token included."""
    min_length: int = 1
    """Shortest caption, in tokens before the end token."""
    length_penalty: float = 0.7
    """alpha in ``score = log P / ((5 + length) / 6) ** alpha`` (Wu et al. 2016, eq. 14); 0 is none."""
    no_repeat_ngram: int = 3
    """Forbid any n-gram of this many tokens from appearing twice; 0 is off."""
    no_repeat_word: bool = True
    """Forbid a word, or a few words together, from being said twice in a row ("red red", "a dog a dog")."""
    n_best: int = 1
    """Hypotheses returned for each clip, best first; at most ``beams``."""
    groups: int = 1
    """Diverse beam search (Vijayakumar et al. 2018): the beams in this many groups ..."""
    diversity: float = 0.5
    """... where a token costs this much for each time an earlier group took it in the same step."""
    temperature: float = 0.0
    """0: search. Above 0: ancestral sampling at this temperature, ``beams`` independent samples a clip."""
    top_k: int = 0
    """Sample only from the k likeliest tokens; 0 is all."""
    top_p: float = 1.0
    """Sample only from the smallest set of tokens with this much probability (Holtzman et al. 2020)."""
    seed: int = 0
    """Of the samples."""
    evidence: bool = True
    """Let the caption say nouns that the CNN's own classifier sees, where the checkpoint has one."""
    word_weight: float = 0.2
    """How much it counts in the choice between the beams whether the CNN's detector of words sees those that they say,
    where the checkpoint has one; 0: nothing."""
    least_weight: float = 0.0
    """How much the word counts in the same choice that the detector sees least of those that a sentence says: times the
    logarithm of its probability; 0: nothing."""
    odd_price: float = 1.0
    """What each sequence of three words that people did not write costs a sentence in the same choice; 0: nothing."""
    min_confidence: float = 0.0
    """A caption with less confidence than this is marked ``abstained``; 0 is never."""

    def __post_init__(self) -> None:
        require(1 <= self.beams <= 1000, f"search.beams is {self.beams}; it must be 1 to 1000")
        require(1 <= self.n_best <= self.beams, f"search.n_best is {self.n_best}; it must be 1 to beams ({self.beams})")
        require(self.max_length >= 1, f"search.max_length is {self.max_length}; it must be at least 1")
        require(
            0 <= self.min_length < self.max_length,
            f"search.min_length is {self.min_length}; it must be 0 to max_length - 1 ({self.max_length - 1})",
        )
        require(self.no_repeat_ngram >= 0, f"search.no_repeat_ngram is {self.no_repeat_ngram}; it must not be negative")
        require(
            self.groups >= 1 and self.beams % self.groups == 0,
            f"search.groups is {self.groups}; it must divide beams ({self.beams})",
        )
        require(self.temperature >= 0, f"search.temperature is {self.temperature}; it must not be negative")
        require(self.temperature == 0 or self.groups == 1, "search.groups and search.temperature exclude each other")
        require(self.top_k >= 0, f"search.top_k is {self.top_k}; it must not be negative")
        require(0 < self.top_p <= 1, f"search.top_p is {self.top_p}; it must be in (0, 1]")
        require(self.word_weight >= 0, f"search.word_weight is {self.word_weight}; it must not be negative")
        require(self.least_weight >= 0, f"search.least_weight is {self.least_weight}; it must not be negative")
        require(self.odd_price >= 0, f"search.odd_price is {self.odd_price}; it must not be negative")
        require(0 <= self.min_confidence <= 1, f"search.min_confidence is {self.min_confidence}; it must be in [0, 1]")

    @property
    def reorders(self) -> bool:
        """Whether the beams' sentences are ordered anew by the words that were seen, where a checkpoint can."""
        return self.temperature == 0 and max(self.word_weight, self.least_weight, self.odd_price) > 0
