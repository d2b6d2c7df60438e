"""Every setting there is, as frozen dataclasses: what a recipe (TOML) says and what a checkpoint remembers.

An unknown key, a wrong type or a value out of range is a :class:`~captioner.errors.ConfigError` that names
the key, what is allowed and the nearest known name. ``to_dict`` and ``from_dict`` are inverse.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from captioner.errors import ConfigError

T = TypeVar("T")


def require(condition: bool, message: str) -> None:
    """Raise ConfigError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """The frame recipe: which pixels the network sees. Part of every checkpoint and of every feature key."""

    frames: int = 16
    """Frames looked at, one in the middle of each of this many equal parts of the clip (or of start..end)."""
    size: int = 224
    """Side of the square handed to the network, in pixels."""
    resize: Literal["squash", "crop", "pad"] = "squash"
    """Into the square by ignoring the aspect ratio, cutting the longer side, or adding black bars."""
    mode: Literal["exact", "segment"] = "exact"
    """``exact``: the very frames that decoding everything would give. ``segment``: a keyframe that lies in
    the same part of the clip may stand in for the frame in its middle; much faster on long films."""

    def __post_init__(self) -> None:
        require(1 <= self.frames <= 4096, f"video.frames is {self.frames}; it must be 1 to 4096")
        require(16 <= self.size <= 2048, f"video.size is {self.size}; it must be 16 to 2048 pixels")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The CNN that looks at frames: any transformers CNN, and what is made of its last feature map."""

    source: str = ""
    """Folder or hub id of a transformers CNN, or the name of one that comes as a pip package (efficientnet-lite0, 1,
    2). In a checkpoint: such a name, or empty where it carries the CNN's weights itself."""
    weights: Literal["pretrained", "random"] = "pretrained"
    """``random`` needs only a ``config.json`` at the source; nothing else ever starts from random weights."""
    grid: int = 0
    """0: one vector a frame (global average). g: the map pooled to g x g places, so that attention can look at
    *where* as well as *when*."""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Pixels reach the CNN as ``(rgb / 255 - mean) / std``."""

    def __post_init__(self) -> None:
        require(0 <= self.grid <= 16, f"encoder.grid is {self.grid}; it must be 0 (pooled) to 16")
        require(min(self.std) > 0, f"encoder.std is {self.std}; every value must be above 0")


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The attention GRU that writes the sentence, and the temporal encoder under it."""

    embed: int = 512
    """Word embedding width E; the output layer is tied to it."""
    hidden: int = 512
    """GRU state width H."""
    attention: int = 256
    """Width A of the additive attention's hidden layer."""
    layers: int = 1
    """Stacked GRU cells."""
    reset: Literal["before", "after"] = "after"
    """Where the reset gate acts: ``before`` the recurrent matrix product (Cho et al. 2014) or ``after`` it
    (cuDNN, torch.nn.GRU). See docs/decisions/0002-reset-gate.md."""
    temporal: Literal["none", "gru", "bigru"] = "none"
    """Temporal encoder over the frame vectors before attention."""
    evidence: str = ""
    """Name of the packaged CNN (encoder.source) whose ImageNet classifier tells the decoder which nouns it sees; empty:
    none."""
    attend: bool = True
    """False: mean pooling in place of attention (for ablations)."""
    dropout: float = 0.4

    def __post_init__(self) -> None:
        for name in ("embed", "hidden", "attention", "layers"):
            require(getattr(self, name) >= 1, f"decoder.{name} is {getattr(self, name)}; it must be at least 1")
        require(self.hidden % 2 == 0, f"decoder.hidden is {self.hidden}; it must be even")
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
        require(0 <= self.min_confidence <= 1, f"search.min_confidence is {self.min_confidence}; it must be in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is learned from. Paths are relative to the recipe's own folder."""

    manifests: tuple[str, ...] = ()
    """JSONL manifests (``python -m data ...``); their ``train`` clips are learned from."""
    repeat: tuple[int, ...] = ()
    """How often an epoch visits the clips of each manifest; default: once each."""
    val: tuple[str, ...] = ()
    """Manifests whose ``val`` clips choose the checkpoint; default: the first of ``manifests``."""
    text: tuple[str, ...] = ()
    """Manifests of captions without clips: their ``train`` captions warm up the decoder as a language model."""
    views: int = 1
    """Views of each training clip that are cached (flipped, cropped, shifted in time); an epoch sees one a clip."""
    cache: str = "features"
    """Folder of cached features."""

    def __post_init__(self) -> None:
        require(
            len(self.repeat) in (0, len(self.manifests)) and all(n >= 1 for n in self.repeat),
            f"data.repeat is {list(self.repeat)}; it must name a count from 1 for each of the manifests",
        )
        require(1 <= self.views <= 64, f"data.views is {self.views}; it must be 1 (the clip as it is) to 64")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The loop: cross-entropy first, then (optionally) self-critical training on CIDEr."""

    start: str = ""
    """Checkpoint folder to go on from (``default``: the one in the package). It brings its frame recipe, CNN, decoder
    and pieces; the recipe then leaves out [video], [encoder], [decoder] and [tokenizer]."""
    seed: int = 1
    epochs: int = 10
    batch_size: int = 64
    """Captions a step."""
    captions_per_clip: int = 0
    """Captions drawn for each clip in an epoch; 0 is all of them."""
    length_buckets: bool = True
    """Batches of captions of like length: faster. False: of any length, which can learn more from as many steps
    (docs/decisions/0053-length-buckets.md)."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 200
    """Linear warm-up, then a cosine down to zero at the last step."""
    label_smoothing: float = 0.1
    scheduled_sampling: float = 0.0
    """Share of decoder inputs replaced by the model's own words at the end of training (Bengio et al. 2015);
    rises linearly from 0."""
    clip_norm: float = 5.0
    ema: float = 0.999
    """Decay of the exponential moving average of the weights that is validated and saved; 0 is off."""
    bf16: bool = True
    """Autocast to bfloat16 where the processor has it."""
    patience: int = 0
    """Stop after this many epochs without a better validation CIDEr; 0 never stops early."""
    text_epochs: int = 0
    """Epochs of language-model warm-up on ``data.text`` before the first epoch with clips."""
    text_share: float = 0.0
    """Share of each later batch that is text without a clip."""
    frame_dropout: float = 0.0
    """Share of frames hidden from a clip in training, at random."""
    train_encoder: bool = False
    """End to end: decode and encode in every step, and train the CNN too. False: frozen, with cached features."""
    encoder_learning_rate: float = 1e-5
    scst_epochs: int = 0
    """Epochs of self-critical training on CIDEr-D (Rennie et al. 2017) after cross-entropy."""
    scst_learning_rate: float = 5e-5
    scst_samples: int = 5
    """Captions sampled for each clip; the baseline of each is the mean of the others (Luo 2020)."""
    scst_normalise: bool = False
    """Divide each clip's advantages by their deviation, so that a data set whose CIDEr is high (one reference a clip,
    say) does not outweigh the others."""
    threads: int = 0
    """CPU threads; 0 is all."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs"):
            require(getattr(self, name) >= 0, f"train.{name} is {getattr(self, name)}; it must not be negative")
        require(self.batch_size >= 1, f"train.batch_size is {self.batch_size}; it must be at least 1")
        for name in ("label_smoothing", "scheduled_sampling", "ema", "text_share", "frame_dropout"):
            require(0 <= getattr(self, name) < 1, f"train.{name} is {getattr(self, name)}; it must be in [0, 1)")
        for name in ("learning_rate", "encoder_learning_rate", "scst_learning_rate", "clip_norm"):
            require(getattr(self, name) > 0, f"train.{name} is {getattr(self, name)}; it must be above 0")
        require(self.scst_samples >= 2, f"train.scst_samples is {self.scst_samples}; it must be at least 2")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training run: one TOML file, one table a section."""

    data: DataConfig = field(default_factory=DataConfig)
    video: VideoConfig = field(default_factory=VideoConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        require(
            self.decoder.evidence in ("", self.encoder.source),
            f"decoder.evidence is {self.decoder.evidence!r}; it must be encoder.source ({self.encoder.source!r}), "
            "since the classifier reads that CNN's features",
        )
        for name, kind in _STARTED.items():
            require(
                not self.train.start or getattr(self, name) == kind(),
                f"the recipe has both train.start and settings in [{name}]; leave that table out, a start has its own",
            )


_STARTED: dict[str, type] = {
    "video": VideoConfig,
    "encoder": EncoderConfig,
    "decoder": DecoderConfig,
    "tokenizer": TokenizerConfig,
}
"""The tables of a recipe that a checkpoint to start from replaces."""


def to_dict(config: Any) -> dict[str, Any]:
    """The settings as plain values (for JSON or TOML)."""
    return dataclasses.asdict(config)


def from_dict(cls: type[T], values: Any, *, where: str = "") -> T:
    """Settings from plain values; raises ConfigError on anything unknown, of a wrong type or out of range."""
    label = where or cls.__name__
    if not isinstance(values, dict):
        raise ConfigError(f"{label} must be a table of settings, not {values!r}")
    hints = typing.get_type_hints(cls)
    known = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(hints)}"
            raise ConfigError(f"{label} has no setting {key!r}; {hint}")
        known[key] = _coerce(hints[key], value, f"{where}.{key}" if where else str(key))
    return cls(**known)


def _coerce(hint: Any, value: Any, name: str) -> Any:
    """``value`` as ``hint`` wants it: a list becomes a tuple, an int a float; all else must match."""
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, where=name)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in args:
            near = difflib.get_close_matches(str(value), [str(a) for a in args], 1)
            hint_text = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{name} is {value!r}; allowed: {', '.join(map(str, args))}{hint_text}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or (args[-1] is not ... and len(value) != len(args)):
            raise ConfigError(
                f"{name} is {value!r}; it must be a list" + ("" if args[-1] is ... else f" of {len(args)}")
            )
        inner = [args[0]] * len(value) if args[-1] is ... else list(args)
        return tuple(_coerce(h, v, name) for h, v in zip(inner, value, strict=True))
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _coerce(next(a for a in args if a is not type(None)), value, name)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{name} is {value!r}; it must be of type {hint.__name__}")
    return value


def load_recipe(path: str | Path, *, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe and apply ``section.key=value`` overrides (values in TOML's spelling, or bare strings).

    Paths in ``[data]`` and folders named in ``encoder.source``, ``tokenizer.source`` and ``train.start`` are made
    absolute against the recipe's folder.
    """
    path = Path(path)
    recipe = from_dict(Recipe, read_toml(path, overrides=overrides))
    return _anchor(recipe, path.resolve().parent)


def read_toml(path: Path, *, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """The tables of a TOML file, with ``section.key=value`` overrides applied; raises ConfigError."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a valid TOML file: {error}") from error
    for override in overrides:
        dotted, equals, text = override.partition("=")
        section, dot, key = dotted.strip().partition(".")
        if not (equals and dot):
            raise ConfigError(f"{override!r} is not section.key=value")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        values.setdefault(section, {})[key] = value
    return values


def _anchor(recipe: Recipe, folder: Path) -> Recipe:
    data = recipe.data
    data = dataclasses.replace(
        data,
        manifests=tuple(str(folder / p) for p in data.manifests),
        val=tuple(str(folder / p) for p in data.val),
        text=tuple(str(folder / p) for p in data.text),
        cache=str(folder / data.cache),
    )

    def source(text: str) -> str:
        return str((folder / text).resolve()) if text and (folder / text).exists() else text

    start = recipe.train.start
    return dataclasses.replace(
        recipe,
        data=data,
        encoder=dataclasses.replace(recipe.encoder, source=source(recipe.encoder.source)),
        tokenizer=dataclasses.replace(recipe.tokenizer, source=source(recipe.tokenizer.source)),
        train=dataclasses.replace(recipe.train, start=start if start == "default" else source(start)),
    )
