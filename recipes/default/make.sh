#!/usr/bin/env bash
# From the raw data to the checkpoint in the package: `make model`. Every stage goes on where it was stopped.
#
#   DATA=../shared/data   folder with msvd, flickr8k, stanford40 and msrvtt, as docs/howto/data-sets.md describes them
#   BIN=.venv/bin         where python is
#   PROCESSES=2           that train together, a core each
#   SOUP=                 1: the CNN is the mean of three trained for 20 epochs, as in what ships: 9 minutes of one H200,
#                         some four hours of two cores
#
# docs/notebook/2026-11-28-package-checkpoint.md has the minutes of each stage. The log is runs/model.log.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${DATA:-../shared/data} bin=${BIN:-.venv/bin}
mkdir -p work runs
exec > >(tee -a runs/model.log) 2>&1

stage() {
    echo "== $(date '+%F %T') $*"
    "$@"
}

# train RECIPE [BEGINS-WITH]: go on with runs/RECIPE, unless what it began with was trained anew since.
train() {
    if [ -n "${2:-}" ] && [ "runs/$2/checkpoint" -nt "runs/$1/state.pt" ] && [ -e "runs/$1/state.pt" ]; then
        echo "runs/$1 began with an earlier runs/$2/checkpoint; move runs/$1 away to train it anew" >&2
        exit 1
    fi
    OMP_NUM_THREADS=1 stage "$bin/torchrun" --standalone --nproc-per-node "${PROCESSES:-2}" -m captioner train \
        "recipes/default/$1.toml" --out "runs/$1"
}

soup() {
    local names=(words-plain words-mixed words-free) settings=(task.mixup=0 task.mixup=0.2 task.hold=0.3) made=() anew=
    for i in 0 1 2; do
        OMP_NUM_THREADS=1 stage "$bin/captioner" train recipes/default/words.toml --out "runs/${names[i]}" \
            --set train.epochs=20 --set "${settings[i]}"
        made+=("runs/${names[i]}/checkpoint")
        if [ "${made[i]}" -nt runs/words/checkpoint ]; then anew=1; fi # or there is none yet
    done
    if [ -n "$anew" ]; then
        rm -rf runs/words/checkpoint
        stage "$bin/captioner" average "${made[@]}" -o runs/words/checkpoint
    fi
}

[ -e work/msvd/manifest.jsonl ] || stage "$bin/python" -m data msvd "$data/msvd" --out work/msvd
[ -e work/flickr8k/manifest.jsonl ] || stage "$bin/python" -m data flickr8k "$data/flickr8k" --out work/flickr8k
[ -e work/msrvtt/text.jsonl ] || stage "$bin/python" -m data msrvtt "$data/msrvtt" --out work/msrvtt --text-only
[ -e work/pictures/manifest.jsonl ] || stage "$bin/python" -m data pictures --out work/pictures
if [ ! -e work/stanford40/manifest.jsonl ]; then
    mkdir -p work/stanford40/photos
    tar -xf "$data/stanford40/images.tar" -C work/stanford40/photos
    stage "$bin/python" -m data labels work/stanford40/photos --out work/stanford40
fi
if [ -n "${SOUP:-}" ]; then soup; else train words; fi
train captions words
train selfcritical captions
if [ runs/selfcritical/checkpoint -nt runs/default ]; then # or there is none yet
    rm -rf runs/default
    stage "$bin/captioner" average runs/captions/checkpoint runs/selfcritical/checkpoint -o runs/default
fi
stage "$bin/python" -m eval calibrate runs/default work/msvd/manifest.jsonl work/flickr8k/manifest.jsonl
for set in msvd flickr8k; do
    stage "$bin/python" -m eval run runs/default "work/$set/manifest.jsonl" --out "runs/default-$set"
done
echo "the checkpoint is runs/default; copy it over captioner/default to ship it. Then train anew what reads its CNN:" \
    "the retriever (recipes/retrieval/default.toml) and the recogniser of actions (recipes/actions/default.toml)." \
    "With the retriever in place, calibrate once more: the captions are reranked by it"
