"""The recipes for clusters: the SLURM script captions, and the RayJob has the fields of KubeRay's schema."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from captioner.cli import make_parser
from tests.media import render_clip

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes" / "cluster"
TEXT, NUMBER, SWITCH = str, int, bool
POD = {
    "spec": {
        "containers": [
            {
                "name": TEXT,
                "image": TEXT,
                "resources": {
                    "requests": {"cpu": TEXT, "memory": TEXT},
                    "limits": {"cpu": TEXT, "memory": TEXT},
                },
                "volumeMounts": [{"name": TEXT, "mountPath": TEXT, "readOnly": SWITCH}],
            }
        ],
        "volumes": [{"name": TEXT, "persistentVolumeClaim": {"claimName": TEXT, "readOnly": SWITCH}}],
    }
}
RAYJOB = {
    "apiVersion": TEXT,
    "kind": TEXT,
    "metadata": {"name": TEXT},
    "spec": {
        "entrypoint": TEXT,
        "backoffLimit": NUMBER,
        "shutdownAfterJobFinishes": SWITCH,
        "ttlSecondsAfterFinished": NUMBER,
        "rayClusterSpec": {
            "rayVersion": TEXT,
            "headGroupSpec": {"rayStartParams": {"num-cpus": TEXT}, "template": POD},
            "workerGroupSpecs": [
                {
                    "groupName": TEXT,
                    "replicas": NUMBER,
                    "minReplicas": NUMBER,
                    "maxReplicas": NUMBER,
                    "rayStartParams": {},
                    "template": POD,
                }
            ],
        },
    },
}
"""Of KubeRay's RayJob (ray.io/v1) the part that the recipe uses."""


def faults(value: Any, schema: Any, where: str = "") -> list[str]:
    """Fields that the schema does not have, and values of another kind."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return [f"{where} is no mapping"]
        unknown = [f"{where}.{key} is unknown" for key in value if key not in schema]
        return unknown + [
            f for key in value if key in schema for f in faults(value[key], schema[key], f"{where}.{key}")
        ]
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [fault for i, each in enumerate(value) for fault in faults(each, schema[0], f"{where}[{i}]")]
    return [] if type(value) is schema else [f"{where} is {value!r}"]


@pytest.mark.skipif(find_spec("yaml") is None, reason="pip install pyyaml")
def test_the_rayjob_has_the_fields_of_its_schema() -> None:
    import yaml

    job = yaml.safe_load((RECIPES / "rayjob.yaml").read_text(encoding="utf-8"))
    assert faults(job, RAYJOB) == []
    assert faults(job | {"entrypoint": "x"}, RAYJOB) == [".entrypoint is unknown"]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    mounted = {mount["name"] for mount in head["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in head["volumes"]}
    [workers] = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert f"rayproject/ray:{cluster['rayVersion']}-" in (RECIPES / "Dockerfile").read_text(encoding="utf-8")
    shell, flag, script = shlex.split(job["spec"]["entrypoint"])
    command, _, after = script.partition(" || ")
    assert (shell, flag, after) == ("sh", "-c", "test $? -eq 1")
    program, *options = command.split()
    assert program == "captioner" and make_parser().parse_args(options).engine == "ray"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_job_of_the_slurm_array_captions_its_shard(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    for name in "ab":
        render_clip(tmp_path / "archive" / f"{name}.mp4", frames=8, size=(32, 24))
    program = tmp_path / "bin" / "captioner"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m captioner "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_ARRAY_TASK_COUNT": "1",
    }
    given = [str(tmp_path / "archive"), str(tmp_path / "results"), "-m", str(checkpoint)]
    done = subprocess.run(
        ["bash", str(RECIPES / "slurm.sh"), *given], env=environment, cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "results" / "captions-1.jsonl").read_text().splitlines()]
    assert [Path(row["path"]).name for row in rows] == ["a.mp4", "b.mp4"]
