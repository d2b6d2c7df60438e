"""Encodes captions as ids and decodes them, with one small vocabulary whatever tokenizer the pieces come from.

The pieces are our own SentencePiece unigram model's, or those of any pretrained Hugging Face tokenizer (T5, GPT-2,
BERT, ...). Captions are first put in one plain form (:func:`normalise`). A pretrained vocabulary is trimmed to the
pieces that the training captions use. Our four special tokens come first:

    0 pad   1 bos   2 eos   3 unk   4.. the pieces, in the order of their original ids

So every row of the decoder's output layer is trained.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from captioner.errors import CheckpointError, ConfigError, DataError
from captioner.language.normalisation import normalise
from captioner.language.pieces import BOS, EOS, PAD, UNK, Pieces
from captioner.language.sources import Spec, from_sentencepiece, pretrained, spelling, unknown_id
from captioner.safe.json_text import read_settings

__all__ = ["CaptionTokenizer", "normalise"]

FORMAT = 1
_SPECIALS = 4  # pad, bos, eos, unk
TOKENIZER_FILE, VOCABULARY_FILE = "tokenizer.json", "vocabulary.json"


class CaptionTokenizer:
    """Captions to token ids and back, over ``len(self)`` ids of which the first four are special.

    Make one with :meth:`train`, :meth:`from_pretrained` or :meth:`load`.
    """

    pad_id, bos_id, eos_id, unk_id = PAD, BOS, EOS, UNK

    def __init__(self, spec: Spec, kept: Sequence[int]) -> None:
        """``spec`` is a tokenizer.json in plain form; ``kept`` are the original ids in use, in the order of ours."""
        from tokenizers import Tokenizer

        self._spec, self._kept = spec, list(kept)
        self._tokenizer = Tokenizer.from_str(json.dumps(spec))
        pieces = {i: piece for piece, i in self._tokenizer.get_vocab(with_added_tokens=False).items()}
        spelled = spelling(spec, (pieces[original] for original in self._kept))
        self.pieces = Pieces([b""] * _SPECIALS + spelled)
        self._trimmed = {original: _SPECIALS + i for i, original in enumerate(self._kept)}
        self._known: dict[str, list[int]] = {}

    def __len__(self) -> int:
        """V: how many ids there are, the four special ones included."""
        return len(self.pieces)

    def encode(self, caption: str) -> list[int]:
        """The ids of ``normalise(caption)``, without bos and eos; a piece outside the vocabulary is ``unk_id``."""
        return [token for word in normalise(caption).split() for token in self._word_ids(word)]

    def _word_ids(self, word: str) -> list[int]:
        """The ids of one word: always the same, as no piece reaches over a space, so it is worked out once."""
        if word not in self._known:
            originals = self._tokenizer.encode(word, add_special_tokens=False).ids
            self._known[word] = [self._trimmed.get(original, self.unk_id) for original in originals]
        return self._known[word]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids`` up to the first eos; pad, bos and unk say nothing, nor do bytes that make no character.

        ``decode(encode(caption)) == normalise(caption)`` when no piece is outside the vocabulary.
        """
        return self.pieces.decode(ids)

    @classmethod
    def train(cls, captions: Iterable[str], *, vocab_size: int) -> CaptionTokenizer:
        """Our own SentencePiece unigram model (Kudo 2018) of ``captions``, with at most ``vocab_size`` ids.

        Fewer when the text does not hold that many useful pieces. The same captions give the same pieces.
        Raises DataError when there are no words, ConfigError when ``vocab_size`` is below the characters in use.
        """
        texts = [text for text in map(normalise, captions) if text]
        if not texts:
            raise DataError("no caption with a word in it to train a tokenizer on")
        characters = len(set().union(*texts) - {" "})
        needed = characters + 1 + _SPECIALS  # the 1 is the space
        if vocab_size < needed:
            raise ConfigError(
                f"tokenizer.vocab_size is {vocab_size}, but the captions are written with {characters} different "
                f"characters; it must be at least {needed}"
            )
        spec = from_sentencepiece(_sentencepiece_model(texts, pieces=vocab_size - _SPECIALS))
        return cls(spec, range(1, len(spec["model"]["vocab"])))

    @classmethod
    def from_pretrained(cls, source: str, captions: Iterable[str]) -> CaptionTokenizer:
        """The tokenizer in the folder, or with the hub id, ``source``, cut down to what ``captions`` use.

        Raises CheckpointError when there is none or it cannot be used, DataError when no piece is used.
        """
        from tokenizers import Tokenizer

        spec = pretrained(source)
        tokenizer = Tokenizer.from_str(json.dumps(spec))
        words = sorted({word for caption in captions for word in normalise(caption).split()})
        encodings = tokenizer.encode_batch_fast(words, add_special_tokens=False)
        used: set[int] = set().union(*(encoding.ids for encoding in encodings))
        kept = sorted(used - {unknown_id(spec)})
        if not kept:
            raise DataError(f"the tokenizer {source} has no piece for any of the captions")
        return cls(spec, kept)

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json and vocabulary.json into ``folder``, which is made when it is missing."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        vocabulary = {"format": FORMAT, "ids": self._kept, "sha256": _digest(self._spec, self._kept)}
        for name, content in ((TOKENIZER_FILE, self._spec), (VOCABULARY_FILE, vocabulary)):
            (folder / name).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, folder: str | Path) -> CaptionTokenizer:
        """Read what :meth:`save` wrote, without transformers; raises CheckpointError on anything else."""
        folder = Path(folder)
        spec, vocabulary = _read_json(folder / TOKENIZER_FILE), _read_json(folder / VOCABULARY_FILE)
        if vocabulary.get("format") != FORMAT:
            raise CheckpointError(
                f"{folder / VOCABULARY_FILE} has the format {vocabulary.get('format')!r}; this captioner reads {FORMAT}"
            )
        kept: Any = vocabulary.get("ids")
        in_order = isinstance(kept, list) and all(type(i) is int for i in kept) and kept == sorted(set(kept))
        if not in_order or vocabulary.get("sha256") != _digest(spec, kept):
            raise CheckpointError(
                f"{folder / VOCABULARY_FILE} does not belong to the {TOKENIZER_FILE} beside it, or one was changed; "
                f"copy both again from where they were made"
            )
        try:
            return cls(spec, kept)
        except Exception as error:  # the tokenizers library raises bare Exception
            raise CheckpointError(f"the tokenizer in {folder} cannot be used: {error}") from error


def _sentencepiece_model(texts: list[str], *, pieces: int) -> bytes:
    """A serialised unigram model of at most ``pieces`` pieces, after its unk, which is 0; every character is one."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=pieces + 1,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        max_sentence_length=1 << 20,
        num_threads=1,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        minloglevel=2,
    )
    return model.getvalue()


def _digest(spec: Spec, kept: list[int]) -> str:
    """A fingerprint of everything that ids depend on, whatever the white space of the files."""
    return hashlib.sha256(json.dumps([spec, kept], sort_keys=True).encode()).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    return read_settings(path, error=CheckpointError)
