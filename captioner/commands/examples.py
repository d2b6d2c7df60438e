"""Two examples of each command, which its ``--help`` shows first."""

from __future__ import annotations

EXAMPLES = {
    "caption": ("captioner caption film.mp4", "captioner caption -r videos/ -o captions.jsonl"),
    "actions": ("captioner actions clip.mp4", "captioner actions -r videos/ -o actions.csv"),
    "index": ("captioner index -r videos/ -o archive.db", "captioner index --from captions.jsonl -o captions.db"),
    "find": ("captioner find archive.db a dog on a beach", "captioner find archive.db --like photo.jpg --open"),
    "train": ("captioner train recipes/own/recipe.toml", "captioner train recipe.toml -o runs/mine --set train.seed=2"),
    "features": (
        "captioner features recipes/own/recipe.toml",
        "captioner features recipe.toml --set data.cache=work/features",
    ),
    "search": (
        "captioner search recipe.toml space.toml --trials 30",
        "captioner search recipe.toml space.toml --sampler random -o runs/search",
    ),
    "probe": ("captioner probe film.mp4", "captioner probe videos/*.mp4"),
    "info": ("captioner info", "captioner info runs/mine/checkpoint --json"),
    "sample": ("captioner sample", "captioner sample --each -o samples/"),
    "doctor": ("captioner doctor", "captioner doctor runs/mine/checkpoint"),
    "score": (
        "captioner anomalies score wednesday.mp4 -m cam1/",
        "captioner anomalies score -r footage/ -m cam1/ -o out/",
    ),
    "learn": ("captioner anomalies learn monday.mp4 -o cam1/", "captioner anomalies learn -r normal/ -o cam1/"),
}


def with_examples(command: str, about: str) -> str:
    """What a command is about, with its examples after the first line, unless that shows some itself."""
    if "\n    captioner " in about or command not in EXAMPLES:
        return about
    first, _, rest = about.partition("\n")
    return "\n".join([first, "", *(f"    {line}" for line in EXAMPLES[command]), *([rest] if rest else [])])
