"""``captioner doctor``: checks the installation."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from captioner.commands.inspection import add_model

if TYPE_CHECKING:
    from captioner.setup.doctor import Finding


def add(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON Lines")


def run(options: argparse.Namespace) -> int:
    from captioner.setup.doctor import examine

    return 0 if report(examine(options.model), as_json=options.json) else 1


def report(findings: Iterable[Finding], *, as_json: bool) -> bool:
    """Print each finding as it is made; whether all are well."""
    well = True
    for finding in findings:
        well &= finding.ok
        if as_json:
            print(json.dumps(asdict(finding)), flush=True)
        else:
            print(f"{'ok ' if finding.ok else 'BAD'}  {finding.name + ':':18}{finding.detail}", flush=True)
    return well
