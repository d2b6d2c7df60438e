"""The files that commands are tried on: a tiny checkpoint, clips, footage, a recipe, captions; and the commands."""

from __future__ import annotations

from pathlib import Path

from captioner.caption.result import Caption, Word
from captioner.outputs.writers import jsonl
from tests.media import render_audio_only, render_clip, render_image, render_text, truncate
from tests.tiny import tiny_checkpoint, tiny_cnn

COMMANDS = {
    "caption": "captioner caption {kept}/clips/a.mp4 -m {kept}/checkpoint",
    "caption to a file": "captioner caption {kept}/clips/a.mp4 -m {kept}/checkpoint -o {out}/a.vtt",
    "caption many": "captioner caption -r {kept}/clips -m {kept}/checkpoint -o {out}/captions.jsonl --jobs 2",
    "caption beside": "captioner caption -r {kept}/clips -m {kept}/checkpoint -o {out}/{{stem}}.{{format}} -f srt,vtt",
    "caption a list": "captioner caption @{kept}/list.txt -m {kept}/checkpoint -o {out}/captions.csv",
    "caption segments": "captioner caption {kept}/clips/film.ts -m {kept}/checkpoint --segments 1 -o {out}/a.vtt",
    "caption what is broken": "captioner caption {kept}/clips/cut.mp4 {kept}/clips/text.mp4 -m {kept}/checkpoint",
    "caption with the package": "captioner caption {kept}/clips/photo.jpg",
    "caption to a table": "captioner caption -r {kept}/clips -m {kept}/checkpoint -o {out}/captions.parquet --jobs 1",
    "merge": "captioner merge {kept}/one.jsonl {kept}/two.jsonl -o {out}/all.jsonl --expect {kept}/clips",
    "merge to a table": "captioner merge {kept}/one.jsonl {kept}/two.jsonl -o {out}/all.parquet",
    "actions": "captioner actions {kept}/clips/a.mp4 -o {out}/actions.jsonl",
    "learn": "captioner anomalies learn {kept}/normal.mp4 -o {out}/model --steps 2",
    "score": "captioner anomalies score {kept}/normal.mp4 -m {kept}/detector -o {out}",
    "train": "captioner train {kept}/recipe.toml --set data.cache={out}/features -o {out}/run",
    "features": "captioner features {kept}/recipe.toml --set data.cache={out}/features",
    "search": "captioner search {kept}/recipe.toml {kept}/space.toml --sampler grid --set data.cache={out}/features "
    "-o {out}/study",
    "average": "captioner average {kept}/checkpoint {kept}/checkpoint -o {out}/model",
    "export": "captioner export {kept}/checkpoint -o {out}/model",
    "probe": "captioner probe {kept}/clips/a.mp4 {kept}/clips/film.ts",
    "probe what is broken": "captioner probe {kept}/clips/cut.mp4 {kept}/clips/sound.mp4 {kept}/clips",
    "info": "captioner info {kept}/checkpoint",
    "sample": "captioner sample {out}/a.mp4",
    "doctor": "captioner doctor -m {kept}/checkpoint",
    "help": "captioner --help",
    "wrong": "captioner captoin --nonsense",
    "eval score": "eval score {kept}/said.csv {kept}/references.tsv --report {out}/report --json {out}/scores.json",
    "eval run": "eval run {kept}/checkpoint {kept}/shapes/manifest.jsonl --out {out}/run --limit 2",
    "data folder": "data folder {kept}/clips --out {out}/data",
    "data captions": "data captions {kept}/captions.txt --out {out}/data",
    "data shapes": "data shapes --out {out}/data --train 2 --val 1 --test 1 --size 32",
}
"""By name: the module and its arguments. ``kept`` may not be changed; ``out`` is for outputs."""

BY_HAND = (
    "a.vtt", "a.srt", "a.jsonl", "a.mp4", "all.jsonl", "all.parquet", "captions.jsonl", "captions.parquet",
    "captions.csv", "actions.jsonl", "normal.scores.csv", "normal.anomalies.vtt", "normal.events.jsonl",
    "normal.scores.jsonl", "scores.json", "model", "run", "study", "report", "data", "features",
    "captioner.failures.jsonl",
)  # fmt: skip
"""Names that the commands write to in ``out``."""

_RECIPE = """\
[data]
manifests = ["{kept}/shapes/manifest.jsonl"]
[video]
frames = 3
size = 32
[encoder]
source = "{kept}/cnn"
weights = "random"
[decoder]
embed = 16
hidden = 16
attention = 8
[tokenizer]
vocab_size = 60
[search]
beams = 2
max_length = 20
[train]
epochs = 2
batch_size = 4
threads = 1
"""


def make_clips(folder: Path) -> None:
    """Clips, a photo, and what is none."""
    folder.mkdir(parents=True)
    clip = render_clip(folder / "a.mp4", frames=24)
    render_clip(folder / "film.ts", frames=72)
    render_image(folder / "photo.jpg")
    render_text(folder / "text.mp4")
    render_audio_only(folder / "sound.mp4")
    truncate(clip, folder / "cut.mp4", keep=0.4)
    (folder / "empty.mp4").touch()


def make_rows(folder: Path) -> None:
    """Rows of two runs, of which some are the same."""
    for name, numbers in (("one", range(200)), ("two", range(150, 400))):
        captions = (
            Caption(
                path=f"clips/{number}.mp4",
                text="a dog runs",
                confidence=0.5,
                score=-1.0,
                log_prob=-2.0,
                words=(Word(text="dog", attention=(1.0,), peak_seconds=0.5),),
                times_seconds=(0.5,),
                start_seconds=0.0,
                end_seconds=1.0,
                alternatives=(),
                warnings=(),
                model="m",
            )
            for number in numbers
        )
        (folder / f"{name}.jsonl").write_text("".join(jsonl(captions)), encoding="utf-8")


def make_world(kept: Path) -> None:
    """All of it, in a new folder."""
    from captioner.cli import main
    from data.shapes import render

    make_clips(kept / "clips")
    render_clip(kept / "normal.mp4", frames=350, rate=10, gop=50)
    tiny_checkpoint(kept)
    tiny_cnn(kept / "cnn")
    render(kept / "shapes", train=8, val=2, test=2, seed=3)
    (kept / "recipe.toml").write_text(_RECIPE.format(kept=kept))
    (kept / "space.toml").write_text("[train]\nbatch_size = [2, 4]\n")
    (kept / "list.txt").write_text(f"{kept}/clips/a.mp4\n{kept}/clips/film.ts\n")
    (kept / "said.csv").write_text("id,caption\na,a dog runs fast\nb,a cat sleeps\n")
    (kept / "references.tsv").write_text("a\ta dog runs\nb\ta cat is asleep\n")
    (kept / "captions.txt").write_text("a dog runs\na cat sleeps\n" * 20)
    make_rows(kept)
    if main(["anomalies", "learn", str(kept / "normal.mp4"), "-o", str(kept / "detector"), "--steps", "2", "-q"]):
        raise RuntimeError("the detector was not learnt")
