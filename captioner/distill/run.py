"""A distillation under way: the step, the measurement, the state on disk and the export."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from captioner.distill.crops import crop, resized, whole
from captioner.distill.networks import Student, Teacher, loss_terms
from captioner.distill.recipe import DistillRecipe
from captioner.errors import CheckpointError

Pixels = np.ndarray | Tensor
"""Frames (N,S,S,3) uint8, memory-mapped or on the device."""


class Run:
    """Teacher, student, optimiser and position. A step depends on the seed and the position only: resuming is exact."""

    def __init__(self, recipe: DistillRecipe) -> None:
        settings = recipe.distill
        self.recipe, self.settings = recipe, settings
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.device = torch.device(settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.manual_seed(settings.seed)
        self.teacher = Teacher(settings.teacher, device=self.device, bf16=settings.bf16)
        student: Any = Student(settings.student, width=self.teacher.width)
        if settings.start:
            _load_light(student, Path(settings.start))
        self.student = student.to(device=self.device, memory_format=torch.channels_last)
        self.average = {name: tensor.detach().clone() for name, tensor in self.student.state_dict().items()}
        groups = [[p for p in self.student.parameters() if (p.ndim > 1) is matrix] for matrix in (True, False)]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": groups[0], "weight_decay": settings.weight_decay},
                {"params": groups[1], "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
            betas=(0.9, 0.99),
            fused=True,
        )
        self.step, self.samples, self.seconds = 0, 0, 0.0

    @property
    def done(self) -> bool:
        return self.samples >= self.recipe.samples

    def learning_rate(self) -> float:
        """Of the next step: linear warm-up, then a cosine down to zero."""
        s = self.settings
        if self.samples < s.warmup:
            return s.learning_rate * (self.samples + s.batch_size) / (s.warmup + s.batch_size)
        progress = (self.samples - s.warmup) / max(1, self.recipe.samples - s.warmup)
        return s.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def views(self, pixels: Pixels, *, step: int, samples: int) -> tuple[Tensor, Tensor]:
        """The student's and the teacher's view of a batch of crops."""
        s, phase, count = self.settings, self.recipe.phase_at(samples), len(pixels)
        epoch, at = divmod(samples, count)
        order = _order(s.seed, epoch, count)[at : at + s.batch_size]
        while len(order) < s.batch_size:
            epoch += 1
            order = torch.cat([order, _order(s.seed, epoch, count)])[: s.batch_size]
        chance = torch.Generator().manual_seed(s.seed * 1_000_000_007 + step)
        shown = phase.teacher_size or phase.size
        view = crop(pixels, order, size=max(phase.size, shown), phase=phase, chance=chance, device=self.device)
        return resized(view, phase.size), resized(view, shown)

    def learn(self, pixels: Pixels) -> dict[str, Tensor]:
        """One step; returns its loss and the terms of it."""
        s = self.settings
        seen, shown = self.views(pixels, step=self.step, samples=self.samples)
        target = self.teacher(shown)
        self.student.train()
        with self._autocast():
            predicted = self.student(seen)
        terms = loss_terms(self.student, self.teacher, predicted.float(), target, temperature=s.temperature)
        loss = s.map_weight * terms["map"] + s.pooled_weight * terms["pooled"] + s.class_weight * terms["class"]
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), s.clip_norm)
        self.optimizer.step()
        self.step, self.samples = self.step + 1, self.samples + s.batch_size
        self._update_average()
        return {name: term.detach() for name, term in terms.items()} | {"loss": loss.detach()}

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        state = self.student.state_dict()
        names = [name for name, tensor in state.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self.average[n] for n in names], [state[n] for n in names], 1 - decay)

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bf16)

    @torch.no_grad()
    def measure_teacher(self, pixels: Pixels) -> None:
        """Set the student's mean and deviations of the teacher's features from the first thousand crops."""
        size = self.settings.batch_size
        maps = [
            self.teacher(self.views(pixels, step=step, samples=step * size)[1]) for step in range(max(1, 1024 // size))
        ]
        place = torch.cat([m.movedim(1, -1).flatten(0, 2) for m in maps])
        pooled = torch.cat([m.mean((2, 3)) for m in maps])
        measured = {"mean": place.mean(0)}
        for name, values in (("place_std", place), ("pooled_std", pooled)):
            std = values.std(0)
            measured[name] = std.clamp_min(
                0.1 * float(std.mean())
            )  # a feature that hardly ever fires must not dominate
        for name, value in measured.items():
            getattr(self.student, name).copy_(value)
            self.average[name].copy_(value)

    @torch.no_grad()
    def targets(self, held_out: np.ndarray) -> Tensor:
        """The teacher's pooled features (N,D) of whole held-out frames."""
        size = self.settings.eval_teacher_size
        return torch.cat([self.teacher(view).mean((2, 3)) for view in self._wholes(held_out, size)])

    @torch.no_grad()
    def measure(self, held_out: np.ndarray, targets: Tensor) -> dict[str, float]:
        """How near the averaged student comes to the teacher on whole held-out frames.

        ``cosine`` of the standardised pooled features, ``explained`` share of their variance, ``agreement`` in the
        likeliest class.
        """
        own = {name: tensor.clone() for name, tensor in self.student.state_dict().items()}
        self.student.load_state_dict(self.average)
        self.student.eval()
        with self._autocast():
            pooled = [self.student(v).float().mean((2, 3)) for v in self._wholes(held_out, self.settings.eval_size)]
        self.student.load_state_dict(own)
        predicted = self.student.in_teacher_units(torch.cat(pooled))
        a, b = ((x - x.mean(0)) / self.student.pooled_std for x in (predicted, targets))
        best, wanted = (self.teacher.classifier(x).argmax(-1) for x in (predicted, targets))
        return {
            "cosine": float(F.cosine_similarity(a, b).mean()),
            "explained": float(1 - (a - b).square().mean() / b.square().mean()),
            "agreement": float((best == wanted).float().mean()),
        }

    def _wholes(self, frames: np.ndarray, size: int) -> Any:
        return (whole(frames[at : at + 64], size=size).to(self.device) for at in range(0, len(frames), 64))

    def save(self, folder: Path) -> None:
        """Write the state (``state.pt``), the averaged student and its map (``student.safetensors``), the export."""
        state = {
            "student": self.student.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "samples": self.samples,
            "seconds": self.seconds,
        }
        temporary = folder / f".state.{os.getpid()}.tmp"
        torch.save(state, temporary)
        temporary.replace(folder / "state.pt")
        self._save_light(folder / "student.safetensors")
        self.export(folder / "export")

    def resume(self, folder: Path) -> bool:
        """Go on from the state in ``folder``, if there is one; raises CheckpointError if it is not of this recipe."""
        file = folder / "state.pt"
        if not file.exists():
            return False
        try:
            state = torch.load(file, map_location=self.device, weights_only=True)
            self.student.load_state_dict(state["student"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average = {name: state["average"][name] for name in self.average}
            self.step, self.samples, self.seconds = state["step"], state["samples"], state["seconds"]
        except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
            raise CheckpointError(
                f"{file} is damaged or of another student ({type(error).__name__}); delete it to start over"
            ) from error
        return True

    def _save_light(self, file: Path) -> None:
        from safetensors.torch import save_file

        weights = {
            name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
            for name, tensor in self.average.items()
        }
        note = {"step": self.step, "samples": self.samples, "hours": round(self.seconds / 3600, 3)}
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        save_file(weights, temporary, metadata={"format": "pt", "distillation": json.dumps(note)})
        temporary.replace(file)

    def export(self, folder: Path) -> None:
        """Write the averaged student's CNN as a transformers folder: ``config.json`` and float16 weights."""
        from transformers import AutoModel

        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        cnn = AutoModel.from_config(self.student.body.config, dtype=torch.float32)
        cnn.load_state_dict({n.removeprefix("body."): t for n, t in self.average.items() if n.startswith("body.")})
        cnn.half().save_pretrained(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for file in temporary.iterdir():
            file.replace(folder / file.name)
        shutil.rmtree(temporary)


def _load_light(student: Student, file: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        student.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in load_file(file).items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise CheckpointError(
            f"distill.start is {str(file)!r}, which is not a student of this kind: {reason}"
        ) from error


def _order(seed: int, epoch: int, count: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
