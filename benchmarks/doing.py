"""How often does a caption say what people do?

    python -m data labels FOLDER --out work/stanford40           (images.tar of Stanford 40, unpacked)
    python benchmarks/doing.py work/stanford40/manifest.jsonl

A caption says an action where it has all content words of the label, stemmed. Rows: without the detector of actions,
and with it. "Named" is the share of clips whose label is said; "right" is the share of the actions said that are the
clip's label. The labels are those that the detector knows.
"""

from __future__ import annotations

import argparse

import torch

from captioner import Captioner
from captioner.checkpoint.captioning import load_checkpoint
from captioner.manifest import read_manifest
from captioner.metrics.content import content_words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", help="manifest with labels (python -m data labels)")
    parser.add_argument("--split", default="val")
    parser.add_argument("--checkpoint", default="default")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print every N-th caption")
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = [clip for clip in read_manifest(options.manifest, split=options.split) if clip.path and clip.labels]
    print("| | clips | named | right | different captions |\n| --- | ---: | ---: | ---: | ---: |")
    for name in ("without", "with"):
        checkpoint = load_checkpoint(options.checkpoint)
        detector = checkpoint.model.actions
        assert detector is not None, "a checkpoint without a detector of actions"
        if name == "without":
            checkpoint.model.actions = None
        captioner = Captioner(checkpoint)
        labels = {label: content_words(label) for label in detector.labels}
        said = [captioner.caption(clip.path).text for clip in clips if clip.path]
        told = [{label for label, words in labels.items() if words <= content_words(text)} for text in said]
        named = sum(not found.isdisjoint(clip.labels) for found, clip in zip(told, clips, strict=True))
        right = named / max(1, sum(map(len, told)))
        print(f"| {name} | {len(clips)} | {named / len(clips):.1%} | {right:.1%} | {len(set(said))} |", flush=True)
        for clip, text in list(zip(clips, said, strict=True))[:: options.show] if options.show else []:
            print(f"{clip.labels[0]}: {text}")


if __name__ == "__main__":
    main()
