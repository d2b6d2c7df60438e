"""What a person at a terminal sees: colour there and nowhere else, and the page in a browser."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from captioner.cli import main
from tests.media import render_clip


def said_on_a_terminal(*arguments: str, **settings: str) -> str:
    """What the command line writes to a pseudo-terminal."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
    own, its = pty.openpty()
    with pytest.MonkeyPatch.context() as patch, os.fdopen(its, "w") as terminal:
        patch.delenv("NO_COLOR", raising=False)
        for name, value in ({"TERM": "xterm"} | settings).items():
            patch.setenv(name, value)
        patch.setattr(sys, "stdout", terminal)
        assert main(arguments) == 0
    text = b""
    while True:
        try:
            part = os.read(own, 4096)
        except OSError:  # Linux: the other side has gone
            break
        if not part:
            break
        text += part
    os.close(own)
    return text.decode()


def test_the_mark_of_an_unsure_caption_has_a_colour_on_a_terminal_only(
    checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = str(render_clip(tmp_path / "a.mp4"))
    command = ["caption", clip, "-m", str(checkpoint), "--min-confidence", "1"]
    assert "\x1b[33munsure: \x1b[0m" in said_on_a_terminal(*command)
    assert "\x1b[33munsure: \x1b[0m" in said_on_a_terminal(
        "caption", str(render_clip(tmp_path / "b.mp4")), *command[1:]
    )
    for plain in (
        said_on_a_terminal(*command, NO_COLOR="1"),
        said_on_a_terminal(*command, TERM="dumb"),
        said_on_a_terminal(*command, "-f", "srt"),
    ):
        assert "unsure: " in plain and "\x1b" not in plain
    assert main(command) == 0
    assert "\x1b" not in capfd.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="stands a shell script in for the browser")
def test_open_shows_the_files_of_the_command(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import webbrowser

    pytest.importorskip("jinja2", reason="pip install 'captioner[eval]'")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{tmp_path}/address"\n', encoding="utf-8")
    browser.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(webbrowser, "open", webbrowser.GenericBrowser(str(browser)).open)
    clips = [str(render_clip(tmp_path / name)) for name in ("a.mp4", "b <i>.mp4")]
    (tmp_path / "notes.mp4").write_text("no video", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["caption", *clips, "notes.mp4", "-m", str(checkpoint), "--open"]) == 1
    out, err = capsys.readouterr()
    assert out.count("\n") == 2 and "the page is" in err
    address = (tmp_path / "address").read_text(encoding="utf-8")
    page = Path(address.removeprefix("file://")).read_text(encoding="utf-8")
    assert "b &lt;i&gt;.mp4" in page and "data:image" in page and "notes.mp4" in page
    said = out.splitlines()[0].partition(": ")[2].removeprefix("unsure: ")
    assert said and said in page
    assert main(["caption", clips[0], "-m", str(checkpoint), "--open", "--segments", "shots"]) == 2
    assert "leave --segments out" in capsys.readouterr().err
