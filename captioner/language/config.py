"""Settings of the decoder, the tokenizer and the search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import Slider, check_settings, require, setting
from captioner.recurrent.cells import check_cell


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The attention GRU that writes the caption, and the temporal encoder before it."""

    embed: int = 512
    """Word embedding width E; the output layer is tied to it."""
    hidden: int = 512
    """GRU state width H."""
    attention: int = 256
    """Width A of the additive attention's hidden layer."""
    cell: str = "gru"
    """The recurrent cell of the decoder and of the temporal encoder, by its name in ``recurrent.cells``."""
    layers: int = 1
    """Recurrent layers."""
    reset: Literal["before", "after"] = "after"
    """Where the reset gate acts: ``before`` the recurrent matrix product (Cho et al. 2014) or ``after`` it
    (cuDNN, torch.nn.GRU). Neither is better (docs/notebook)."""
    temporal: Literal["none", "gru", "bigru"] = "none"
    """Temporal encoder over the frame vectors before attention, in one direction or both; its cell is ``cell``."""
    evidence: str = ""
    """Name of the packaged CNN (encoder.source) whose ImageNet classifier gives the decoder noun probabilities; empty
    is none."""
    detector: int = 0
    """Rank of the word detector, which reranks the hypotheses; 0 is none. It comes with a CNN that the task ``words``
    fine-tuned."""
    grounding: bool = False
    """Ground the search: it says detected nouns that captions hardly have, and no person where the people detector
    finds none. It needs ``evidence``."""
    several: bool = False
    """Detect whether captions would say several people or animals: where that is unlikely, a grounded search cannot."""
    rendered: bool = False
    """Detect rendered pictures (slides, screens, charts, cartoons), whose captions are then unsure. It learns from
    ``data.rendered``."""
    actions: bool = False
    """Detect actions, and let the search of a grounded captioner say them. It learns from ``data.actions``."""
    phrases: int = 0
    """Kilobytes of a filter of the training captions' trigrams, for the same reranking; 0 is none."""
    attend: bool = True
    """False: mean pooling in place of attention (for ablations)."""
    dropout: float = 0.4
    """Dropout."""

    def __post_init__(self) -> None:
        check_cell(self.cell, "decoder.cell")
        for name in ("embed", "hidden", "attention", "layers"):
            require(getattr(self, name) >= 1, f"decoder.{name} is {getattr(self, name)}; it must be at least 1")
        require(self.hidden % 2 == 0, f"decoder.hidden is {self.hidden}; it must be even")
        require(self.detector >= 0, f"decoder.detector is {self.detector}; it must not be negative")
        require(self.phrases >= 0, f"decoder.phrases is {self.phrases}; it must not be negative")
        require(self.detector > 0 or not self.phrases, "decoder.phrases needs decoder.detector, which it reranks with")
        require(bool(self.evidence) or not self.grounding, "decoder.grounding needs decoder.evidence")
        require(self.grounding or not self.actions, "decoder.actions needs decoder.grounding")
        require(self.grounding or not self.several, "decoder.several needs decoder.grounding")
        require(0 <= self.dropout < 1, f"decoder.dropout is {self.dropout}; it must be in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """The source of the tokenizer."""

    source: str = ""
    """Folder or hub id of a pretrained Hugging Face tokenizer. Empty: train a SentencePiece unigram model on the
    training captions."""
    vocab_size: int = 4000
    """Pieces of that model. A pretrained tokenizer is trimmed to the ids that the training captions use."""

    def __post_init__(self) -> None:
        require(self.vocab_size >= 8, f"tokenizer.vocab_size is {self.vocab_size}; it must be at least 8")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How the caption is searched, reranked and marked.

    Each setting is said here alone: the options of ``captioner caption`` and ``python -m eval run`` and the sliders of
    the page are made from these fields.
    """

    beams: int = setting(
        5,
        "beam width: hypotheses kept at each step; 1 is greedy search",
        metavar="K",
        low=1,
        high=1000,
        slider=Slider("Beams", 1, 20, 1),
    )
    """Samples drawn, when ``temperature`` is set."""
    n_best: int = setting(1, "hypotheses returned for each clip, at most --beams", low=1)
    length_penalty: float = setting(
        0.7, "0 is none; higher favours long captions", metavar="A", slider=Slider("Length penalty", 0, 2, 0.1)
    )
    """alpha in ``score = log P / ((5 + length) / 6) ** alpha`` (Wu et al. 2016, eq. 14)."""
    min_length: int = setting(1, "shortest caption in tokens, without the end token", metavar="L", low=0)
    max_length: int = setting(24, "longest caption in tokens, with the end token", metavar="L", low=1)
    no_repeat_ngram: int = setting(3, "forbid an n-gram of N tokens from appearing twice; 0 allows it", low=0)
    no_repeat_word: bool = setting(True, "allow a word, or a few words together, twice in a row")
    """Forbid ("red red", "a dog a dog")."""
    groups: int = setting(1, "diverse beam search: groups of beams; must divide --beams", metavar="G", low=1)
    """Vijayakumar et al. (2018)."""
    diversity: float = setting(0.5, "penalty for a token that an earlier group took in the same step", metavar="X")
    temperature: float = setting(
        0.0, "above 0: draw --beams samples at this temperature, no search", metavar="T", low=0
    )
    top_k: int = setting(0, "sample from the K likeliest tokens; 0 is all", metavar="K", low=0)
    top_p: float = setting(
        1.0, "sample from the likeliest tokens of this total probability", metavar="P", above=0, high=1
    )
    """Holtzman et al. (2020)."""
    seed: int = setting(0, "seed of the samples", metavar="S")
    evidence: bool = setting(True, "ignore detected nouns and actions")
    """Let the caption say nouns that the CNN's own classifier detects, and detected actions, where the checkpoint has
    detectors of them."""
    word_weight: float = setting(0.2, "rerank: weight of the detected words; 0 is off", metavar="W", low=0)
    """For checkpoints with a detector of words."""
    least_weight: float = setting(
        0.0, "rerank: weight of the caption's least visible word; 0 is off", metavar="W", low=0
    )
    """Times the logarithm of its probability."""
    match_weight: float = setting(
        0.0, "rerank: weight of how well a sentence fits the clip; 0 is off", metavar="W", low=0
    )
    """Times the cosine of their vectors by the package's retriever. For checkpoints that set it and whose features the
    retriever reads."""
    noun_weight: float = setting(
        1.5, "rerank: weight of detected nouns that training captions lack; 0 is off", metavar="W", low=0
    )
    """Times the logarithm of how much likelier the noun is in this clip than in any; for grounded checkpoints."""
    odd_price: float = setting(
        1.0, "rerank: penalty for each trigram that no training caption has; 0 is off", metavar="P", low=0
    )
    """A sentence without "is" or "are" pays half of it."""
    scene_change: float = setting(
        0.0,
        "find scenes by this cosine distance, caption the most confident; 0 is off",
        metavar="D",
        low=0,
        high=2,
    )
    """Of the fine-tuned CNN's mean features; for checkpoints with a detector of words."""
    min_confidence: float = setting(
        0.0,
        "mark captions with a lower confidence as unsure",
        metavar="C",
        low=0,
        high=1,
        slider=Slider("Minimum confidence", 0, 1, 0.01),
    )

    def __post_init__(self) -> None:
        check_settings(self, "search")
        require(self.n_best <= self.beams, f"search.n_best is {self.n_best}; it must be 1 to beams ({self.beams})")
        require(
            self.min_length < self.max_length,
            f"search.min_length is {self.min_length}; it must be 0 to max_length - 1 ({self.max_length - 1})",
        )
        require(self.beams % self.groups == 0, f"search.groups is {self.groups}; it must divide beams ({self.beams})")
        require(self.temperature == 0 or self.groups == 1, "search.groups and search.temperature exclude each other")
