#!/usr/bin/env bash
# The wheel of captioner-runtime, with the packaged captioner exported in eight bits: recipes/runtime/make.sh [FOLDER]
#
#   BIN=.venv/bin   where python is, with captioner[onnx] installed
set -euo pipefail
out=$(realpath -m "${1:-dist}")
cd "$(dirname "$0")/../.."
bin=$(realpath "${BIN:-.venv/bin}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

git ls-files -z captioner | grep -zv '/default/' | xargs -0 cp --parents -t "$scratch"
cp LICENSE "$scratch"
cp recipes/runtime/pyproject.toml.in "$scratch/pyproject.toml"
"$bin/python" -m captioner export -o "$scratch/captioner/runtime/default" --int8 >&2
"$bin/python" -m pip wheel -q --disable-pip-version-check --no-deps -w "$out" "$scratch"
ls "$out"/captioner_runtime-*.whl
