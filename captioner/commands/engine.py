"""What captions the files of a command: processes of this machine, or the actors of a Ray cluster."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from functools import partial

from captioner.archive.engine import Settings, cores
from captioner.archive.fetched import Fetching, caption_fetched
from captioner.archive.pool import DecodePool
from captioner.archive.run import Engine
from captioner.caption.clips import ClipModel
from captioner.checkpoint.captioning import checkpoint_folder
from captioner.commands.settings import override, search_settings
from captioner.errors import UsageError
from captioner.io.stores import Stores

MOST_JOBS = 16
"""Decoding processes, unless --jobs says more."""


def settings_of(model: ClipModel, options: argparse.Namespace) -> Settings:
    """How each file is captioned, by the options and else by the model."""
    return Settings(
        video=override(model.video, options),
        search=search_settings(model.search, options),
        segments=options.segments,
    )


def decode_pool(
    options: argparse.Namespace, *, most: int | None = None
) -> contextlib.AbstractContextManager[DecodePool | None]:
    """The decoding processes, at most one for each of ``most`` files; None where this machine decodes nothing.

    Make it before the model is loaded: the processes start meanwhile.
    """
    if options.engine == "ray" or options.dry_run:
        return contextlib.nullcontext()
    jobs = min(options.jobs or MOST_JOBS, cores())
    if most is not None:
        jobs = min(jobs, max(1, most))
    return DecodePool(workers=jobs, timeout_seconds=options.timeout)


def engine_of(
    options: argparse.Namespace, model: ClipModel, settings: Settings, pool: DecodePool | None, stores: Stores
) -> Engine:
    """The engine of a run; a Ray cluster where there is no pool."""
    if pool is None:
        return _cluster(options, settings)
    fetching = Fetching(stores=stores, scratch=options.scratch, ahead=options.ahead)
    batch = options.batch_size
    return lambda tasks: caption_fetched(
        tasks, model, settings=settings, pool=pool, batch_size=batch, fetching=fetching
    )


def _cluster(options: argparse.Namespace, settings: Settings) -> Engine:
    """A cluster whose actors load the model from folders, which they are sent."""
    from captioner.archive.ray_actor import Job
    from captioner.archive.rayrun import caption_with_ray

    if options.kind == "actions":
        raise UsageError("--engine ray is for captions; leave it out")
    folders = {"folder": checkpoint_folder(options.model)}
    load: Callable[..., ClipModel]
    if options.kind == "index":
        from captioner.index.indexer import Indexer
        from captioner.retrieval.checkpoint import retriever_folder

        load = partial(Indexer.load, thumbnails=options.thumbnails, features=options.features, device=options.device)
        folders["retriever"] = retriever_folder(options.retriever)
    else:
        from captioner.caption.captioner import Captioner

        load = partial(Captioner.load, device=options.device)
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
