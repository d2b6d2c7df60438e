#!/usr/bin/env bash
# From the raw data to the checkpoint in the package: `make model`. Every stage goes on where it was stopped.
#
#   DATA=../shared/data   folder with msvd, flickr8k, stanford40 and backbones, as docs/data.md describes them
#   BIN=.venv/bin         where python is
#
# About four hours of one core; docs/training.md has the minutes of each stage. The log is runs/model.log.
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
[ -e work/shapes/manifest.jsonl ] ||
    stage "$python" -m data shapes --out work/shapes --train 3000 --val 60 --test 100
[ -e work/msrvtt/text.jsonl ] || stage "$python" -m data msrvtt "$data/msrvtt" --out work/msrvtt --text-only
if [ ! -e work/stanford40 ]; then
    mkdir -p work/stanford40.part
    stage tar xf "$data/stanford40/images.tar" -C work/stanford40.part
    mv work/stanford40.part work/stanford40
fi
teacher="distill.teacher=\"$(realpath "$data")/backbones/mobilenet_v2_1.0_224\""
for part in distill distill-longer distill-third distill-last; do
    stage "$python" -m captioner.distill "recipes/default/$part.toml" "$teacher"
done
stage "$python" -m captioner train recipes/default/captioner.toml --out runs/captions
stage "$python" -m captioner train recipes/default/selfcritical.toml --out runs/selfcritical
stage "$python" -m eval calibrate runs/selfcritical/checkpoint work/msvd/manifest.jsonl work/flickr8k/manifest.jsonl
for set in msvd flickr8k shapes; do
    stage "$python" -m eval run runs/selfcritical/checkpoint "work/$set/manifest.jsonl" --out "runs/default-$set"
done
echo "the checkpoint is runs/selfcritical/checkpoint; copy it over captioner/default to ship it"
