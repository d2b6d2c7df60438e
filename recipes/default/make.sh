#!/usr/bin/env bash
# From the raw data to the checkpoint in the package: `make model`. Every stage goes on where it was stopped.
#
#   DATA=../shared/data   folder with msvd, flickr8k and msrvtt, as docs/data.md describes them
#   BIN=.venv/bin         where python is
#
# About eighty minutes of one core; docs/training.md has the minutes of each stage. The log is runs/model.log.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${DATA:-../shared/data} python=${BIN:-.venv/bin}/python
mkdir -p work runs
exec > >(tee -a runs/model.log) 2>&1

stage() {
    echo "== $(date '+%F %T') $*"
    "$@"
}

[ -e work/msvd/manifest.jsonl ] || stage "$python" -m data msvd "$data/msvd" --out work/msvd
[ -e work/flickr8k/manifest.jsonl ] || stage "$python" -m data flickr8k "$data/flickr8k" --out work/flickr8k
[ -e work/msrvtt/text.jsonl ] || stage "$python" -m data msrvtt "$data/msrvtt" --out work/msrvtt --text-only
stage "$python" -m captioner train recipes/default/captioner.toml --out runs/captions
stage "$python" -m captioner train recipes/default/selfcritical.toml --out runs/selfcritical
stage "$python" -m eval calibrate runs/selfcritical/checkpoint work/msvd/manifest.jsonl work/flickr8k/manifest.jsonl
for set in msvd flickr8k; do
    stage "$python" -m eval run runs/selfcritical/checkpoint "work/$set/manifest.jsonl" --out "runs/default-$set"
done
echo "the checkpoint is runs/selfcritical/checkpoint; copy it over captioner/default to ship it"
