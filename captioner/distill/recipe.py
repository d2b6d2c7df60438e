"""The settings of a distillation: one TOML file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from captioner.config import from_dict, read_toml, require


@dataclass(frozen=True, kw_only=True)
class PhotoConfig:
    """Which photos and clips are looked at, and how they are kept. Paths are relative to the recipe's folder."""

    manifests: tuple[str, ...] = ()
    """JSONL manifests (``python -m data ...``): the ``train`` clips are learned from, the ``val`` ones measured."""
    folders: tuple[str, ...] = ()
    """Folders of photos without captions; only what lies below their subfolder ``train`` is learned from."""
    pack: str = "photos"
    """Folder of the decoded pixels."""
    frames: int = 24
    """Frames taken of a ``train`` clip at most; a photo has one."""
    held_out_frames: int = 4
    """Frames taken of a ``val`` clip at most."""
    size: int = 176
    """Side of the square that every frame is squashed into, in pixels."""

    def __post_init__(self) -> None:
        for name in ("frames", "held_out_frames"):
            require(getattr(self, name) >= 1, f"photos.{name} is {getattr(self, name)}; it must be at least 1")
        require(32 <= self.size <= 512, f"photos.size is {self.size}; it must be 32 to 512 pixels")


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """How the student learns. Paths are relative to the recipe's folder."""

    teacher: str = ""
    """Folder of a transformers CNN with a classifier."""
    student: str = ""
    """Folder with the ``config.json`` of any transformers CNN; it starts from random weights."""
    start: str = ""
    """``student.safetensors`` of an earlier run to start from in place of random weights."""
    output: str = "student"
    """Folder of the run: state, log and export."""
    seed: int = 1
    batch_size: int = 32
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warmup: int = 10_000
    """Samples of linear warm-up, before the cosine down to zero at the last sample."""
    ema: float = 0.999
    """Decay, a step, of the averaged weights that are measured and exported."""
    map_weight: float = 10.0
    """Weight of the squared error at every place of the feature map ..."""
    pooled_weight: float = 10.0
    """... of the pooled features ..."""
    class_weight: float = 1.0
    """... and of the divergence of the classes."""
    temperature: float = 1.0
    """Of the classes, in both."""
    clip_norm: float = 5.0
    bf16: bool = True
    device: str = ""
    """Default: cuda where there is one."""
    threads: int = 0
    """CPU threads; 0 is all."""
    save_minutes: float = 5.0
    """Minutes between two states, measurements and exports."""
    stop_minutes: float = 0.0
    """Save and stop after this many minutes, to be resumed; 0 goes on to the end."""
    eval_size: int = 160
    """Side of the whole held-out photos that the student is measured on."""
    eval_teacher_size: int = 224
    """Side of the same photos for the teacher."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "temperature", "clip_norm", "save_minutes"):
            require(getattr(self, name) > 0, f"distill.{name} is {getattr(self, name)}; it must be above 0")
        for name in ("weight_decay", "warmup", "map_weight", "pooled_weight", "class_weight", "stop_minutes"):
            require(getattr(self, name) >= 0, f"distill.{name} is {getattr(self, name)}; it must not be negative")
        require(self.batch_size >= 2, f"distill.batch_size is {self.batch_size}; it must be at least 2")
        require(0 <= self.ema < 1, f"distill.ema is {self.ema}; it must be in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of the schedule: how large the crops are that student and teacher see. Small ones first are cheap."""

    samples: int
    """Crops learned from in this phase."""
    size: int
    """Side of the student's crop in pixels."""
    teacher_size: int = 0
    """Side of the teacher's view of the same crop; 0 is the student's."""
    smallest: float = 0.3
    """Smallest share of the photo's area that a crop covers."""
    mix: float = 0.0
    """Share of batches whose crops are blended in pairs (mixup)."""

    def __post_init__(self) -> None:
        require(self.samples > 0, f"a phase has samples = {self.samples}; it must be above 0")
        require(32 <= self.size <= 512, f"a phase has size = {self.size}; it must be 32 to 512 pixels")
        require(0 < self.smallest <= 1, f"a phase has smallest = {self.smallest}; it must be above 0 and at most 1")
        require(0 <= self.mix <= 1, f"a phase has mix = {self.mix}; it must be 0 to 1")


@dataclass(frozen=True, kw_only=True)
class DistillRecipe:
    """A whole distillation."""

    photos: PhotoConfig = field(default_factory=PhotoConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        require(len(self.phases) > 0, "the recipe has no [[phases]]; it needs at least one")

    @property
    def samples(self) -> int:
        """Crops learned from in the whole schedule."""
        return sum(phase.samples for phase in self.phases)

    def phase_at(self, samples: int) -> Phase:
        """The phase that the crop after the first ``samples`` belongs to."""
        for phase in self.phases:
            if samples < phase.samples:
                return phase
            samples -= phase.samples
        return self.phases[-1]


def load_distill_recipe(path: str | Path, *, overrides: tuple[str, ...] = ()) -> DistillRecipe:
    """Read a recipe, apply ``section.key=value`` overrides, and make its paths absolute against its own folder."""
    path = Path(path)
    values = read_toml(path, overrides=overrides)
    return _anchor(from_dict(DistillRecipe, values), path.resolve().parent)


def _anchor(recipe: DistillRecipe, folder: Path) -> DistillRecipe:
    def here(text: str) -> str:
        return str((folder / text).resolve()) if text else ""

    photos, distill = recipe.photos, recipe.distill
    return dataclasses.replace(
        recipe,
        photos=dataclasses.replace(
            photos,
            manifests=tuple(map(here, photos.manifests)),
            folders=tuple(map(here, photos.folders)),
            pack=here(photos.pack),
        ),
        distill=dataclasses.replace(
            distill,
            teacher=here(distill.teacher),
            student=here(distill.student),
            start=here(distill.start),
            output=here(distill.output),
        ),
    )
