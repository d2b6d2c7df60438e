"""Captions to ids and back: the plain form, our own pieces and other people's, and what is stored."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from captioner.errors import CheckpointError, ConfigError, DataError
from captioner.language.tokenizer import CaptionTokenizer, _sentencepiece_model, normalise

CAPTIONS = [
    "A red circle moves to the left.",
    "a blue square isn't moving , it 's standing still",
    "two green triangles are dancing around the man's café",
    "a woman is sautéing mushrooms",
    "someone throws an orange ball to a dog — the dog catches it",
    "кошка играет с мячом",
    "日本語 の 字幕",
    "a cat plays with a 3rd ball & a toy",
    "one man s hat isn t on his head",
]


# --- the plain form -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("A man,  riding a\thorse.\n", "a man riding a horse"),
        ("it s its shell", "it's its shell"),
        ("It's a dog's life", "it's a dog's life"),
        ("it 's the man ’s hat", "it's the man's hat"),
        ("the customer`s face", "the customer's face"),
        ("she does n't , he doesn t and they don't", "she doesn't he doesn't and they don't"),
        (
            "they re sure we ve seen what i ll do and i m glad he d go",
            "they're sure we've seen what i'll do and i'm glad he'd go",
        ),
        ("a 'quoted' ''word'' and tikes' toys", "a quoted word and tikes toys"),
        ("a t shirt, the letter s and a d on t v", "a t shirt the letter s and a d on t v"),
        ("a t-shirt and black & white pigs/horses", "a t shirt and black and white pigs horses"),
        ("ＦＵＬＬ ｗｉｄｔｈ ﬁsh", "full width fish"),
        ("cafe\u0301", "café"),
        ("soft\u00adhyphen zero\u200dwidth", "softhyphen zerowidth"),
        ("हिन्दी में", "हिन्दी में"),
        ("a ❤️ 😀 smile 1️⃣", "a smile 1"),
        ("nul\0, bell\a and \ud800 half", "nul bell and half"),
        (" ... ", ""),
        ("", ""),
    ],
)
def test_normalise(written: str, plain: str) -> None:
    assert normalise(written) == plain


_PARTS = st.sampled_from(
    ["it", "they", "man", "do", "n't", "'s", "s", "re", "t", "m", "i", "d", "can", "'", "''", "-", "shirt", "the"]
)


@settings(deadline=None, derandomize=True)
@given(st.one_of(st.text(), st.lists(_PARTS).map(" ".join), st.lists(_PARTS).map("".join)))
def test_normalise_twice_changes_nothing(text: str) -> None:
    plain = normalise(text)
    assert normalise(plain) == plain
    assert plain == " ".join(plain.split())
    assert plain == plain.lower() or not text.isascii()


# --- other people's tokenizers, in small ----------------------------------------------------------------------------


def _like_t5(folder: Path) -> None:
    """A SentencePiece unigram model as T5 ships it: with control pieces of its own, and nothing beside it."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CAPTIONS),
        model_writer=model,
        vocab_size=120,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())


def _like_gpt2(folder: Path) -> None:
    """A byte-level BPE as GPT-2 ships it: vocab.json and merges.txt only, neither pad nor unk."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CAPTIONS, trainer)
    tokenizer.model.save(str(folder))


def _like_clip(folder: Path) -> None:
    """A byte-level BPE whose words end in ``</w>`` and do not begin in anything."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>", *(byte + "</w>" for byte in sorted(alphabet))],
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(CAPTIONS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))


def _like_bert(folder: Path) -> None:
    """WordPiece with ``##``, BERT's accent-stripping normaliser and its [CLS] ... [SEP]."""
    words = sorted({word for caption in CAPTIONS for word in normalise(caption).split()})
    characters = sorted(set("".join(words)))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters, *(f"##{c}" for c in characters), *words[::2], "##ing"]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))


def _like_llama(folder: Path) -> None:
    """BPE over ``▁`` with the bytes as ``<0x..>`` pieces, ``▁`` written by the normaliser, and <s> in front."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.train_from_iterator(filter(str.isascii, CAPTIONS), trainer)  # é and к are left to the bytes
    tokenizer.pre_tokenizer = None
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))


FAMILIES = {"t5": _like_t5, "gpt2": _like_gpt2, "clip": _like_clip, "bert": _like_bert, "llama": _like_llama}


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CaptionTokenizer]:
    """Our own tokenizer and one of each family, all for CAPTIONS."""
    made = {"own": CaptionTokenizer.train(CAPTIONS, vocab_size=150)}
    for name, write in FAMILIES.items():
        folder = tmp_path_factory.mktemp(name)
        write(folder)
        made[name] = CaptionTokenizer.from_pretrained(str(folder), CAPTIONS)
    return made


KINDS = ["own", *FAMILIES]


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(every: dict[str, CaptionTokenizer], kind: str) -> None:
    tokenizer = every[kind]
    for caption in CAPTIONS:
        ids = tokenizer.encode(caption)
        assert all(4 <= token < len(tokenizer) for token in ids)
        assert tokenizer.decode(ids) == normalise(caption)
        assert tokenizer.decode([1, *ids, 2, *ids, 0, 0]) == normalise(caption)
        assert tokenizer.encode(normalise(caption)) == ids
    assert tokenizer.encode("...") == tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_decode_agrees_with_the_tokenizers_library(
    every: dict[str, CaptionTokenizer], kind: str, tmp_path: Path
) -> None:
    """Our spelling of pieces as bytes against the library's decoder, for the captions from each word onwards."""
    tokenizer = every[kind]
    tokenizer.save(tmp_path)
    kept = json.loads((tmp_path / "vocabulary.json").read_text())["ids"]
    library = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for caption in CAPTIONS:
        ids = tokenizer.encode(caption)
        for _, first, _ in tokenizer.pieces.words(ids):
            theirs = library.decode([kept[token - 4] for token in ids[first:]], skip_special_tokens=False)
            assert tokenizer.decode(ids[first:]) == " ".join(theirs.split())


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_a_caption_cover_all_its_tokens(every: dict[str, CaptionTokenizer], kind: str) -> None:
    tokenizer = every[kind]
    for caption in CAPTIONS:
        ids = tokenizer.encode(caption)
        words = tokenizer.pieces.words([1, *ids, 2, 0])
        assert [word for word, _, _ in words] == normalise(caption).split()
        assert [first for _, first, _ in words] == [1] + [end for _, _, end in words[:-1]]
        assert words[-1][2] == 1 + len(ids)
        for word, first, end in words:  # the tokens of a word alone say that word
            assert tokenizer.decode([1, *ids][first:end]) == word


@settings(deadline=None, derandomize=True)
@given(st.data())
def test_words_of_any_tokens(every: dict[str, CaptionTokenizer], data: st.DataObject) -> None:
    tokenizer = every[data.draw(st.sampled_from(KINDS))]
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=30))
    words = tokenizer.pieces.words(ids)
    text = tokenizer.decode(ids)
    assert text == " ".join(word for word, _, _ in words)
    assert text.split() == [word for word, _, _ in words]
    previous = (0, 0)
    for _, first, end in words:
        assert first < end <= len(ids) and tokenizer.eos_id not in ids[:end]
        assert previous[1] <= first or previous == (first, end)  # bytes may happen to make some other space
        previous = (first, end)


def test_a_character_over_several_tokens_belongs_to_one_word(every: dict[str, CaptionTokenizer]) -> None:
    tokenizer = every["gpt2"]
    ids = tokenizer.encode("a кошка")
    assert len(ids) > 6  # bytes, not characters
    assert tokenizer.pieces.words(ids) == [("a", 0, 1), ("кошка", 1, len(ids))]
    assert tokenizer.decode(ids[:-1]) == "a кошк"  # half a character says nothing


def test_a_lone_space_piece_belongs_to_the_word_after_it(tmp_path: Path) -> None:
    vocab = [("<unk>", 0.0), ("▁", -1.0), ("▁dog", -1.0), ("ox", -1.0), ("s", -1.0)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = CaptionTokenizer.from_pretrained(str(tmp_path), ["dogs ox dog"])
    space, dog, ox, s = range(4, 8)
    assert ours.encode("ox dogs") == [space, ox, dog, s]
    assert ours.pieces.words([dog, space, ox, s, dog]) == [("dog", 0, 1), ("oxs", 1, 4), ("dog", 4, 5)]
    assert ours.pieces.words([space, space, ours.unk_id, dog, space]) == [("dog", 3, 4)]
    assert ours.pieces.words([dog, ours.unk_id, s]) == [("dogs", 0, 3)]


def test_what_is_outside_the_vocabulary_is_unk_and_says_nothing(every: dict[str, CaptionTokenizer]) -> None:
    for kind in KINDS:
        ids = every[kind].encode("a ძაღლი circle")
        assert every[kind].unk_id in ids, kind
        plain = every[kind].decode(ids)
        assert plain.split()[0] == "a" and plain.split()[-1] == "circle"
        assert every[kind].decode(every[kind].encode(plain)) == plain


def test_the_vocabulary_is_trimmed_to_the_captions(tmp_path: Path) -> None:
    _like_gpt2(tmp_path)
    few, many = (CaptionTokenizer.from_pretrained(str(tmp_path), CAPTIONS[:n]) for n in (1, 9))
    assert len(few) == 4 + len(set(few.encode(CAPTIONS[0]))) < len(many)
    assert few.encode(CAPTIONS[0]).count(few.unk_id) == 0
    with pytest.raises(DataError, match="no piece for any"):
        CaptionTokenizer.from_pretrained(str(tmp_path), ["...", ""])


# --- our own pieces -------------------------------------------------------------------------------------------------


def test_own_pieces_are_sentencepieces() -> None:
    """The conversion to tokenizer.json against SentencePiece itself, on text that it has not seen too."""
    texts = [normalise(caption) for caption in CAPTIONS]
    theirs = sentencepiece.SentencePieceProcessor(model_proto=_sentencepiece_model(texts, pieces=140))
    ours = CaptionTokenizer.train(CAPTIONS, vocab_size=144)
    assert len(ours) == 4 + len(theirs) - 1
    unseen = ["the triangles circle around a squared woman", "a dog ძაღლი dogs", "ringing standing mushroom 33 balls"]
    for text in [*texts, *unseen]:
        assert ours.encode(text) == [3 + piece for piece in theirs.encode(text)]  # their unk 0 is our unk 3


def test_own_pieces_are_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        CaptionTokenizer.train(iter(CAPTIONS), vocab_size=120).save(tmp_path / name)
    for file in ("tokenizer.json", "vocabulary.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@settings(deadline=None, derandomize=True)
@given(st.lists(st.text("ab é'", max_size=8), min_size=1, max_size=4), st.integers(8, 60))
def test_tiny_texts_get_fewer_pieces(captions: list[str], vocab_size: int) -> None:
    try:
        tokenizer = CaptionTokenizer.train(captions, vocab_size=vocab_size)
    except DataError:
        assert not any(map(normalise, captions))
        return
    except ConfigError:
        assert vocab_size < 4 + len(set("▁".join(map(normalise, captions)) + "▁"))
        return
    assert 4 < len(tokenizer) <= vocab_size
    for caption in captions:
        assert tokenizer.decode(tokenizer.encode(caption)) == normalise(caption)


def test_a_vocabulary_too_small_for_the_characters_says_how_large_it_must_be() -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.vocab_size is 8, .* 10 different characters; .* at least 15"):
        CaptionTokenizer.train(["abcdefghij"], vocab_size=8)
    assert len(CaptionTokenizer.train(["abcdefghij"], vocab_size=15)) == 15


# --- saved and loaded -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_loaded_is_saved(every: dict[str, CaptionTokenizer], kind: str, tmp_path: Path) -> None:
    every[kind].save(tmp_path / "a")
    loaded = CaptionTokenizer.load(tmp_path / "a")
    assert len(loaded) == len(every[kind])
    for caption in [*CAPTIONS, "unseen ძაღლი words"]:
        assert loaded.encode(caption) == every[kind].encode(caption)
    ids = range(4, len(loaded))
    assert loaded.pieces.words(ids) == every[kind].pieces.words(ids)
    loaded.save(tmp_path / "b")
    for file in ("tokenizer.json", "vocabulary.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_loading_is_light(every: dict[str, CaptionTokenizer], tmp_path: Path) -> None:
    every["t5"].save(tmp_path)
    code = (
        "import sys; from captioner.language.tokenizer import CaptionTokenizer as C; t = C.load(sys.argv[1]);"
        "assert t.decode(t.encode('a red circle')) == 'a red circle';"
        "print(sorted({'torch', 'transformers', 'huggingface_hub', 'sentencepiece', 'numpy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def _edit(file: str, **changes: Any) -> Any:
    def edit(folder: Path) -> None:
        content = json.loads((folder / file).read_text(encoding="utf-8"))
        (folder / file).write_text(json.dumps(content | changes), encoding="utf-8")

    return edit


def _reorder(folder: Path) -> None:
    ids = json.loads((folder / "vocabulary.json").read_text())["ids"]
    _edit("vocabulary.json", ids=[ids[1], ids[0], *ids[2:]])(folder)


def _forge(ids: list[Any]) -> Any:
    """Ids that are wrong, under a fingerprint that is right."""

    def edit(folder: Path) -> None:
        spec = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        digest = hashlib.sha256(json.dumps([spec, ids], sort_keys=True).encode()).hexdigest()
        _edit("vocabulary.json", ids=ids, sha256=digest)(folder)

    return edit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), r"cannot read .*tokenizer\.json: No such file"),
        (lambda folder: (folder / "vocabulary.json").unlink(), r"cannot read .*vocabulary\.json: No such file"),
        (lambda folder: (folder / "tokenizer.json").write_bytes(b"{"), r"tokenizer\.json is not valid JSON"),
        (lambda folder: (folder / "vocabulary.json").write_bytes(b"\xff"), r"vocabulary\.json is not UTF-8 text"),
        (
            lambda folder: (folder / "vocabulary.json").write_bytes(b"[]"),
            r"vocabulary\.json is not a JSON object but list",
        ),
        (_edit("vocabulary.json", format=2), "has the format 2; this captioner reads 1"),
        (_edit("vocabulary.json", ids=[1, 2]), "does not belong to"),
        (_edit("vocabulary.json", ids="123"), "does not belong to"),
        (_edit("vocabulary.json", sha256="0" * 64), "does not belong to"),
        (_edit("tokenizer.json", normalizer={"type": "Lowercase"}), "does not belong to"),
        (_reorder, "does not belong to"),
        (_forge([10**6]), "cannot be used"),
        (_forge([1, 1]), "does not belong to"),
        (_forge([-1]), "cannot be used"),
        (_forge(["1"]), "does not belong to"),
        (_forge([True]), "does not belong to"),
    ],
)
def test_what_was_changed_is_refused(
    every: dict[str, CaptionTokenizer], tmp_path: Path, change: Any, message: str
) -> None:
    every["own"].save(tmp_path)
    change(tmp_path)
    with pytest.raises(CheckpointError, match=message) as caught:
        CaptionTokenizer.load(tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_white_space_in_the_files_does_not_matter(every: dict[str, CaptionTokenizer], tmp_path: Path) -> None:
    every["own"].save(tmp_path)
    for file in ("tokenizer.json", "vocabulary.json"):
        content = json.loads((tmp_path / file).read_text(encoding="utf-8"))
        (tmp_path / file).write_text(json.dumps(content, indent=2), encoding="utf-8", newline="\r\n")
    assert len(CaptionTokenizer.load(tmp_path)) == len(every["own"])


# --- where tokenizers come from -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source", ["./nope", "/nope/nope", "~/nope/nope", "a/b/c", "two words", "C:\\nope", "a\0b", "../x"]
)
def test_what_cannot_be_a_hub_id_is_not_asked_for(source: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no tokenizer folder") as caught:
        CaptionTokenizer.from_pretrained(source, CAPTIONS)
    assert "hub gave" not in str(caught.value)


def test_a_missing_folder_beside_others_and_a_file_are_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "file").write_text("")
    for source in ("models/nope", "file", str(tmp_path / "nope")):
        with pytest.raises(CheckpointError, match=r"there is no tokenizer folder .*; give a folder"):
            CaptionTokenizer.from_pretrained(source, CAPTIONS)


def _broken_json(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": 1}')


def _word_level(folder: Path) -> None:
    Tokenizer(models.BPE()).save(str(folder / "tokenizer.json"))


def _sentencepiece_bpe(folder: Path) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CAPTIONS), model_writer=model, vocab_size=100, model_type="bpe", minloglevel=2
    )
    (folder / "spiece.model").write_bytes(model.getvalue())


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda folder: None, "it holds no tokenizer.json, no spiece.model"),
        (_broken_json, "cannot be used"),
        (_word_level, "do not say where words begin"),
        (_sentencepiece_bpe, "not a unigram one"),
        (lambda folder: (folder / "spiece.model").write_bytes(b"junk"), "cannot be used"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path, write: Any, message: str) -> None:
    write(tmp_path)
    with pytest.raises(CheckpointError, match=message) as caught:
        CaptionTokenizer.from_pretrained(str(tmp_path), CAPTIONS)
    assert str(tmp_path) in str(caught.value)


def test_an_older_layout_goes_through_transformers(tmp_path: Path) -> None:
    """BERT as it was first published: vocab.txt and the name of a class."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s", "play", "'", "##'"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    tokenizer = CaptionTokenizer.from_pretrained(str(tmp_path), ["a cat's cats play"])
    assert len(tokenizer) == 4 + 5
    assert tokenizer.decode(tokenizer.encode("a cat's cats play")) == "a cat's cats play"


def test_the_hub_is_used_from_its_cache_and_missed_in_one_line(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--someone--small"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    _like_bert(snapshot)
    code = (
        "from captioner.language.tokenizer import CaptionTokenizer as C\n"
        "print(len(C.from_pretrained('someone/small', ['a red circle'])) > 4)\n"
        "try: C.from_pretrained('someone/else', ['a red circle'])\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    nowhere = {"HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    environment = os.environ | nowhere
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert run.stdout.splitlines()[0] == "True", run.stderr
    assert len(run.stdout.splitlines()) == 2
    assert run.stdout.splitlines()[1].startswith("CheckpointError there is no tokenizer folder 'someone/else'")


# --- the real thing -------------------------------------------------------------------------------------------------


def _texts(shared: Path) -> Iterable[str]:
    """Every MSVD and MSR-VTT caption there is."""
    for split in ("train", "val", "test"):
        lines = (shared / "msvd" / f"sents_{split}_lc_nopunc.txt").read_text(encoding="utf-8").split("\n")
        yield from (line.partition("\t")[2] for line in lines if line)
    for archive in ("train_val_annotation.zip", "test_videodatainfo.json.zip"):
        with zipfile.ZipFile(shared / "msrvtt" / archive) as zipped:
            for name in zipped.namelist():
                if name.endswith("json"):
                    yield from (row["caption"] for row in json.loads(zipped.read(name))["sentences"])


@pytest.fixture(scope="module")
def plain(shared: Path) -> list[str]:
    """The different captions of MSVD and MSR-VTT in their plain form."""
    captions = list(_texts(shared))
    assert len(captions) > 279_000
    return sorted({normalise(caption) for caption in captions} - {""})


@pytest.mark.parametrize("name", ["t5-small", "gpt2"])
def test_pretrained_round_trip_of_all_captions(shared: Path, plain: list[str], name: str) -> None:
    tokenizer = CaptionTokenizer.from_pretrained(str(shared / "tokenizers" / name), plain)
    assert 10_000 < len(tokenizer) < 20_000
    assert [c for c in plain if tokenizer.decode(tokenizer.encode(c)) != c] == []


def test_t5_is_the_same_from_either_file(shared: Path, plain: list[str]) -> None:
    some = plain[::50]
    ours, spiece = (
        CaptionTokenizer.from_pretrained(str(shared / "tokenizers" / n), some) for n in ("t5-small", "t5-spiece")
    )
    assert len(ours) == len(spiece)
    assert all(ours.encode(caption) == spiece.encode(caption) for caption in some)


def test_own_round_trip_of_all_captions(shared: Path, plain: list[str]) -> None:
    """Trained on a part, and lossless on the rest but for the characters that the part does not have."""
    part = plain[::4]
    tokenizer = CaptionTokenizer.train(part, vocab_size=4000)
    lost = [c for c in plain if tokenizer.decode(tokenizer.encode(c)) != c]
    unseen = set().union(*plain) - set().union(*part)
    assert lost == [c for c in plain if unseen & set(c)]
    print(f"{len(lost)} captions with {sorted(unseen)}: {lost}")
    assert len(lost) < 10
