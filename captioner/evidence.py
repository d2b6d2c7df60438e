"""What the CNN's own classifier sees: nouns that people would use, with their probabilities.

ImageNet's 1,000 classes become some 300 nouns (``nouns.tsv``): the evidence for a noun is the sum over its classes.
The decoder learns when to say what is seen: a gate on its state scales the evidence that is added to the logits of the
nouns' words. As the gate does not know which noun it is, it serves those that few captions had, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from captioner.backbones import classifier_weights

if TYPE_CHECKING:
    from captioner.tokenizer import CaptionTokenizer

CLASSES = 1000
_SCALE = 50.0
"""Evidence is ``log(1 + 50 p)``: 0.4 at 1 %, 2.6 at 25 %, 3.9 at 100 %."""


@dataclass(frozen=True)
class Noun:
    """A noun, the one that takes it in, and the classes that it stands for."""

    name: str
    broader: str
    classes: tuple[int, ...]


@cache
def nouns() -> tuple[Noun, ...]:
    """The table, in its own order."""
    found = []
    for line in (Path(__file__).parent / "nouns.tsv").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, broader, ranges = line.split("\t")
        classes: list[int] = []
        for part in ranges.split(","):
            first, _, last = part.partition("-")
            classes += range(int(first), int(last or first) + 1)
        found.append(Noun(name, broader, tuple(classes)))
    return tuple(found)


class Evidence(nn.Module):
    """Features of frames to the evidence for each token of the vocabulary.

    ``source`` names the packaged CNN that the features are of; its classifier is read from the package when it is
    first needed. ``tokens`` are the words of the nouns, -1 for a noun that no token begins.
    """

    tokens: Tensor

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.register_buffer("tokens", torch.full((len(nouns()),), -1))
        self._head: tuple[Tensor, Tensor, Tensor] | None = None

    def learn_words(self, tokenizer: CaptionTokenizer) -> None:
        """Look up the token that each noun begins with."""
        for row, noun in enumerate(nouns()):
            first = tokenizer.encode(noun.name)[:1]
            self.tokens[row] = first[0] if first and first[0] != tokenizer.unk_id else -1

    def probabilities(self, features: Tensor) -> Tensor:
        """Probability (..., N) of each noun from features (..., P, D), frame by frame."""
        weight, bias, groups = self._classifier(features.device)
        logits = nn.functional.linear(features.float().mean(dim=-2), weight, bias)
        return logits.softmax(dim=-1) @ groups

    def forward(self, features: Tensor, mask: Tensor, *, vocabulary: int) -> Tensor:
        """Evidence (B, V) for each token from features (B, T, P, D) and mask (B, T): that of the nouns it begins."""
        with torch.no_grad():
            shown = mask.float() / mask.sum(dim=1, keepdim=True).clamp(min=1)
            seen = (shown[:, None] @ self.probabilities(features)).squeeze(1)  # (B, N): the mean over frames
            known = self.tokens >= 0
            evidence = seen.new_zeros(len(seen), vocabulary)
            evidence.index_add_(1, self.tokens[known], seen[:, known])
            return torch.log1p(_SCALE * evidence)

    def _classifier(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        if self._head is None or self._head[0].device != device:
            weight, bias = classifier_weights(self.source)
            groups = torch.zeros(CLASSES, len(nouns()))
            for column, noun in enumerate(nouns()):
                groups[list(noun.classes), column] = 1
            self._head = (weight.to(device), bias.to(device), groups.to(device))
        return self._head


# --- what a caption says, and what was seen -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Sight:
    """A noun that the classifier saw in a clip."""

    noun: str
    probability: float
    """The mean over the clip's frames."""
    peak_seconds: float
    """Time of the frame where it was surest."""
    used: bool = False
    """Whether the caption says it."""


LEAST = 0.05
"""Nouns less probable than this are not told."""
SURE = 0.5
"""A noun as probable as this takes the place of a broader one, or of another of its kind that was not seen ..."""
UNSEEN = 0.02
"""... which is one less probable than this."""
_LAST_ANIMAL = 397
_KINDS = (
    {"accordion", "guitar", "banjo", "cello", "drum", "flute", "trumpet", "piano", "harmonica", "harp", "saxophone"}
    | {"trombone", "violin"},
    {
        "airplane",
        "ambulance",
        "bicycle",
        "boat",
        "car",
        "train",
        "bus",
        "truck",
        "ship",
        "tractor",
        "tank",
        "motorcycle",
    }
    | {"fire truck", "forklift", "go-kart", "snowmobile", "tram", "unicycle", "jeep"},
)


def sights(probabilities: Tensor, times_seconds: tuple[float, ...], *, said: list[str]) -> tuple[Sight, ...]:
    """The nouns in a clip, surest first, from their probabilities (T, N) in its frames; ``said`` is its caption."""
    mean = probabilities.mean(dim=0)
    found = [
        Sight(
            noun=nouns()[column].name,
            probability=float(mean[column]),
            peak_seconds=times_seconds[int(probabilities[:, column].argmax())],
            used=f" {nouns()[column].name} " in f" {' '.join(said)} ",
        )
        for column in mean.argsort(descending=True)[:5].tolist()
    ]
    return tuple(sight for sight in found if sight.probability >= LEAST)


def named(words: list[str], probabilities: Tensor) -> list[str]:
    """A caption's words, some replaced by the noun that was seen for certain, from the mean probabilities (N,).

    It takes the place of a broader noun ("bird": "cockatoo"), and of one of the same kind that was not seen at all ("a
    dog is walking": "an elephant is walking"). An article before it follows.
    """
    columns = {noun.name: column for column, noun in enumerate(nouns())}
    best = int(probabilities.argmax())
    sure = nouns()[best]
    if float(probabilities[best]) < SURE:
        return words
    for place, word in enumerate(words):
        if set(sure.name.split()) & {*words[:place], *words[place + 1 :]}:
            continue
        broader = word == sure.broader or (word == "animal" and _kind(sure.name) == "animal")
        kind = _kind(word) if word in columns else ""
        mistaken = kind and kind == _kind(sure.name) and float(probabilities[columns[word]]) < UNSEEN
        if broader or mistaken:
            if word == sure.name:
                return words
            changed = [*words[:place], sure.name, *words[place + 1 :]]
            if place and words[place - 1] in ("a", "an"):
                changed[place - 1] = "an" if sure.name[0] in "aeiou" else "a"
            return changed
    return words


@cache
def _kind(name: str) -> str:
    """Nouns of one kind are taken for each other; empty for one of its own."""
    noun = next((noun for noun in nouns() if noun.name == name), None)
    if noun is None:
        return ""
    if max(noun.classes) <= _LAST_ANIMAL or noun.classes[0] <= _LAST_ANIMAL:
        return "animal"
    return next((f"kind {number}" for number, kind in enumerate(_KINDS) if name in kind), "")
