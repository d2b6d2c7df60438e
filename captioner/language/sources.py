"""Tokenizer sources: a folder, the Hugging Face hub or SentencePiece, converted to one plain form.

A "spec" is the content of a ``tokenizer.json``. Captions in their plain form are words with single spaces. So each
family of tokenizers needs only its model and the simplest spelling of a word. The pretrained one's normalisation,
templates and special tokens are dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from captioner.errors import CheckpointError, first_line

Spec = dict[str, Any]

_METASPACE: Spec = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
_BYTE_LEVEL: Spec = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
_WHOLE_WORDS: Spec = {"type": "WhitespaceSplit"}
_BYTES_OF_WORDS: Spec = {
    "type": "Sequence",
    "pretokenizers": [_WHOLE_WORDS, _BYTE_LEVEL | {"add_prefix_space": False, "use_regex": False}],
}


def pretrained(source: str) -> Spec:
    """The plain spec of the tokenizer in the folder, or with the hub id, ``source``; raises CheckpointError."""
    try:
        folder = Path(source).expanduser()
        return _read(folder if folder.is_dir() else _fetched(source))
    except CheckpointError:
        raise
    except Exception as error:  # the libraries raise bare Exception, ValueError, OSError, ...
        raise CheckpointError(f"the tokenizer {source!r} cannot be used: {error}") from error


def _read(folder: Path) -> Spec:
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel
    from tokenizers.models import BPE

    file, spiece, vocab, merges = (folder / n for n in ("tokenizer.json", "spiece.model", "vocab.json", "merges.txt"))
    if file.is_file():
        tokenizer = Tokenizer.from_file(str(file))
    elif spiece.is_file():  # T5's layout: AutoTokenizer wants a config beside it, T5Tokenizer(vocab_file=) gives junk
        spec = from_sentencepiece(spiece.read_bytes())
        if all(score.is_integer() for _, score in spec["model"]["vocab"]):  # ranks, not log-probabilities
            raise ValueError("its SentencePiece model is not a unigram one; save it as tokenizer.json first")
        return spec
    elif vocab.is_file() and merges.is_file():  # GPT-2's layout: AutoTokenizer wants a config beside it
        tokenizer = Tokenizer(BPE.from_file(str(vocab), str(merges)))
        tokenizer.decoder = ByteLevel()
    elif (folder / "tokenizer_config.json").is_file():
        from transformers import AutoTokenizer

        slow = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer = slow.backend_tokenizer
    else:
        raise FileNotFoundError(
            "it holds no tokenizer.json, no spiece.model, no vocab.json with merges.txt and no tokenizer_config.json"
        )
    return _plain(json.loads(tokenizer.to_str()))


_HUB_FILES = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "*.model", "vocab.*", "merges.txt"]


def _fetched(source: str) -> Path:
    """The folder of the hub's ``source``, downloaded unless it is there already; raises CheckpointError."""
    path = Path(source)
    local = path.exists() or (len(path.parts) > 1 and path.parent.is_dir())
    if local or not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", source):
        raise CheckpointError(
            f"there is no tokenizer folder {source!r}; give a folder, or a hub id like google/t5-small"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return Path(snapshot_download(source, allow_patterns=_HUB_FILES))
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"there is no tokenizer folder {source!r}, and none on the Hugging Face hub") from error
    except Exception as error:  # no network, a full disk, ...
        raise CheckpointError(
            f"there is no tokenizer folder {source!r}, and the Hugging Face hub gave none ({first_line(error)})"
        ) from error


def from_sentencepiece(model: bytes) -> Spec:
    """A serialised SentencePiece unigram model as a plain spec."""
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    vocab = [[pieces.id_to_piece(i), pieces.get_score(i)] for i in range(len(pieces))]
    unigram = {
        "type": "Unigram",
        "unk_id": pieces.unk_id(),
        "vocab": vocab,
        "byte_fallback": False,
    }
    return _plain({"normalizer": None, "pre_tokenizer": _METASPACE, "decoder": _METASPACE, "model": unigram})


def _plain(spec: Spec) -> Spec:
    """``spec`` reduced to its model and the simplest spelling of a word; raises ValueError on an unknown kind."""
    model = spec["model"]
    suffix = model.get("end_of_word_suffix")
    around = json.dumps([spec[part] for part in ("normalizer", "pre_tokenizer", "decoder")], ensure_ascii=False)
    if '"ByteLevel"' in around and suffix:
        pre_tokenizer = _BYTES_OF_WORDS
        decoder = _in_turn(_BYTE_LEVEL, {"type": "Replace", "pattern": {"String": suffix}, "content": " "})
    elif '"ByteLevel"' in around:
        pre_tokenizer = decoder = _BYTE_LEVEL
    elif "▁" in around:
        pre_tokenizer = _METASPACE
        decoder = _in_turn({"type": "ByteFallback"}, _METASPACE) if model.get("byte_fallback") else _METASPACE
    elif model["type"] == "WordPiece":
        pre_tokenizer = _WHOLE_WORDS
        decoder = {"type": "WordPiece", "prefix": model["continuing_subword_prefix"], "cleanup": False}
    elif suffix:
        pre_tokenizer, decoder = _WHOLE_WORDS, {"type": "BPEDecoder", "suffix": suffix}
    else:
        raise ValueError(
            f"its {model['type']} pieces do not say where words begin; use one like T5's, GPT-2's or BERT's"
        )
    nothing = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor"))
    return {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": pre_tokenizer,
        "decoder": decoder,
        "model": model,
        **nothing,
    }


def _in_turn(*steps: Spec) -> Spec:
    return {"type": "Sequence", "decoders": list(steps)}


def unknown_id(spec: Spec) -> int | None:
    """The id by which a plain spec says "not in the vocabulary", where it can."""
    model = spec["model"]
    return model["unk_id"] if model["type"] == "Unigram" else model["vocab"].get(model.get("unk_token"))


def spelling(spec: Spec, pieces: Iterable[str]) -> list[bytes]:
    """What each piece adds to the text, as UTF-8, with the space that begins (or ends) a word."""
    model, alphabet = spec["model"], _byte_alphabet()
    byte_level = spec["pre_tokenizer"] in (_BYTE_LEVEL, _BYTES_OF_WORDS)
    suffix = model.get("end_of_word_suffix") or ""
    prefix = model.get("continuing_subword_prefix") or ""
    spelled = []
    for piece in pieces:
        body = piece.removesuffix(suffix)
        if byte_level:
            raw = bytes(alphabet[character] for character in body if character in alphabet)
        elif model.get("byte_fallback") and (match := re.fullmatch(r"<0x([0-9A-F]{2})>", body)):
            raw = bytes.fromhex(match[1])
        elif model["type"] == "WordPiece":
            raw = (body.removeprefix(prefix) if body.startswith(prefix) else f" {body}").encode()
        else:
            raw = body.replace("▁", " ").encode()
        spelled.append(raw + b" " if body != piece else raw)
    return spelled


def _byte_alphabet() -> dict[str, int]:
    """The printable stand-ins for the 256 bytes (Radford et al. 2019), each with its byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
