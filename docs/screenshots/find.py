"""Ten clips, indexed and searched: the picture and the table of docs/howto/find.md, for anyone to repeat.

    python docs/screenshots/find.py

The clips are rendered from photographs that scikit-image ships, all free to redistribute (skimage/data/_fetchers.py).
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from captioner.cli import main as captioner  # noqa: E402
from captioner.index.archive import Archive  # noqa: E402
from captioner.index.writers import why  # noqa: E402
from captioner.setup.sample import SHOTS, Shot, render_sample  # noqa: E402

_WHOLE = ((0.5, 0.5, 1.0), (0.5, 0.5, 0.9))
CLIPS = (
    *SHOTS,
    Shot("cat", "chelsea.png", *_WHOLE),
    Shot("coffee", "coffee.png", *_WHOLE),
    Shot("astronaut", "astronaut.png", *_WHOLE),
    Shot("rocket", "rocket.jpg", *_WHOLE),
    Shot("clock", "clock_motion.png", *_WHOLE),
    Shot("coins", "coins.png", *_WHOLE),
    Shot("bricks", "brick.png", *_WHOLE),
)
QUERIES = {
    "a man with a camera": "photographer",
    "a pony stands in a meadow": "horse",
    "galaxies in the sky": "stars",
    "a kitten": "cat",
    "a cup of coffee": "coffee",
    "a hot drink": "coffee",
    "a woman in an orange suit": "astronaut",
    "somebody smiles": "astronaut",
    "a rocket at night": "rocket",
    "what time is it": "clock",
    "old money": "coins",
    "a brick wall": "bricks",
}
"""Each with the clip that a person would choose."""
_COLUMNS, _CELL = 5, (160, 120)


def main() -> None:
    """Write find-clips.webp, and print what each query finds first, and where the right clip stands."""
    with tempfile.TemporaryDirectory() as folder:
        for clip in CLIPS:
            render_sample(Path(folder, "clips", f"{clip.name}.mp4"), [clip])
        index = Path(folder, "archive.db")
        captioner(["index", str(Path(folder, "clips")), "-o", str(index), "-q"])
        with Archive.open(index) as archive:
            print("| query | first | score | why | the right clip is |\n| --- | --- | ---: | --- | ---: |")
            for query, right in QUERIES.items():
                found = archive.find(query, count=len(CLIPS)).found
                names = [Path(each.path).stem for each in found]
                place = names.index(right) + 1 if right in names else "-"
                print(f"| {query} | {names[0]} | {found[0].score:.2f} | {why(found[0])} | {place} |")
            rows = {Path(each.path).stem: each for each in archive.find("a", count=len(CLIPS))}
            for name, each in rows.items():
                print(f"{name}: {each.caption} ({each.confidence:.2f}{', unsure' if each.unsure else ''})")
            _strip([archive.thumbnail(rows[clip.name].row) for clip in CLIPS])


def _strip(pictures: list[bytes]) -> None:
    rows = -(-len(pictures) // _COLUMNS)
    strip = Image.new("RGB", (_COLUMNS * _CELL[0], rows * _CELL[1]))
    draw = ImageDraw.Draw(strip)
    for number, (clip, webp) in enumerate(zip(CLIPS, pictures, strict=True)):
        left, top = number % _COLUMNS * _CELL[0], number // _COLUMNS * _CELL[1]
        strip.paste(Image.open(io.BytesIO(webp)).resize(_CELL), (left, top))
        draw.text((left + 6, top + 5), clip.name, fill="white", stroke_width=2, stroke_fill="black", font_size=14)
    strip.save(HERE / "find-clips.webp", quality=75, method=6)


if __name__ == "__main__":
    main()
