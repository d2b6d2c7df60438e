"""The web demo: ``python app.py [--checkpoint DIR]``. Its code is in ``demo/``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.cli import Parser
from captioner.errors import ConfigError
from captioner.io.program import run_program

if TYPE_CHECKING:
    import gradio as gr

    from captioner import Captioner
    from demo.finder import Source
    from demo.limits import Limits


def build_app(
    captioner: Captioner,
    *,
    others: dict[str, Captioner] | None = None,
    limits: Limits | None = None,
    source: Source | None = None,
) -> gr.Blocks:
    """The demo of ``captioner``, and of ``others`` by name to compare it with; ``demo.server.serve`` shows it.

    The Find tab searches ``source``, or else the samples.
    """
    from demo.finder import Source
    from demo.limits import Limits
    from demo.page import build

    return build({"default": captioner} | (others or {}), limits=limits or Limits(), source=source or Source())


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; returns the exit status."""
    return run_program("app.py", lambda: _parser().parse_args(arguments), lasting=arguments is None)


def _run(options: argparse.Namespace) -> int:
    from demo.visit.uploads import private_folder

    with private_folder(60 * options.keep_minutes):
        return _serve(options)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(description="Caption videos in the browser; nothing leaves this machine.")
    parser.add_argument("--checkpoint", metavar="DIR", help="checkpoint folder (default: the packaged checkpoint)")
    parser.add_argument(
        "--compare", metavar="DIR", action="append", default=[], help="another checkpoint to offer; repeatable"
    )
    parser.add_argument("--index", metavar="FILE", help="index that the Find tab searches (default: the samples)")
    parser.add_argument("--folder", metavar="DIR", help="folder of videos that the Find tab can index into --index")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 opens it to the network (default: this machine)",
    )
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--root-path", metavar="PATH", help="path under which a proxy serves the page")
    parser.add_argument(
        "--auth",
        metavar="NAME:PASSWORD",
        action="append",
        default=[],
        help="ask for this name and password; repeatable",
    )
    parser.add_argument("--share", action="store_true", help="make a public link through gradio's servers")
    parser.add_argument("--no-mcp", action="store_true", help="turn the MCP tools off")
    parser.add_argument("--max-megabytes", type=int, metavar="N", help="limit of one upload")
    parser.add_argument("--max-minutes", type=float, metavar="N", help="limit of one video")
    parser.add_argument(
        "--keep-minutes",
        type=float,
        default=60.0,
        metavar="N",
        help="delete uploads after this time (default: %(default)g)",
    )
    parser.set_defaults(run=_run)
    return parser


def _serve(options: argparse.Namespace) -> int:
    os.environ["HF_HUB_OFFLINE"] = "1"  # parts of gradio would ask the hub which program is running them
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise ConfigError("the web demo needs gradio; install it with: pip install 'captioner[web]'") from None
    from captioner import Captioner
    from demo.server import ServerOptions, serve

    accounts = tuple(_account(text) for text in options.auth)
    source = _source(options)
    captioner = Captioner.load(options.checkpoint)
    others = {Path(folder).resolve().name: Captioner.load(folder) for folder in options.compare}
    limits = _limits(options)
    serve(
        build_app(captioner, others=others, limits=limits, source=source),
        options=ServerOptions(
            host=options.host,
            port=options.port,
            root_path=options.root_path,
            share=options.share,
            auth=accounts,
            mcp=not options.no_mcp,
        ),
        limits=limits,
        model=captioner.checkpoint.fingerprint,
    )
    return 0


def _limits(options: argparse.Namespace) -> Limits:
    from dataclasses import replace

    from demo.limits import Limits

    chosen = {
        "upload_megabytes": options.max_megabytes,
        "clip_minutes": options.max_minutes,
        "keep_seconds": max(1, round(60 * options.keep_minutes)),
    }
    return replace(Limits(), **{name: value for name, value in chosen.items() if value is not None})


def _source(options: argparse.Namespace) -> Source:
    from demo.finder import Source

    if not options.folder:
        return Source(index=options.index and Path(options.index))
    if not options.index:
        raise ConfigError(f"--folder {options.folder} needs --index FILE: the index that is made of it")
    if not Path(options.folder).is_dir():
        raise ConfigError(f"--folder {options.folder} is no folder; give a folder of videos")
    return Source(index=Path(options.index), folder=Path(options.folder).resolve(), checkpoint=options.checkpoint)


def _account(text: str) -> tuple[str, str]:
    name, colon, password = text.partition(":")
    if not (name and colon and password):
        raise ConfigError("--auth must be NAME:PASSWORD")
    return name, password


if __name__ == "__main__":
    sys.exit(main())
