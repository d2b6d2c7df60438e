"""A training run as one TOML file, a table a section."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from captioner.actions.config import HeadConfig
from captioner.config import from_dict, read_toml, require
from captioner.language.config import DecoderConfig, SearchConfig, TokenizerConfig
from captioner.retrieval.config import RetrieverConfig
from captioner.video.config import VideoConfig
from captioner.vision.config import EncoderConfig

Targets = Literal["captions", "labels", "described"]
"""What a clip of a manifest must have to be trained on."""


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """The task of the network."""

    kind: Literal["captions", "actions", "words", "retrieval"] = "captions"
    """``captions``: sentences, from manifests with captions. ``actions``: labels, from manifests with labels; [head]
    then sets the network in place of [decoder]. ``words``: fine-tune the last stages of a packaged CNN on captions,
    labels or both. Its checkpoint is an ``encoder.source`` for the other tasks. ``retrieval``: captions find their
    clips, on the features of the captioner in ``train.start``; [retriever] sets the network."""
    class_weights: bool = False
    """Actions: give every label the same weight, however few clips it has."""
    hold: float = 1.0
    """Words: weight of the loss that keeps the original ImageNet classifier (learning without forgetting)."""
    mixup: float = 0.0
    """Words: parameter of the Beta distribution of mixup (Zhang et al. 2018); 0 is off."""
    window: float = 0.4
    """Words: least area of a random crop of a frame in training."""
    temperature: float = 0.06
    """Retrieval: temperature of the softmax over the similarities in a batch."""

    def __post_init__(self) -> None:
        require(self.hold >= 0, f"task.hold is {self.hold}; it must not be negative")
        require(self.mixup >= 0, f"task.mixup is {self.mixup}; it must not be negative")
        require(0 < self.window <= 1, f"task.window is {self.window}; it must be in (0, 1]")
        require(self.temperature > 0, f"task.temperature is {self.temperature}; it must be above 0")

    @property
    def targets(self) -> Targets:
        """What the task trains on."""
        return _TARGETS[self.kind]


_TARGETS: dict[str, Targets] = {
    "captions": "captions",
    "actions": "labels",
    "words": "described",
    "retrieval": "captions",
}


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Training data. Paths are relative to the recipe's folder."""

    manifests: tuple[str, ...] = ()
    """JSONL manifests (``python -m data ...``); training uses their ``train`` clips."""
    repeat: tuple[int, ...] = ()
    """How often an epoch visits the clips of each manifest (default: once)."""
    val: tuple[str, ...] = ()
    """Manifests whose ``val`` clips choose the checkpoint (default: the first of ``manifests``)."""
    text: tuple[str, ...] = ()
    """Manifests of captions without clips. Their ``train`` captions pretrain the decoder as a language model, or the
    retriever on pairs of captions of one clip."""
    rendered: tuple[str, ...] = ()
    """Manifests of rendered pictures (``python -m data pictures``), for the detector that ``decoder.rendered`` adds."""
    views: int = 1
    """Cached views of each training clip (flipped, cropped, shifted in time); an epoch uses one a clip."""
    stills: float = 0.0
    """Share of the visits to a photo that show three of its views as a clip of 16 frames. Then the number of frames
    does not tell photos from clips. It needs five ``views``."""
    cache: str = "features"
    """Folder of cached features."""

    def __post_init__(self) -> None:
        require(
            len(self.repeat) in (0, len(self.manifests)) and all(n >= 1 for n in self.repeat),
            f"data.repeat is {list(self.repeat)}; it must name a count from 1 for each of the manifests",
        )
        require(
            0 <= self.stills <= 1 and (not self.stills or self.views >= 5),
            f"data.stills is {self.stills} with data.views = {self.views}; it must be 0 to 1, and takes 5 views",
        )
        require(1 <= self.views <= 64, f"data.views is {self.views}; it must be 1 (the clip as it is) to 64")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The training loop: cross-entropy first, then optional self-critical training on CIDEr."""

    start: str = ""
    """Checkpoint folder to fine-tune (``default``: the packaged one). It brings its frame recipe, CNN, decoder and
    tokenizer; the recipe then leaves out [video], [encoder], [decoder] and [tokenizer]."""
    seed: int = 1
    """Random seed."""
    epochs: int = 10
    """Epochs of cross-entropy."""
    batch_size: int = 64
    """Captions a step."""
    captions_per_clip: int = 0
    """Captions drawn for each clip in an epoch; 0 is all of them."""
    epoch_steps: int = 0
    """Captions: the fewest steps of an epoch. Where the clips make fewer, it visits each of them several times."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    """Optimiser."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 1e-4
    """Weight decay."""
    warmup_steps: int = 200
    """Steps of linear warm-up; then the rate follows a cosine to zero at the last step."""
    label_smoothing: float = 0.1
    """Label smoothing of the cross-entropy."""
    clip_norm: float = 5.0
    """Largest gradient norm."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which is validated and saved; 0 is off."""
    bf16: bool = True
    """Autocast to bfloat16 if the processor has it."""
    patience: int = 0
    """Stop after this many epochs without a better validation CIDEr; 0 never stops early."""
    text_epochs: int = 0
    """Epochs of pretraining on ``data.text`` before the first epoch with clips."""
    frame_dropout: float = 0.0
    """Share of a clip's frames that training hides at random."""
    train_encoder: bool = False
    """Train the CNN too, end to end, decoding in every step. False: a frozen CNN with cached features."""
    encoder_learning_rate: float = 1e-5
    """Learning rate of the CNN, with ``train_encoder``."""
    scst_epochs: int = 0
    """Epochs of self-critical training on CIDEr-D (Rennie et al. 2017) after cross-entropy."""
    scst_learning_rate: float = 5e-5
    """Learning rate of self-critical training."""
    scst_samples: int = 5
    """Captions sampled for each clip; the baseline of each is the mean reward of the others (Luo 2020)."""
    scst_normalise: bool = False
    """Divide each clip's advantages by their standard deviation. Otherwise a data set with high CIDEr values
    outweighs the others."""
    threads: int = 0
    """CPU threads; 0 uses all."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "epoch_steps"):
            require(getattr(self, name) >= 0, f"train.{name} is {getattr(self, name)}; it must not be negative")
        require(self.batch_size >= 1, f"train.batch_size is {self.batch_size}; it must be at least 1")
        for name in ("label_smoothing", "ema", "frame_dropout"):
            require(0 <= getattr(self, name) < 1, f"train.{name} is {getattr(self, name)}; it must be in [0, 1)")
        for name in ("learning_rate", "encoder_learning_rate", "scst_learning_rate", "clip_norm"):
            require(getattr(self, name) > 0, f"train.{name} is {getattr(self, name)}; it must be above 0")
        require(self.scst_samples >= 2, f"train.scst_samples is {self.scst_samples}; it must be at least 2")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run: one TOML file, one table for each field."""

    task: TaskConfig = field(default_factory=TaskConfig)
    data: DataConfig = field(default_factory=DataConfig)
    video: VideoConfig = field(default_factory=VideoConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    retriever: RetrieverConfig = field(default_factory=RetrieverConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        for task, name, unset in (
            ("captions", "decoder", DecoderConfig()),
            ("actions", "head", HeadConfig()),
            ("retrieval", "retriever", RetrieverConfig()),
        ):
            require(
                self.task.kind == task or getattr(self, name) == unset,
                f"the recipe has settings in [{name}], which task.kind = {self.task.kind!r} ignores; leave them out",
            )
        require(
            bool(self.data.rendered) == self.decoder.rendered,
            "data.rendered names pictures for the detector that decoder.rendered adds; set both or neither",
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
"""The tables that ``train.start`` replaces."""


def load_recipe(path: str | Path, *, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe and apply ``section.key=value`` overrides (values in TOML's spelling, or bare strings).

    Paths in ``[data]`` and folders named in ``encoder.source``, ``tokenizer.source`` and ``train.start`` are made
    absolute against the recipe's folder.
    """
    path = Path(path)
    recipe = from_dict(Recipe, read_toml(path, overrides=overrides))
    return _anchor(recipe, path.resolve().parent)


def _anchor(recipe: Recipe, folder: Path) -> Recipe:
    data = recipe.data
    data = dataclasses.replace(
        data,
        manifests=tuple(str(folder / p) for p in data.manifests),
        val=tuple(str(folder / p) for p in data.val),
        text=tuple(str(folder / p) for p in data.text),
        rendered=tuple(str(folder / p) for p in data.rendered),
        cache=str(folder / data.cache),
    )

    def source(text: str) -> str:
        return str((folder / text).resolve()) if text and (folder / text).exists() else text

    def source_or_default(text: str) -> str:
        return text if text == "default" else source(text)

    return dataclasses.replace(
        recipe,
        data=data,
        encoder=dataclasses.replace(recipe.encoder, source=source_or_default(recipe.encoder.source)),
        tokenizer=dataclasses.replace(recipe.tokenizer, source=source(recipe.tokenizer.source)),
        train=dataclasses.replace(recipe.train, start=source_or_default(recipe.train.start)),
    )
