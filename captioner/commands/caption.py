"""``captioner caption``: finds the inputs and chooses between the single-file and the many-file path."""

from __future__ import annotations

import argparse

from captioner.commands.models import loading
from captioner.commands.options import ABOUT, add, check_many, check_watch, complete, named_inputs
from captioner.commands.page import check_page, open_page
from captioner.outputs.parquet import FORMAT as PARQUET

__all__ = ["ABOUT", "add", "run"]


def run(options: argparse.Namespace) -> int:
    from captioner.io.progress import Monitor

    complete(options)
    if options.watch:
        return _watch(options)
    wants_page = getattr(options, "open", False)
    if wants_page:
        check_page(options)
    inputs = named_inputs(options)
    monitor = Monitor(quiet=options.quiet, as_json=options.log_json, verbose=options.verbose)
    many = (
        options.dry_run
        or options.journal
        or options.jobs
        or options.failures
        or options.shard
        or options.engine == "ray"
        or PARQUET in options.format
        or inputs.stores.takes(options.output or "")
        or options.metrics_port is not None
    )
    if inputs.is_one_file and not many:
        with loading():
            from captioner.commands.one import run_one

        code = run_one(options, inputs, monitor)
    else:
        check_many(options, inputs)
        with loading():
            from captioner.commands.many import run_many

        code = run_many(options, inputs, monitor)
    if wants_page:
        open_page(options, inputs, monitor)
    return code


def _watch(options: argparse.Namespace) -> int:
    from captioner.io.progress import Monitor

    check_watch(options)
    with loading():
        from captioner.commands.watched import run_watch

    return run_watch(options, Monitor(quiet=options.quiet, as_json=options.log_json, verbose=options.verbose))
