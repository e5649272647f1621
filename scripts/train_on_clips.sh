#!/usr/bin/env bash
# Real faces: prepare the clips, pretrain, forge, finetune with ssl_weight 0 and 0.3, evaluate on
# held-out speakers (seen and unseen forgeries), judge files.
# Usage: scripts/train_on_clips.sh CLIPS OUT [FILE...]
#   CLIPS  a folder per speaker with videos that have sound, e.g. GRID: CLIPS/s1/bbaf2n.mpg
#   OUT    folder for everything that is made
#   FILE   videos to judge at the end
# EXTRA_CLIPS may name a folder of further clips (of speakers on the training side) that only
# pretraining uses.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
if [ $# -lt 2 ]; then sed -n '2,9s/^# //p' "$0" >&2; exit 2; fi
clips="$1" out="$2"; shift 2
configs="$AVKD_ROOT/configs/real_clips"
step() { echo; echo "== $(date +%H:%M:%S) $* =="; }
# Exit code 3 means that some inputs were skipped and reported: no reason to stop.
avkd_or_skips() { local code=0; avkd "$@" || code=$?; [ $code -eq 3 ] || return $code; }

step "prepare the real clips"
avkd_or_skips prepare --config "$configs/prepare_clips.yaml" --source "$clips" \
  --out "$out/prepared/clips"
pretraining=("$out/prepared/clips")
if [ -n "${EXTRA_CLIPS:-}" ]; then
  avkd_or_skips prepare --config "$configs/prepare_extra.yaml" --source "$EXTRA_CLIPS" \
    --out "$out/prepared/extra"
  pretraining+=("$out/prepared/extra")
fi

step "pretrain (speakers held out)"
avkd pretrain --config "$configs/pretrain.yaml" --data "${pretraining[@]}" --run "$out/stage1"

step "forge"
avkd_or_skips forge --config "$configs/forge.yaml" --data "$out/prepared/clips" --out "$out/forged"
avkd_or_skips prepare --layout manifest --source "$out/forged" --out "$out/prepared/forged" \
  --detector boxes

for weight in 0 0.3; do
  step "finetune and evaluate, ssl_weight $weight"
  avkd finetune --config "$configs/finetune.yaml" --ssl_weight "$weight" \
    --data "$out/prepared/forged" --pretrained "$out/stage1/model.safetensors" \
    --run "$out/stage2_ssl_$weight"
  avkd_or_skips evaluate --model "$out/stage2_ssl_$weight/model.safetensors" \
    --data "$out/prepared/forged" --out "$out/evaluation_ssl_$weight"
done

if [ $# -gt 0 ]; then
  step "predict"
  avkd_or_skips predict "$@" --model "$out/stage2_ssl_0.3/model.safetensors" \
    --out "$out/verdicts.jsonl"
fi
