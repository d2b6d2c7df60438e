"""The tasks by name: one small table. A new task is a module of its own and a line in :data:`TASKS`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from captioner.training.actions import ActionTask
from captioner.training.captioning import CaptionTask
from captioner.training.config import Recipe
from captioner.training.log import TrainingLog
from captioner.training.retrieval import RetrievalTask
from captioner.training.task import Task
from captioner.training.words import WordsTask

TASKS: dict[str, Callable[[Recipe, TrainingLog, torch.device], Task]] = {
    "captions": CaptionTask,
    "actions": ActionTask,
    "words": WordsTask,
    "retrieval": RetrievalTask,
}


def make_task(recipe: Recipe, *, log: TrainingLog, device: torch.device) -> Task:
    """The task that ``[task]`` of a recipe names."""
    return TASKS[recipe.task.kind](recipe, log, device)
