"""The files in deploy/ are valid, and their commands are ones that captioner takes."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from captioner.cli import make_parser
from captioner.commands.options import check_watch, complete
from tests.prose import ROOT

UNIT = ROOT / "deploy" / "captioner-watch.service"
COMPOSE = ROOT / "deploy" / "compose.yaml"


def commands() -> dict[str, list[str]]:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    [service] = yaml.safe_load(COMPOSE.read_text())["services"].values()
    return {"unit": shlex.split(unit["Service"]["ExecStart"]), "compose": service["command"]}


@pytest.mark.parametrize("name", ["unit", "compose"])
def test_the_command_watches(name: str) -> None:
    program, *arguments = commands()[name]
    assert Path(program).name == "captioner"
    options = make_parser().parse_args(arguments)
    complete(options)
    check_watch(options)
    assert options.watch and options.log_json and options.metrics_port == 9464


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    text = UNIT.read_text().replace(commands()["unit"][0], "/bin/true")
    (tmp_path / UNIT.name).write_text(text)
    verify = ["systemd-analyze", "verify", "--man=no", str(tmp_path / UNIT.name)]
    done = subprocess.run(verify, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 and UNIT.name not in done.stderr, done.stderr
    (tmp_path / UNIT.name).write_text(text.replace("Restart=always", "Restart=sometimes"))
    assert UNIT.name in subprocess.run(verify, capture_output=True, text=True, timeout=30, check=False).stderr


def test_compose_builds_what_the_dockerfile_can() -> None:
    [service] = yaml.safe_load(COMPOSE.read_text())["services"].values()
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert (COMPOSE.parent / service["build"]["context"] / "Dockerfile").resolve() == ROOT / "Dockerfile"
    for argument in service["build"]["args"]:
        assert f"ARG {argument}=" in dockerfile and f"${{{argument}}}" in dockerfile
    places = {volume.rpartition("}:")[2].partition(":")[0] for volume in service["volumes"]}
    assert {"/incoming", "/captions"} == places and "9464" in service["healthcheck"]["test"][-1]
