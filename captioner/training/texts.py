"""Captions as tokens: the targets of captioning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from captioner.errors import DataError, counted
from captioner.language.tokenizer import CaptionTokenizer, normalise
from captioner.manifest import read_manifest
from captioner.metrics.characters import tokenizer_for
from captioner.metrics.cider import CiderScorer
from captioner.metrics.content import content_words
from captioner.training.config import Recipe
from captioner.training.corpus import Corpus, load_corpora, training_clips
from captioner.training.log import TrainingLog
from captioner.video.config import VideoConfig
from captioner.vision.encoder import FrameEncoder


@dataclass(frozen=True, kw_only=True)
class CaptionCorpus(Corpus):
    """Clips with their captions as tokens."""

    tokens: list[list[tuple[int, ...]]]

    def can_be_scored(self) -> bool:
        """Whether CIDEr can tell a right caption from a wrong one here: words that every clip has count nothing."""
        references = self.references()
        own = [captions[0] for captions in references.values()]
        return bool(self.scorer().score(list(references), own).max() > 0)

    def scorer(self) -> CiderScorer:
        """CIDEr by words, or by characters where the captions have no spaces."""
        references = self.references()
        said = [caption for captions in references.values() for caption in captions]
        return CiderScorer(references, tokenize=tokenizer_for(said).tokenize)

    def references(self) -> dict[str, list[str]]:
        """Normalised captions by index (as a string), for CIDEr."""
        return {str(i): [normalise(c) for c in clip.captions] for i, clip in enumerate(self.clips)}


@dataclass(frozen=True)
class CaptionData:
    """All that a training of captions reads."""

    tokenizer: CaptionTokenizer
    train: CaptionCorpus
    val: dict[str, CaptionCorpus]
    text: list[tuple[int, ...]]
    """Captions without clips."""
    said: list[str]
    """All captions that are learned from, normalised: of clips, then without."""


def load_caption_data(
    recipe: Recipe,
    encoder: FrameEncoder | None,
    *,
    video: VideoConfig,
    tokenizer: CaptionTokenizer | None = None,
    log: TrainingLog,
) -> CaptionData:
    """Read the recipe's manifests, make the tokenizer (unless given) and whatever features are missing.

    Without an encoder the clips are pixels. Captions that are too long are left out and reported; raises DataError when
    nothing is left.
    """
    texts = [c for path in recipe.data.text for clip in read_manifest(path, split="train") for c in clip.captions]
    clips, _ = training_clips(recipe.data)
    said = [normalise(c) for c in (*(c for clip in clips for c in clip.captions), *texts)]
    if tokenizer is None and recipe.tokenizer.source:
        tokenizer = CaptionTokenizer.from_pretrained(recipe.tokenizer.source, said)
    tokenizer = tokenizer or CaptionTokenizer.train(said, vocab_size=recipe.tokenizer.vocab_size)
    train, val = load_corpora(recipe, encoder, video=video, log=log, in_memory=encoder is not None)
    longest = recipe.search.max_length - 1

    def encoded(captions: Iterable[str]) -> list[tuple[int, ...]]:
        """The tokens of captions that have a word and are not too long."""
        tokens = (tuple(tokenizer.encode(normalise(caption))) for caption in captions)
        return [caption for caption in tokens if 0 < len(caption) <= longest]

    def with_tokens(corpus: Corpus) -> CaptionCorpus:
        return CaptionCorpus(**vars(corpus), tokens=[encoded(clip.captions) for clip in corpus.clips])

    data = CaptionData(
        tokenizer=tokenizer,
        train=with_tokens(train),
        val={name: with_tokens(corpus) for name, corpus in val.items()},
        text=encoded(texts),
        said=said,
    )
    _report(data, log, longest=longest)
    _warn_of_unknown(data, log)
    return data


def _report(data: CaptionData, log: TrainingLog, *, longest: int) -> None:
    count = sum(map(len, data.train.tokens))
    captions = [caption for clip in data.train.clips for caption in clip.captions]
    wordless = sum(not normalise(caption) for caption in captions)
    if wordless == len(captions):
        raise DataError(f"none of the {len(captions)} captions has a word in it (the first: {captions[0]!r})")
    if wordless:
        log.say(f"left out: {counted(wordless, 'caption')} without a word")
    if dropped := len(captions) - wordless - count:
        log.say(f"left out: {counted(dropped, 'caption')} of more than {longest} tokens (search.max_length)")
    if not count:
        raise DataError(f"no caption has at most {longest} tokens; raise search.max_length")
    log.say(
        f"train: {counted(len(data.train.clips), 'clip')}, {counted(count, 'caption')}; text: {len(data.text)}; val: "
        + ", ".join(f"{name} {len(c.clips)}" for name, c in data.val.items())
        + f"; vocabulary: {len(data.tokenizer)} pieces"
    )


def _warn_of_unknown(data: CaptionData, log: TrainingLog) -> None:
    """Warn where the tokenizer lacks many pieces of the captions: it may be for another language."""
    pieces = [piece for known in data.train.tokens for tokens in known for piece in tokens]
    share = pieces.count(data.tokenizer.unk_id) / len(pieces)
    if share > 0.01:
        log.say(
            f"warning: the tokenizer lacks {100 * share:.0f} % of the pieces of the captions, which can never be said; "
            "for another language or script train without train.start, so that a tokenizer is made of these captions"
        )


def word_forms(stems: Sequence[str], captions: Iterable[str]) -> list[str]:
    """For each stem the words of ``captions``, normalised, that have it, with spaces between them: "dog dogs"."""
    found: dict[str, list[str]] = {stem: [] for stem in stems}
    for word in sorted({word for caption in captions for word in caption.split()}):
        for stem in content_words(word):
            if stem in found:
                found[stem].append(word)
    return [" ".join(words) for words in found.values()]
