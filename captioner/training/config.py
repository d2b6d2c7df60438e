"""A training run as one TOML file, a table a section."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from captioner.actions.config import HeadConfig
from captioner.config import check_settings, from_dict, read_toml, require, setting
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
    hold: float = setting(1.0, "words: weight of the loss that keeps the original ImageNet classifier", low=0)
    """Learning without forgetting."""
    mixup: float = setting(0.0, "words: parameter of the Beta distribution of mixup; 0 is off", low=0)
    """Zhang et al. (2018)."""
    window: float = setting(0.4, "words: least area of a random crop of a frame in training", above=0, high=1)
    temperature: float = setting(
        0.06, "retrieval: temperature of the softmax over the similarities in a batch", above=0
    )

    def __post_init__(self) -> None:
        check_settings(self, "task")

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
    actions: tuple[str, ...] = ()
    """Manifests with labels that a sentence can say after "is" ("riding a horse"), for ``decoder.actions``."""
    views: int = setting(1, "cached views of each training clip (flipped, cropped, shifted in time)", low=1, high=64)
    """An epoch uses one a clip; 1 is the clip as it is."""
    stills: float = setting(
        0.0, "share of the visits to a photo that show three of its views as a clip of 16 frames", low=0, high=1
    )
    """Then the number of frames does not tell photos from clips. It needs five ``views``."""
    cache: str = "features"
    """Folder of cached features."""

    def __post_init__(self) -> None:
        require(
            len(self.repeat) in (0, len(self.manifests)) and all(n >= 1 for n in self.repeat),
            f"data.repeat is {list(self.repeat)}; it must name a count from 1 for each of the manifests",
        )
        check_settings(self, "data")
        require(
            not self.stills or self.views >= 5,
            f"data.stills is {self.stills} with data.views = {self.views}; it takes 5 views",
        )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The training loop: cross-entropy first, then optional self-critical training on CIDEr."""

    start: str = ""
    """Checkpoint folder to fine-tune (``default``: the packaged one). It brings its frame recipe, CNN, decoder and
    tokenizer; the recipe then leaves out [video], [encoder], [decoder] and [tokenizer]."""
    seed: int = setting(1, "random seed")
    epochs: int = setting(10, "epochs of cross-entropy", low=0)
    batch_size: int = setting(64, "captions a step", low=1)
    captions_per_clip: int = setting(0, "captions drawn for each clip in an epoch; 0 is all of them", low=0)
    epoch_steps: int = setting(0, "captions: the fewest steps of an epoch", low=0)
    """Where the clips make fewer, it visits each of them several times."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    """Optimiser."""
    learning_rate: float = setting(1e-3, "peak learning rate", above=0)
    weight_decay: float = setting(1e-4, "weight decay", low=0)
    warmup_steps: int = setting(200, "steps of linear warm-up", low=0)
    """Then the rate follows a cosine to zero at the last step."""
    label_smoothing: float = setting(0.1, "label smoothing of the cross-entropy", low=0, below=1)
    clip_norm: float = setting(5.0, "largest gradient norm", above=0)
    ema: float = setting(
        0.999, "decay of the moving average of the weights, which is validated and saved; 0 is off", low=0, below=1
    )
    bf16: bool = setting(True, "autocast to bfloat16 if the processor has it")
    patience: int = setting(0, "stop after so many epochs without a better validation score; 0 never stops", low=0)
    text_epochs: int = setting(0, "epochs of pretraining on ``data.text`` before the first epoch with clips", low=0)
    frame_dropout: float = setting(0.0, "share of a clip's frames that training hides at random", low=0, below=1)
    train_encoder: bool = setting(False, "train the CNN too, end to end, decoding in every step")
    """False: a frozen CNN with cached features."""
    encoder_learning_rate: float = setting(1e-5, "learning rate of the CNN, with ``train_encoder``", above=0)
    scst_epochs: int = setting(0, "epochs of self-critical training on CIDEr-D after cross-entropy", low=0)
    """Rennie et al. (2017)."""
    scst_learning_rate: float = setting(5e-5, "learning rate of self-critical training", above=0)
    scst_samples: int = setting(5, "captions sampled for each clip", low=2)
    """The baseline of each is the mean reward of the others (Luo 2020)."""
    scst_normalise: bool = setting(False, "divide each clip's advantages by their standard deviation")
    """Otherwise a data set with high CIDEr values outweighs the others."""
    threads: int = setting(0, "CPU threads; 0 uses all", low=0)

    def __post_init__(self) -> None:
        check_settings(self, "train")


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
        for name in ("rendered", "actions"):
            require(
                bool(getattr(self.data, name)) == getattr(self.decoder, name),
                f"data.{name} names clips for the detector that decoder.{name} adds; set both or neither",
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
        actions=tuple(str(folder / p) for p in data.actions),
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
