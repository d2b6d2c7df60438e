#!/bin/bash
#SBATCH --job-name=captions
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
#SBATCH --mem=3G
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#
#   sbatch slurm.sh ARCHIVE RESULTS [OPTION ...]
#
# Each job of the array captions its shard of ARCHIVE. Submit again what was stopped: it goes on by its journal. Then:
#   captioner merge RESULTS/captions-*.jsonl -o RESULTS/captions.jsonl --expect ARCHIVE -r
set -eu
archive=${1:?usage: sbatch slurm.sh ARCHIVE RESULTS [OPTION ...]}
results=${2:?usage: sbatch slurm.sh ARCHIVE RESULTS [OPTION ...]}
shift 2
mkdir -p "$results"
code=0
captioner caption "$archive" -r \
  -o "$results/captions-$SLURM_ARRAY_TASK_ID.jsonl" \
  --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
  --jobs "${SLURM_CPUS_PER_TASK:-1}" \
  --log-json "$@" || code=$?
test "$code" -le 1 # 1: some files failed; captions-N.jsonl.failures.jsonl lists them
