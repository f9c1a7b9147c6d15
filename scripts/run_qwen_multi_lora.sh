#!/usr/bin/env bash
# Test-time training of Qwen2-7B on a folder of ARC tasks, K adapters at a time.
#
#   bash scripts/run_qwen_multi_lora.sh
#   MODEL_DIR=models/tinyllama K=4 STEPS=50 bash scripts/run_qwen_multi_lora.sh
#
# Further arguments go to client/ttt_multi_lora.py as they are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

MODEL_DIR="${MODEL_DIR:-models/qwen2-7b}"
DATA_DIR="${DATA_DIR:-data/evaluation}"
OUT_DIR="${OUT_DIR:-results/qwen2-7b}"
K="${K:-2}"                   # tasks in a group, an adapter each
STEPS="${STEPS:-10}"          # training steps of a group
NUM_PSEUDO="${NUM_PSEUDO:-20}" # augmented pseudo-tasks of a task
PYTHON="${PYTHON:-.venv/bin/python}"

needs() { # what is missing, and how to get it
  echo "error: $1" >&2
  exit 2
}

command -v "$PYTHON" >/dev/null || needs "no $PYTHON; run bash install.sh, or name one in PYTHON"
[ -d "$MODEL_DIR" ] || needs "no model in $MODEL_DIR; hf download Qwen/Qwen2-7B --local-dir $MODEL_DIR"
[ -d "$DATA_DIR" ] || needs "no tasks in $DATA_DIR; data/README.md says where they come from"

exec "$PYTHON" client/ttt_multi_lora.py \
  --model_dir "$MODEL_DIR" \
  --data_dir "$DATA_DIR" \
  --k "$K" \
  --steps "$STEPS" \
  --num_pseudo "$NUM_PSEUDO" \
  --out_dir "$OUT_DIR" \
  "$@"
