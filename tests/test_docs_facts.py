"""What the docs say that the code knows: numbers, and the files that they name."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from captioner.vision.evidence import nouns
from demo.limits import Limits
from tests.prose import ROOT

CONFIG = json.loads((ROOT / "captioner" / "default" / "config.json").read_text(encoding="utf-8"))
ACTIONS = json.loads((ROOT / "captioner" / "actions" / "default" / "config.json").read_text(encoding="utf-8"))
LIMITS = Limits()
MIN_CONFIDENCE = CONFIG["search"]["min_confidence"]
FACTS = [
    ("docs/howto/archive.md", rf"confidence is below\s+{MIN_CONFIDENCE}\b"),
    ("docs/why/model-card.md", rf"Captions below {100 * MIN_CONFIDENCE:.0f} %"),
    ("docs/start/is-this-for-me.md", rf"`unsure:` below {100 * MIN_CONFIDENCE:.0f} %"),
    ("docs/start/is-this-for-me.md", rf"\b{len(nouns())} nouns of ImageNet"),
    ("docs/why/model-card.md", rf"\b{len(nouns())} nouns"),
    ("docs/why/model-card.md", rf"detector of {len(CONFIG['words'])} words"),
    ("docs/why/model-card.md", rf"\b{CONFIG['search']['beams']} beams"),
    ("docs/why/model-card.md", rf"\b{CONFIG['video']['frames']} of {CONFIG['video']['size']} x"),
    ("docs/howto/page.md", rf"ranks {len(ACTIONS['labels'])} actions"),
    ("docs/howto/actions.md", rf"\b{len(ACTIONS['labels'])} labels"),
    ("docs/howto/page.md", rf"\b{LIMITS.upload_megabytes} MB and\s+{LIMITS.clip_minutes:.0f} minutes a video"),
    ("docs/howto/page.md", rf"\b{LIMITS.batch_files} files a\s+batch, {LIMITS.waiting} visitors waiting"),
    ("docs/howto/page.md", rf"\b{LIMITS.run_seconds / 60:.0f}\s+minutes\s+a\s+run"),
]
NAMED = re.compile(r"`((?:captioner|eval|data|demo|docs|tests|benchmarks|recipes)/[\w./-]+)`|benchmarks/\w+\.py")


@pytest.mark.parametrize(("page", "says"), FACTS)
def test_a_page_says_what_the_code_knows(page: str, says: str) -> None:
    assert re.search(says, (ROOT / page).read_text(encoding="utf-8")), f"{page} should say {says}"


def test_every_file_that_a_page_names_exists() -> None:
    pages = [ROOT / "README.md", *(p for p in (ROOT / "docs").rglob("*.md") if "notebook" not in p.parts)]
    for page in pages:
        for found in NAMED.finditer(page.read_text(encoding="utf-8")):
            name = found.group(1) or found.group(0)
            assert (ROOT / name).exists(), f"{page.relative_to(ROOT)} names {name}"


def test_the_design_lists_every_room_and_layer() -> None:
    design = (ROOT / "docs/why/design.md").read_text(encoding="utf-8")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [layers] = [found["layers"] for found in contracts if found.get("containers") == ["captioner"]]
    listed = [line.strip() for line in re.findall(r"^    (\w.*)$", design, re.MULTILINE)]
    assert [re.split(r" \| |, ", line) for line in listed] == [re.split(r" \| ", layer) for layer in layers[1:]]
    rooms = {path.parent.name for path in (ROOT / "captioner").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)/` \|", design, re.MULTILINE)) == rooms


def test_the_readme_has_the_scores_of_the_model_card() -> None:
    readme, card = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/why/model-card.md"))
    scores = re.findall(r"CIDEr ([\d.]+) (\([\d.]+-[\d.]+\))", readme)
    assert len(scores) == 2 and all(f"| **{score}** {interval} |" in card for score, interval in scores), scores
