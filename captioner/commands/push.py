"""``captioner push``: a checkpoint onto the Hugging Face hub."""

from __future__ import annotations

import argparse

ABOUT = """\
Push a checkpoint to the Hugging Face hub. Its model card is the output of `captioner info`, or the folder's README.md.

    huggingface-cli login                          # or HF_TOKEN
    captioner push runs/mine/checkpoint me/my-captioner
    captioner caption -m me/my-captioner a.mp4     # anywhere; -m me/my-captioner@v1 pins a revision"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="checkpoint folder: captions, actions or anomalies")
    parser.add_argument("name", metavar="USER/NAME", help="repository on the hub; created if missing")
    parser.add_argument("--private", action="store_true", help="create it as a private repository")
    parser.add_argument("--revision", metavar="BRANCH", help="branch (default: main)")
    parser.add_argument("--message", default="", metavar="TEXT", help="commit message")
    parser.add_argument("--license", default="", metavar="ID", help="licence on the card, such as mit or cc-by-4.0")


def run(options: argparse.Namespace) -> int:
    from captioner.checkpoint.captioning import checkpoint_folder
    from captioner.checkpoint.hub import make_card, push
    from captioner.commands.inspection import summarise

    folder = checkpoint_folder(options.folder)
    summary = summarise(folder)  # it loads: what is pushed is whole
    card = make_card(options.name, summary, license=options.license)
    print(
        push(
            folder,
            options.name,
            card=card,
            private=options.private,
            revision=options.revision,
            message=options.message,
        )
    )
    return 0
