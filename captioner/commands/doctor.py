"""``captioner doctor``: checks the installation."""

from __future__ import annotations

import argparse

from captioner.commands.inspection import add_model


def add(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON Lines")


def run(options: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from captioner.setup.doctor import examine

    well = True
    for finding in examine(options.model):
        well &= finding.ok
        if options.json:
            print(json.dumps(asdict(finding)), flush=True)
        else:
            print(f"{'ok ' if finding.ok else 'BAD'}  {finding.name + ':':18}{finding.detail}", flush=True)
    return 0 if well else 1
