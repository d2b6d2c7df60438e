"""Where the outputs of a run over many files go; refuses those that would overwrite something."""

from __future__ import annotations

import argparse
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from captioner.archive.journal import Journal
from captioner.commands.reporting import check_ledger
from captioner.errors import CaptionerError, UsageError
from captioner.io.addresses import shown
from captioner.io.files import Template, is_folder, is_there, refuse_to_overwrite
from captioner.io.inputs import Inputs, Item
from captioner.io.upload import is_stored
from captioner.safe.whole import is_filled, is_regular

_TEMPLATE_BASE = "captioner"  # of the journal's name, where there is no one output


@dataclass(frozen=True)
class Places:
    """Where everything of a run goes; None: nowhere."""

    output: Path | None
    templates: dict[str, Template]
    """By format: one file a video. Empty: one file for all."""
    journal: Path | None
    failures: Path | None
    address: str = ""
    """Of the one output, where that lies in a store."""
    is_stored: bool = False
    """Whether there may be something at the address."""


def find_places(options: argparse.Namespace, inputs: Inputs) -> Places:
    templates = {form: Template(options.output, form=form) for form in options.format} if options.template else {}
    for template in templates.values():
        template.check(inputs.items)
    address = options.output if options.output and inputs.stores.takes(options.output) else ""
    _check_address(address, options, inputs)
    output = Path(options.output) if options.output and not templates and not address else None
    base = next((str(t.shared_folder(inputs.items) / _TEMPLATE_BASE) for t in templates.values()), None)
    if address:
        base = posixpath.basename(address)
    if output and (options.partition_by or is_regular(output)):
        base = str(output)
    journal, failures = (
        Path(named) if named else Path(f"{base}.{suffix}") if base else None
        for named, suffix in ((options.journal, "journal"), (options.failures, "failures.jsonl"))
    )
    outputs = [t.path(index, item) for t in templates.values() for index, item in enumerate(inputs.items)]
    refuse_to_overwrite((*(item.path for item in inputs.items), *inputs.lists), (*outputs, output, journal, failures))
    if output and journal and _holds_something(output) and not is_there(journal) and not options.overwrite:
        raise CaptionerError(
            f"{output} exists, but not the journal {journal} of a run that wrote it; "
            "give another -o, or --overwrite to replace it"
        )
    check_ledger(failures)
    return Places(output, templates, journal, failures, address, bool(address) and is_stored(address, inputs.stores))


def _check_address(address: str, options: argparse.Namespace, inputs: Inputs) -> None:
    """Raise CaptionerError for an output that a store cannot have."""
    remote = {item.remote.address for item in inputs.items if item.remote}
    if address and options.partition_by:
        raise UsageError(f"-o {shown(address)}: --partition-by writes a folder; give a local one, and copy it")
    if options.template and (address or (remote and "{folder}" in options.output)):
        raise UsageError(
            f"-o {shown(options.output)} would write one file a video to a store; give a local folder, such as "
            "'out/{stem}.{format}', or -o s3://bucket/captions.jsonl for all in one"
        )
    if address in remote:
        raise CaptionerError(f"writing {shown(address)} would destroy an input; give another output")


def _holds_something(output: Path) -> bool:
    return is_filled(output) or (is_folder(output) and any(output.iterdir()))


def claim(journal: Journal | None, places: Places, options: argparse.Namespace) -> None:
    """Make the one output the journal's; raises CaptionerError where it exists, and another run wrote it."""
    output = places.output if places.output and (options.partition_by or is_regular(places.output)) else None
    name = shown(places.address) or (str(output.absolute()) if output else "")
    ours = options.overwrite or (journal is not None and journal.owns(name))
    if places.is_stored and not ours:
        raise CaptionerError(
            f"{shown(places.address)} exists (or cannot be looked at), and no run with this journal wrote it; "
            "--overwrite replaces it"
        )
    if output and journal and _holds_something(output) and journal.has_outputs and not ours:
        raise CaptionerError(
            f"{output} exists, and the journal {journal.path} belongs to a run with another output; --overwrite "
            "replaces it"
        )
    if name and journal:
        journal.claim(name)


def is_taken(path: Path, journal: Journal | None, *, overwrite: bool) -> bool:
    """Whether an item's own output exists, and no run with this journal wrote it."""
    return not overwrite and is_there(path) and not (journal and journal.owns(str(path.absolute())))


def all_taken(places: Places, journal: Journal | None, *, overwrite: bool) -> Callable[[int, Item], bool]:
    """Whether there is nothing to write for an item, since each of its outputs exists and is not ours."""

    def is_done(index: int, item: Item) -> bool:
        paths = [template.path(index, item) for template in places.templates.values()]
        return bool(paths) and all(is_taken(path, journal, overwrite=overwrite) for path in paths)

    return is_done
