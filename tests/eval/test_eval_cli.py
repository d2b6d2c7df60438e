"""`python -m eval` as it is used: what it prints, writes and exits with."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from captioner.metrics.bleu import bleu
from captioner.metrics.cider import cider
from captioner.metrics.rouge import rouge_l
from eval.__main__ import COMMANDS, main
from eval.inputs.predictions import read_details
from eval.scores.evaluation import from_json, load_evaluation

SUBJECTS = ["a man", "a woman", "a dog", "two boys", "a cat", "a girl", "some people", "an old man"]
ACTIONS = ["is running in a park", "is cooking some food", "is playing a guitar", "is riding a red horse"]
PEOPLE = {
    f"clip{i}": [f"{s} {a}", f"{s} {a.replace('is ', '')} slowly", f"somebody {a}"]
    for i, (s, a) in enumerate((s, a) for s in SUBJECTS for a in ACTIONS)
}
GOOD = {clip: captions[0].replace("some ", "") for clip, captions in PEOPLE.items()}
POOR = dict.fromkeys(PEOPLE, "a man is running")


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    rows = [{"id": clip, "path": f"{clip}.mp4", "captions": captions} for clip, captions in PEOPLE.items()]
    rows.append({"id": "seen", "split": "train", "captions": ["a man is running"]})
    return write_lines(tmp_path / "manifest.jsonl", rows)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def predictions(path: Path, captions: dict[str, str]) -> str:
    return write_lines(path, [{"id": clip, "caption": caption} for clip, caption in captions.items()])


@pytest.fixture
def good(tmp_path: Path) -> str:
    return predictions(tmp_path / "good.jsonl", GOOD)


@pytest.fixture
def poor(tmp_path: Path) -> str:
    return predictions(tmp_path / "poor.jsonl", POOR)


def test_score_prints_the_metrics_with_intervals_and_a_signature(manifest, good, capsys):
    assert main(["score", good, manifest]) == 0
    out = capsys.readouterr().out
    expected = {
        "BLEU-4": bleu(GOOD, PEOPLE).corpus[3],
        "ROUGE-L": rouge_l(GOOD, PEOPLE).corpus,
        "CIDEr": cider(GOOD, PEOPLE).corpus,
    }
    for name, value in expected.items():
        score, low, high = re.search(rf"^{name} +([\d.]+) +([\d.]+) to ([\d.]+)$", out, re.M).groups()
        assert float(score) == pytest.approx(100 * value, abs=0.006) and float(low) <= float(score) <= float(high)
    assert "clips: 32 scored of 32 with references; missing 0, failed 0" in out
    signature = re.search(r"^signature: (.*)$", out, re.M)[1]
    for part in ("clips:32|nrefs:3|case:lc|tok:ptb3.4.1py|df:refs32|", "|split:test|", "|bs:1000|seed:12345|version:"):
        assert part in signature


@pytest.mark.parametrize(("clips", "warned"), [(49, True), (50, False)])
def test_document_frequencies_from_few_clips_are_warned_of(clips, warned, tmp_path, capsys):
    names = [f"clip{i}" for i in range(clips)]
    rows = [{"id": name, "captions": [f"a dog runs to {name}", "a dog"]} for name in names]
    said = predictions(tmp_path / "said.jsonl", dict.fromkeys(names, "a dog runs"))
    assert main(["score", said, write_lines(tmp_path / "manifest.jsonl", rows)]) == 0
    assert (f"document frequencies come from only {clips} clips" in "".join(capsys.readouterr())) is warned


def test_scripts_without_spaces_are_scored_by_characters(tmp_path, capsys):
    """Scored by words there is a warning; by characters the scores are those of the same text with spaces."""
    scenes = [
        f"一{unit}{animal}在{place}" for unit in "只头" for animal in ("狗", "猫", "大象") for place in ("跑步", "睡觉")
    ]
    said = {f"clip{i}": scene.replace("跑步", "走路") for i, scene in enumerate(scenes)}
    people = {f"clip{i}": [scene, scene + "呢。"] for i, scene in enumerate(scenes)}

    def score(name: str, change: Callable[[str], str], *options: str) -> tuple[list[str], str]:
        rows = [{"id": c, "path": None, "split": "test", "captions": list(map(change, g))} for c, g in people.items()]
        references = write_lines(tmp_path / f"{name}.references.jsonl", rows)
        theirs = predictions(tmp_path / f"{name}.jsonl", {clip: change(text) for clip, text in said.items()})
        assert main(["score", theirs, references, *options]) == 0
        out = "".join(capsys.readouterr())
        return re.findall(r"^(?:BLEU-4|ROUGE-L|CIDEr) +([\d.]+)", out, re.M), out

    words, told = score("whole", str)
    assert "24 reference captions are in a script without spaces (一只狗在跑步)" in told and "--tokenize char" in told
    scores, told = score("whole", str, "--tokenize", "char")
    assert "|tok:char+ptb3.4.1py|" in told and "without spaces" not in told
    apart, told = score("apart", lambda text: " ".join(text.rstrip("。")))
    assert scores == apart != words and all(float(score) > 10 for score in scores)


def test_a_score_over_fewer_clips_says_so_everywhere(manifest, tmp_path, capsys):
    some = dict(list(GOOD.items())[:20])
    rows = [{"id": clip, "caption": caption} for clip, caption in some.items()]
    rows += [{"id": "clip20", "error": "not a video"}, {"id": "clip0", "caption": "again"}]
    rows += [{"id": "elsewhere", "caption": "x"}, {"id": "clip21", "caption": " ... "}]
    path = write_lines(tmp_path / "some.jsonl", rows)
    report = tmp_path / "report.json"
    assert main(["score", path, manifest, "--json", str(report)]) == 0
    out = capsys.readouterr().out
    assert "score on 21 of 32 clips" in out and "warning: partial: 21 of 32 clips have a caption" in out
    assert "missing 10, failed 1, empty 1, extra 1, duplicate 1, without references 0" in out
    assert "signature: clips:21of32|" in out
    evaluation = load_evaluation(report)
    assert evaluation.partial and evaluation.coverage.failed == {"clip20": "not a video"}
    assert evaluation.coverage.duplicates == ("clip0",) and evaluation.coverage.empty == ("clip21",)
    # a clip's own score does not hang on which others have captions
    assert evaluation.clips[3].scores["CIDEr"] == pytest.approx(cider(GOOD, PEOPLE).per_clip[3])

    assert main(["score", path, manifest, "--missing", "empty"]) == 0
    out = capsys.readouterr().out
    assert "score on" not in out and "11 of 32 clips have no caption and were scored as empty ones" in out
    assert "signature: clips:32|missing:11as-empty|" in out


def test_the_report_is_read_back_as_it_was_written(manifest, good, tmp_path, capsys):
    report, table = tmp_path / "report.json", tmp_path / "clips.csv"
    assert main(["score", good, manifest, "--json", str(report), "--csv", str(table), "--nltk", "--name", "g"]) == 0
    evaluation = load_evaluation(report)
    assert from_json(evaluation.to_json()) == evaluation
    assert evaluation.name == "g" and evaluation.references == manifest and len(evaluation.clips) == 32
    assert set(evaluation.extras) == {"nltk BLEU-4"}
    with table.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 32 and rows[5]["caption"] == GOOD["clip5"] and rows[5]["references"] == "3"
    assert sum(float(row["CIDEr"]) for row in rows) / 32 == pytest.approx(evaluation.scores["CIDEr"].score, abs=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_json_on_stdout_is_json_alone(manifest, good, capsys):
    assert main(["score", good, manifest, "--json", "-"]) == 0
    printed = capsys.readouterr()
    assert from_json(printed.out).name == "good.jsonl" and "CIDEr" in printed.err


def test_nltk_bleu_is_what_nltk_says_on_the_same_tokens(manifest, good, tmp_path, capsys):
    from nltk.translate.bleu_score import corpus_bleu

    report = tmp_path / "report.json"
    assert main(["score", good, manifest, "--json", str(report), "--nltk"]) == 0
    expected = corpus_bleu([[c.split() for c in PEOPLE[clip]] for clip in GOOD], [c.split() for c in GOOD.values()])
    assert load_evaluation(report).extras["nltk BLEU-4"] == pytest.approx(expected, abs=1e-9)


def test_novel_captions_are_counted_against_the_training_captions(manifest, good, poor, capsys):
    assert main(["score", poor, manifest, "--train", manifest]) == 0
    assert "novel: 0.0 % are not among the training captions" in capsys.readouterr().out
    assert main(["score", good, manifest, "--train", manifest]) == 0
    assert "novel: 100.0 %" in capsys.readouterr().out


def test_one_clip_gives_cider_zero_and_says_why(tmp_path, capsys):
    references = write_lines(tmp_path / "one.jsonl", [{"id": "a", "captions": ["a dog runs"]}])
    assert main(["score", predictions(tmp_path / "p.jsonl", {"a": "a dog runs"}), references]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^CIDEr +0\.00", out, re.M) and "CIDEr is 0 because there is one clip" in out


def test_references_that_are_all_alike_give_cider_zero_and_say_why(tmp_path, capsys):
    references = write_lines(tmp_path / "r.jsonl", [{"id": c, "captions": ["a dog", "a dog"]} for c in "abc"])
    assert main(["score", predictions(tmp_path / "p.jsonl", dict.fromkeys("abc", "a dog")), references]) == 0
    assert "CIDEr is 0 because every n-gram of the references is in the references of every clip" in (
        capsys.readouterr().out
    )


def test_hostile_captions_do_not_reach_the_terminal(tmp_path, manifest, capsys):
    captions = {**GOOD, "clip0": "<script>alert(1)</script>\n\x1b[31mred", "clip1": "\ud800 dog"}
    path = predictions(tmp_path / "p.jsonl", dict.fromkeys(captions, captions["clip0"]))
    assert main(["compare", predictions(tmp_path / "q.jsonl", captions), path, manifest]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\\x1b[31mred" in out and "<script>alert(1)</script>" in out
    assert main(["score", path, manifest]) == 0
    assert "32 captions hold line breaks; white space was collapsed" in capsys.readouterr().out


def test_compare_says_which_is_better_and_where(manifest, good, poor, capsys):
    assert main(["compare", poor, good, poor, manifest, "--show", "2", "--trials", "1000"]) == 0
    better, same = capsys.readouterr().out.split("\n\n")
    assert "on 32 of 32 clips" in better
    row = re.search(r"^CIDEr +[\d.]+ +[\d.]+ +\+[\d.]+ +\+[\d.]+ to \+[\d.]+ +([\d.]+) +([\d.]+)$", better, re.M)
    assert row is not None and float(row[1]) < 0.01 and float(row[2]) < 0.01
    assert re.search(r"\d+ won, 0 lost, \d+ equal", better)
    assert better.count("    was: a man is running") == 2 and "most regressed" not in better
    assert "0 won, 0 lost, 32 equal" in same and same.count("|ar:1000") == 3


def test_captions_made_elsewhere_get_a_report_too(manifest, tmp_path, capsys):
    clips = list(PEOPLE)
    word = {"text": "dog", "peak_seconds": 0.5, "attention": [0.4, 0.6]}
    rows = [{"id": clip, "caption": GOOD[clip]} for clip in clips]
    rows[0] |= {"confidence": 0.77, "words": [word], "times_seconds": [0.0, 0.5]}
    rows[1] |= {"confidence": "high", "words": [{"text": "dog"}], "times_seconds": "none"}
    rows[2] |= {"words": [word | {"attention": [None]}], "times_seconds": [0.0]}
    path = write_lines(tmp_path / "p.jsonl", rows)
    assert read_details(path) == {
        clips[0]: {"confidence": 0.77, "calibrated": False, "words": [word], "times_seconds": [0.0, 0.5]}
    }
    out = tmp_path / "deep" / "report"
    assert main(["score", path, manifest, "--report", str(out), "--train", manifest]) == 0
    assert capsys.readouterr().out.endswith(f"{out}/report.html\n{out}/report.md\n")
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "Model card" not in text and "cannot be opened" in text and "0.77</td>" in text
    assert "None of 32 clips is among 1 training clip" in text

    annotations = [{"image_id": clip, "caption": c} for clip, captions in PEOPLE.items() for c in captions]
    coco = tmp_path / "coco.json"
    coco.write_text(json.dumps({"annotations": annotations}), encoding="utf-8")
    assert main(["score", path, str(coco), "--report", str(out), "--train", manifest, "--overwrite"]) == 0
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "the references name no file for it" in text and "only a manifest names the files" in text
    (tmp_path / "file").touch()
    assert main(["score", path, manifest, "--report", str(tmp_path / "file")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_runs_are_called_by_their_folders(manifest, tmp_path, capsys):
    paths = []
    for name, caption in (("greedy", "a dog"), ("beam", "a dog runs")):
        (tmp_path / name).mkdir()
        paths.append(predictions(tmp_path / name / "predictions.jsonl", dict.fromkeys(PEOPLE, caption)))
    assert main(["compare", *paths, manifest, "--resamples", "100", "--trials", "100"]) == 0
    assert capsys.readouterr().out.startswith("beam against greedy on ")


def test_compare_on_clips_that_only_one_captioned_is_called_partial(manifest, good, tmp_path, capsys):
    fewer = predictions(tmp_path / "fewer.jsonl", dict(list(POOR.items())[:10]))
    out_file = tmp_path / "c.json"
    assert main(["compare", good, fewer, manifest, "--json", str(out_file)]) == 0
    assert "on 10 of 32 clips (PARTIAL: only clips that both captioned" in capsys.readouterr().out
    (found,) = json.loads(out_file.read_text())
    assert found["clips"] == 10 and found["clips_of_either"] == 32 and found["losses"] + found["ties"] == 10
    assert found["differences"]["CIDEr"]["difference"] < 0


def gate(current: str, baseline: str, *more: str) -> int:
    return main(["gate", "--baseline", baseline, current, *more])


def test_the_gate_fails_only_when_a_score_falls(manifest, good, poor, tmp_path, capsys):
    old, new = str(tmp_path / "old.json"), str(tmp_path / "new.json")
    assert main(["score", good, manifest, "--json", old]) == main(["score", poor, manifest, "--json", new]) == 0
    capsys.readouterr()
    assert gate(new, old) == 1
    out = capsys.readouterr().out
    assert re.search(r"^CIDEr .* FELL$", out, re.M) and "FAILED: BLEU-4, ROUGE-L, CIDEr fell" in out
    assert gate(old, new) == 0 and "passed" in capsys.readouterr().out
    assert gate(old, old) == 0
    assert gate(poor, old, manifest) == 1, "predictions are scored on the spot"
    assert gate(good, old, manifest) == 0
    capsys.readouterr()
    # noise is not a fall: one word of one caption
    nearly = predictions(tmp_path / "nearly.jsonl", {**GOOD, "clip3": "a man"})
    assert gate(nearly, old, manifest) == 0


def test_the_gate_fails_when_clips_have_lost_their_captions(manifest, good, tmp_path, capsys):
    old = str(tmp_path / "old.json")
    assert main(["score", good, manifest, "--json", old]) == 0
    fewer = predictions(tmp_path / "fewer.jsonl", dict(list(GOOD.items())[:31]))
    assert gate(fewer, old, manifest) == 1
    assert "1 clip of the baseline without a caption now ('clip31' is one)" in capsys.readouterr().out


def test_the_gate_refuses_what_cannot_be_compared(manifest, good, tmp_path, capsys):
    old, other = str(tmp_path / "old.json"), str(tmp_path / "other.json")
    assert main(["score", good, manifest, "--json", old]) == 0
    shorter = write_lines(tmp_path / "m2.jsonl", [{"id": c, "captions": r[:2]} for c, r in PEOPLE.items()])
    assert main(["score", good, shorter, "--json", other]) == 0
    capsys.readouterr()
    cases = [
        ([other, old], "cannot be compared: they were scored with different references"),
        ([good, old], r"not valid JSON|is not a report"),
        ([old, manifest], r"not valid JSON|is not a report"),
        ([old, old, "--metric", "SPICE"], "--metric 'SPICE' is not in both reports; they have BLEU-1"),
        ([old, old, "--alpha", "2"], "--alpha is 2.0; it must be between 0 and 1"),
    ]
    for arguments, message in cases:
        assert gate(*arguments) == 1
        error = capsys.readouterr().err
        assert re.search(message, error) and error.startswith("eval: ") and error.count("\n") == 1


def test_a_report_edited_by_hand_is_refused(manifest, good, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert main(["score", good, manifest, "--json", str(report)]) == 0
    values = json.loads(report.read_text())
    values["scores"]["CIDEr"]["score"] += 1
    report.write_text(json.dumps(values))
    assert gate(str(report), str(report)) == 1
    assert "contradicts itself: its clips do not give its CIDEr" in capsys.readouterr().err
    del values["clips"]
    report.write_text(json.dumps(values))
    assert gate(str(report), str(report)) == 1
    assert "is a damaged report: KeyError 'clips'" in capsys.readouterr().err


def test_human_says_how_people_score_and_how_they_were_drawn(manifest, tmp_path, capsys):
    out_file = tmp_path / "human.json"
    assert main(["human", manifest, "--draws", "3", "--json", str(out_file)]) == 0
    out = capsys.readouterr().out
    assert "leave one out: one reference of each of 32 clips, drawn at random, against the clip's others" in out
    line = json.loads(out_file.read_text())
    assert line["draws"] == 3 and 0 < line["scores"]["CIDEr"] < 10 and line["deviations"]["CIDEr"] > 0
    assert main(["human", manifest, "--draws", "3", "--json", str(out_file)]) == 0
    assert json.loads(out_file.read_text()) == line, "the same seed draws the same people"


def test_human_counts_what_people_say_that_is_good(tmp_path):
    """Of two people, what each says is good when the other's words cover two thirds of it."""
    captions = {
        "a": ["a dog runs", "the dog is running"],
        "b": ["a cat", "a dog"],
        "c": ["a big dog runs", "a dog runs"],
    }
    path = tmp_path / "m.jsonl"
    write_lines(path, [{"id": clip, "path": "x.mp4", "captions": group} for clip, group in captions.items()])
    out_file = tmp_path / "human.json"
    assert main(["human", str(path), "--json", str(out_file), "--draws", "7"]) == 0
    assert json.loads(out_file.read_text())["good"] == pytest.approx(2 / 3)


def test_human_with_two_references_is_each_against_the_other(tmp_path, capsys):
    pairs = {"a": ["x y z", "x y"], "b": ["p q", "p q"]}
    rows = [{"id": clip, "captions": captions} for clip, captions in pairs.items()]
    rows.append({"id": "c", "captions": ["alone"]})
    out_file = tmp_path / "human.json"
    assert main(["human", write_lines(tmp_path / "m.jsonl", rows), "--draws", "1", "--json", str(out_file)]) == 0
    assert "1 clip with one reference left out" in capsys.readouterr().out
    found = json.loads(out_file.read_text())["scores"]["ROUGE-L"]
    orders = (pairs["a"], pairs["a"][::-1])
    either = [rouge_l({"a": x, "b": "p q"}, {"a": [y], "b": ["p q"]}).corpus for x, y in orders]
    assert any(found == pytest.approx(value) for value in either)


@pytest.mark.parametrize(
    ("name", "draws", "cider_points", "tolerance"),
    [("msvd/sents_test_lc_nopunc.txt", "5", 120, 4), ("msrvtt/test_videodatainfo.json.zip", "1", 50, 2)],
)
def test_the_human_lines_measured_elsewhere_come_out_again(shared, tmp_path, name, draws, cider_points, tolerance):
    out_file = tmp_path / "human.json"
    assert main(["human", str(shared / name), "--draws", draws, "--json", str(out_file)]) == 0
    assert 100 * json.loads(out_file.read_text())["scores"]["CIDEr"] == pytest.approx(cider_points, abs=tolerance)


BAD = {
    "no common clip": ({"other": "a dog"}, [], "no clip in .* is in .*: clips are called 'other' in the first and"),
    "no such split": (GOOD, ["--split", "val"], "no clip in the split 'val'; it has: test, train"),
    "too few resamples": (GOOD, ["--resamples", "1"], "--resamples is 1; it must be 100 to 1000000"),
    "an unwritable report": (GOOD, ["--json", "/no/such/folder/r.json"], "cannot write /no/such/folder/r.json"),
    "no training captions": (GOOD, ["--train", "/no/such.jsonl"], "cannot read the manifest"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_on_stderr_and_exit_1(manifest, tmp_path, capsys, name):
    captions, options, message = BAD[name]
    assert main(["score", predictions(tmp_path / "p.jsonl", captions), manifest, *options]) == 1
    error = capsys.readouterr().err
    assert re.search(message, error) and error.startswith("eval: ") and error.count("\n") == 1


def test_all_clips_failed(manifest, tmp_path, capsys):
    path = write_lines(tmp_path / "p.jsonl", [{"id": clip, "error": "timeout"} for clip in PEOPLE])
    assert main(["score", path, manifest]) == 1
    assert "all 32 clips" in capsys.readouterr().err


def test_names_that_no_encoding_holds_end_neither_the_table_nor_the_report(manifest, good, tmp_path):
    odd = tmp_path / "odd.jsonl"
    odd.write_text(Path(good).read_text() + '{"id": "\\ud800é", "caption": "été"}\n', encoding="utf-8")
    report = tmp_path / "r.json"
    command = [sys.executable, "-m", "eval", "compare", str(odd), str(odd), manifest, "--json", "-"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    assert subprocess.run(command, env=environment, capture_output=True, check=True).stdout.startswith(b"[")
    assert main(["score", str(odd), manifest, "--json", str(report), "--name", "été"]) == 0
    assert load_evaluation(report).coverage.extra == ("\ud800é",) and load_evaluation(report).name == "été"


def test_help_answers_without_numpy_or_torch():
    code = (
        "import sys, eval.__main__ as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'torch', 'nltk'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]" and "score" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0 and "%%" not in capsys.readouterr().out
