"""``--engine ray``: what a command hands to a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from captioner.archive.engine import Settings
    from captioner.archive.run import Engine
    from captioner.caption.clips import ClipModel


def ray_engine(
    options: argparse.Namespace,
    *,
    load: Callable[..., ClipModel],
    folders: Mapping[str, Path],
    settings: Settings,
) -> Engine:
    """A cluster whose actors load a model from ``folders``, by the names of the arguments of ``load``."""
    from captioner.archive.ray_actor import Job
    from captioner.archive.rayrun import caption_with_ray

    job = Job(
        load=load,
        settings=settings,
        batch_size=options.batch_size,
        timeout_seconds=options.timeout,
        retries=options.retries,
        scratch=options.scratch,
        ahead=options.ahead,
    )
    return lambda tasks: caption_with_ray(tasks, job, folders=folders, actors=options.jobs, device=options.device)
