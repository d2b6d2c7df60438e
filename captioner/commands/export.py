"""``captioner export``: a checkpoint as ONNX, for devices without torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from captioner.io.extras import import_onnx
from captioner.io.status import Status, announce

ABOUT = """\
Export a captioner to ONNX, for devices without torch.

    captioner export -o small/ --int8
    captioner export runs/mine/checkpoint -o mine/
    python -m captioner.runtime small/ a.mp4

CHECKPOINT is a folder (default: the packaged captioner). The output folder holds the network, the vocabulary and all
settings. captioner.runtime runs it with numpy, onnxruntime and PyAV."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", nargs="?", metavar="CHECKPOINT", help="checkpoint folder (default: the packaged captioner)"
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="new folder for the export")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("-f", "--format", choices=("onnx",), default="onnx", help="onnx, opset 18 (default)")
    parser.add_argument("--int8", action="store_true", help="quantise to 8 bits: a third of the size")
    parser.add_argument("-q", "--quiet", action="store_true", help="print no progress")


def run(options: argparse.Namespace) -> int:
    folder = Path(options.output)
    import_onnx()
    announce(f"exporting to {folder}", quiet=options.quiet)
    from captioner.checkpoint.captioning import load_checkpoint
    from captioner.checkpoint.files import check_output
    from captioner.runtime.export import export

    check_output(folder, overwrite=options.overwrite, inputs=[options.checkpoint] if options.checkpoint else [])
    status = Status(quiet=options.quiet)
    export(load_checkpoint(options.checkpoint), folder, int8=options.int8, status=status, overwrite=options.overwrite)
    status.clear()
    print(folder)
    return 0
