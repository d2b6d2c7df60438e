"""Is a picture that shows nothing of the world marked unsure? Slides, titles, terminals, charts, test cards, cartoons.

    python benchmarks/pictures.py [--count 40] [--real work/flickr8k/manifest.jsonl work/msvd/manifest.jsonl]

The captioner learned from ``data.pictures``. These pictures come from another renderer, with other fonts (DejaVu),
English text, other layouts and figures; the test cards are FFmpeg's. ``--real`` shows how many real clips of the val
split are marked.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import av
import av.filter
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from captioner import Captioner
from captioner.manifest import read_manifest
from captioner.video.frames import Frames, resize_frame, sample_frames
from captioner.video.visibility import shows_something

TEXT = (
    "the quarterly results show a steady growth in all regions while costs fell by four per cent in the second "
    "half chapter one in which our hero leaves home welcome to the course please mute your microphone thank "
    "you for watching written and directed by produced with support of the council def main return value "
    "import error failed warning connected to server installing packages done total items price quantity next "
    "previous cancel save open "
)
CARDS = (
    *("testsrc", "testsrc2", "smptebars", "smptehdbars", "pal75bars", "pal100bars", "rgbtestsrc", "yuvtestsrc"),
    *("colorspectrum", "allrgb"),
)
SANS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansCondensed-Oblique.ttf")


def canvas(rng: np.random.Generator, ground: tuple[int, ...]) -> tuple[Image.Image, Any, bool]:
    """A picture of one colour, what draws on it, and whether it is light."""
    width = int(rng.choice([480, 720, 1024]))
    image = Image.new("RGB", (width, int(width / rng.choice([4 / 3, 16 / 9]))), ground)
    return image, ImageDraw.Draw(image), sum(ground) > 400


def colour(rng: np.random.Generator, low: int = 0, high: int = 255) -> tuple[int, ...]:
    return tuple(rng.integers(low, high + 1, 3).tolist())


def text(rng: np.random.Generator, words: int) -> str:
    known = TEXT.split()
    start = int(rng.integers(len(known)))
    return " ".join((known * 2)[start : start + words])


def font(rng: np.random.Generator, size: float, name: str | None = None) -> Any:
    return ImageFont.truetype(name or str(rng.choice(SANS)), max(9, int(size)))


def slide(rng: np.random.Generator) -> Image.Image:
    """A heading over a rule, numbered points, a page number; perhaps two columns."""
    image, draw, light = canvas(rng, colour(rng, 225) if rng.random() < 0.7 else colour(rng, 0, 60))
    ink = (20, 20, 30) if light else (240, 240, 235)
    width, height = image.size
    draw.text((width * 0.06, height * 0.06), text(rng, 4).title(), font=font(rng, height * 0.075), fill=ink)
    draw.line((width * 0.06, height * 0.19, width * 0.94, height * 0.19), fill=colour(rng), width=3)
    face = font(rng, height * rng.uniform(0.035, 0.055))
    for column in range(1 if rng.random() < 0.6 else 2):
        for i in range(int(rng.integers(3, 7))):
            place = (width * (0.08 + 0.45 * column), height * (0.26 + 0.1 * i))
            draw.text(place, f"{i + 1}. {text(rng, int(rng.integers(3, 7)))}", font=face, fill=ink)
    draw.text((width * 0.93, height * 0.93), str(rng.integers(1, 60)), font=face, fill=ink)
    return image


def title(rng: np.random.Generator) -> Image.Image:
    """Centred lines, as of a film: a name, and who made it; or credits."""
    image, draw, light = canvas(rng, colour(rng, 0, 40) if rng.random() < 0.6 else colour(rng))
    ink = (10, 10, 10) if light else (250, 250, 240)
    width, height = image.size
    many = rng.random() < 0.4
    for i in range(8 if many else int(rng.integers(1, 4))):
        size = height * (0.05 if many else 0.13 if i == 0 else 0.06)
        line = text(rng, 2 if i == 0 or many else 4)
        middle = (width / 2, height * (0.1 + 0.11 * i if many else 0.4 + 0.16 * i))
        draw.text(middle, line.upper() if i == 0 else line.title(), font=font(rng, size), fill=ink, anchor="mm")
    return image


def terminal(rng: np.random.Generator) -> Image.Image:
    """Code with colours and line numbers, or a shell with a prompt, in a monospaced font."""
    image, draw, light = canvas(rng, colour(rng, 0, 50) if rng.random() < 0.75 else colour(rng, 235))
    width, height = image.size
    face = font(rng, height * rng.uniform(0.025, 0.045), "DejaVuSansMono.ttf")
    shell, step = rng.random() < 0.5, face.size * 1.35
    for i in range(int(rng.uniform(0.5, 1) * height / step)):
        x = width * 0.01
        for word in (
            [f"{i + 1:3}", *["   "] * int(rng.integers(0, 3))] if not shell else ["user@host:~$"] * (i % 4 == 0)
        ):
            draw.text((x, i * step), word, font=face, fill=(110, 160, 90))
            x += face.getlength(word + " ")
        for word in text(rng, int(rng.integers(1, 8))).split():
            tint = colour(rng, 0, 120) if light else colour(rng, 130, 255)
            plain = (30, 30, 30) if light else (210, 210, 210)
            draw.text((x, i * step), word, font=face, fill=plain if rng.random() < 0.6 else tint)
            x += face.getlength(word + " ")
    return image


def chart(rng: np.random.Generator) -> Image.Image:
    """Points, areas, horizontal bars or a ring, with a legend."""
    image, draw, light = canvas(rng, (255, 255, 255) if rng.random() < 0.6 else colour(rng, 10, 50))
    ink = (40, 40, 40) if light else (220, 220, 220)
    width, height = image.size
    face, tints = font(rng, height * 0.04), [colour(rng, 40, 220) for _ in range(4)]
    draw.text((width / 2, height * 0.06), text(rng, 4).capitalize(), font=face, fill=ink, anchor="mm")
    kind = rng.integers(4)
    left, top, right, bottom = width * 0.12, height * 0.14, width * 0.78, height * 0.88
    if kind < 3:
        draw.line((left, top, left, bottom, right, bottom), fill=ink, width=2)
    for row, tint in enumerate(tints):
        y = height * (0.2 + 0.08 * row)
        draw.rectangle((width * 0.82, y, width * 0.85, y + height * 0.04), fill=tint)
        draw.text((width * 0.86, y), text(rng, 1), font=face, fill=ink)
        if kind == 0:
            for x, y in rng.multivariate_normal(rng.uniform(0.2, 0.8, 2), [[0.01, 0.005], [0.005, 0.01]], 40):
                px, py = left + np.clip(x, 0, 1) * (right - left), top + np.clip(y, 0, 1) * (bottom - top)
                draw.ellipse((px - 4, py - 4, px + 4, py + 4), fill=tint)
        if kind == 1:
            heights = bottom - (bottom - top) * np.clip(0.9 - 0.2 * row + 0.05 * rng.standard_normal(30), 0.02, 1)
            points = [*zip(np.linspace(left, right, 30), heights, strict=True), (right, bottom), (left, bottom)]
            draw.polygon(points, fill=tint)
        if kind == 2:
            for i in range(3):
                y = top + (bottom - top) * (row * 3 + i + 0.2) / 12
                draw.rectangle((left, y, left + (right - left) * rng.uniform(0.1, 1), y + 12), fill=tints[i])
        if kind == 3:
            box = (width * 0.2, height * 0.2, width * 0.2 + height * 0.65, height * 0.85)
            draw.pieslice(box, 90 * row + 20, 90 * (row + 1) + 20, fill=tint)
    if kind == 3:
        middle, reach = (width * 0.2 + height * 0.325, height * 0.525), height * 0.15
        draw.ellipse(
            (middle[0] - reach, middle[1] - reach, middle[0] + reach, middle[1] + reach), fill=image.getpixel((1, 1))
        )
    return image


def screen(rng: np.random.Generator) -> Image.Image:
    """A form in a dialogue, a list of messages, or a calendar."""
    image, draw, _ = canvas(rng, colour(rng, 200) if rng.random() < 0.7 else colour(rng, 20, 60))
    width, height = image.size
    face, kind = font(rng, height * 0.04, "DejaVuSans.ttf"), rng.integers(3)
    if kind == 0:
        draw.rectangle(
            (width * 0.15, height * 0.1, width * 0.85, height * 0.9), fill=(245, 245, 245), outline=(90, 90, 90)
        )
        draw.rectangle((width * 0.15, height * 0.1, width * 0.85, height * 0.18), fill=colour(rng, 30, 160))
        for i in range(5):
            draw.text((width * 0.2, height * (0.25 + 0.1 * i)), text(rng, 2), font=face, fill=(30, 30, 30))
            box = (width * 0.5, height * (0.25 + 0.1 * i), width * 0.8, height * (0.31 + 0.1 * i))
            draw.rectangle(box, fill=(255, 255, 255), outline=(150, 150, 150))
        draw.rounded_rectangle((width * 0.6, height * 0.8, width * 0.8, height * 0.87), 6, fill=colour(rng, 30, 200))
    if kind == 1:
        for i in range(7):
            own = rng.random() < 0.5
            x, y = width * (0.4 if own else 0.04), height * (0.03 + 0.135 * i)
            draw.rounded_rectangle((x, y, x + width * 0.55, y + height * 0.11), 14, fill=colour(rng, 120, 240))
            draw.text((x + 12, y + height * 0.03), text(rng, 5), font=face, fill=(20, 20, 20))
    if kind == 2:
        for i in range(35):
            x, y = width * (0.03 + 0.135 * (i % 7)), height * (0.15 + 0.165 * (i // 7))
            box = (x, y, x + width * 0.13, y + height * 0.155)
            draw.rectangle(
                box, fill=(250, 250, 250) if rng.random() < 0.8 else colour(rng, 150), outline=(120, 120, 120)
            )
            draw.text((x + 5, y + 4), str(i + 1), font=face, fill=(60, 60, 60))
    return image


def cartoon(rng: np.random.Generator) -> Image.Image:
    """Animals with pointed ears, cars, clouds, mountains and speech bubbles, in flat colours."""
    image, draw, _ = canvas(rng, colour(rng, 90, 255))
    width, height = image.size
    for _ in range(int(rng.integers(0, 4))):
        x, reach = width * rng.uniform(-0.1, 1), width * rng.uniform(0.15, 0.4)
        draw.polygon(
            [(x - reach, height * 0.75), (x, height * rng.uniform(0.2, 0.5)), (x + reach, height * 0.75)],
            fill=colour(rng),
        )
    draw.rectangle((0, height * 0.75, width, height), fill=colour(rng))
    for _ in range(int(rng.integers(0, 4))):
        x, y = width * rng.uniform(0, 0.8), height * rng.uniform(0, 0.25)
        for i in range(3):
            draw.ellipse((x + 25 * i, y - 10 * (i % 2), x + 25 * i + 50, y + 35), fill=(255, 255, 255))
    for _ in range(int(rng.integers(1, 4))):
        x, y, size = width * rng.uniform(0.05, 0.75), height * rng.uniform(0.35, 0.6), height * rng.uniform(0.15, 0.35)
        tint = colour(rng, 30, 250)
        if rng.random() < 0.6:
            body = (x + 0.1 * size, y + 0.7 * size, x + 0.9 * size, y + 1.5 * size)
            draw.ellipse(body, fill=tint, outline=(20, 20, 20), width=4)
            for ear in (0, 0.65):
                ends = [(x + ear * size, y - 0.25 * size), (x + (ear + 0.35) * size, y + 0.2 * size)]
                draw.polygon([ends[0], ends[1], (x + ear * size, y + 0.45 * size)], fill=tint, outline=(20, 20, 20))
            draw.ellipse((x, y, x + size, y + 0.85 * size), fill=tint, outline=(20, 20, 20), width=4)
            for eye in (0.3, 0.65):
                centre, reach = (x + eye * size, y + 0.35 * size), size * 0.07
                draw.ellipse(
                    (centre[0] - reach, centre[1] - reach, centre[0] + reach, centre[1] + reach), fill=(10, 10, 10)
                )
        else:
            draw.rounded_rectangle((x, y + 0.4 * size, x + 1.6 * size, y + 0.9 * size), 15, fill=tint)
            draw.rounded_rectangle((x + 0.3 * size, y, x + 1.2 * size, y + 0.5 * size), 20, fill=tint)
            draw.rectangle((x + 0.4 * size, y + 0.1 * size, x + 1.1 * size, y + 0.38 * size), fill=(190, 220, 240))
            for wheel in (0.2, 1.1):
                box = (x + wheel * size, y + 0.75 * size, x + (wheel + 0.3) * size, y + 1.05 * size)
                draw.ellipse(box, fill=(25, 25, 25), outline=(150, 150, 150), width=5)
    if rng.random() < 0.4:
        box = (width * 0.5, height * 0.05, width * 0.95, height * 0.25)
        draw.ellipse(box, fill=(255, 255, 255), outline=(0, 0, 0))
        middle = (width * 0.72, height * 0.15)
        draw.text(middle, text(rng, 2), font=font(rng, height * 0.05), fill=(0, 0, 0), anchor="mm")
    return image


def card(rng: np.random.Generator) -> Image.Image:
    """One of FFmpeg's test sources, some frames on."""
    graph = av.filter.Graph()
    source = graph.add(str(rng.choice(CARDS)))
    turned = graph.add("hue", f"h={rng.integers(0, 360)}:s={rng.uniform(0.3, 1.5):.2f}")
    sink = graph.add("buffersink")
    source.link_to(turned)
    turned.link_to(sink)
    graph.configure()
    for _ in range(int(rng.integers(1, 60))):
        frame = graph.pull()
    assert isinstance(frame, av.VideoFrame)
    return Image.fromarray(frame.reformat(width=640, height=480, format="rgb24").to_ndarray())


KINDS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    **{"slides": slide, "titles": title, "terminals": terminal, "charts": chart, "screens": screen},
    **{"test cards": card, "cartoons": cartoon},
}


def still(captioner: Captioner, image: Image.Image) -> Frames:
    """A clip of one frame."""
    pixels = resize_frame(np.array(image), size=captioner.video.size, how=captioner.video.resize)[None]
    return Frames(
        pixels=pixels,
        is_blank=not shows_something(pixels),
        times_seconds=(0.0,),
        duration_seconds=None,
        width=image.width,
        height=image.height,
        lost=0,
        warnings=(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="pictures of each kind (default: 40)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", nargs="*", default=[], metavar="MANIFEST", help="count real clips of val too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    captioner = Captioner.load()
    print("| | pictures | unsure | said of the first |\n| --- | ---: | ---: | --- |")

    def row(name: str, clips: Sequence[Frames]) -> int:
        told = [captioner.caption_frames([frames])[0] for frames in clips]
        unsure = sum(caption.abstained for caption in told)
        print(f"| {name} | {len(told)} | {100 * unsure / len(told):.1f} % | {told[0].text} |", flush=True)
        return unsure

    unsure = 0
    for name, draw in KINDS.items():
        generators = [np.random.default_rng((options.seed, n)) for n in range(options.count)]
        unsure += row(name, [still(captioner, draw(generator).convert("RGB")) for generator in generators])
    print(f"| all | {len(KINDS) * options.count} | {100 * unsure / len(KINDS) / options.count:.1f} % | |")
    for manifest in options.real:
        paths = [clip.path for clip in read_manifest(manifest, split="val") if clip.path]
        row(manifest, [sample_frames(path, captioner.video) for path in paths])


if __name__ == "__main__":
    main()
