#!/usr/bin/env bash
# Stage one alone as a detector of false sound and foreign lips: no fake is trained on. Drawn faces,
# tested in another style and on other people than those it was trained on.
# Usage: scripts/zero_shot.sh [FOLDER]   (default runs/zero_shot; about a quarter of an hour)
set -euo pipefail
. "$(dirname "$0")/environment.sh"
cd "$AVKD_ROOT"
out="${1:-runs/zero_shot}"
# Exit code 3 means that some inputs were skipped and reported: who has one clip only cannot be
# reenacted from another.
avkd_or_skips() { local code=0; avkd "$@" || code=$?; [ $code -eq 3 ] || return $code; }

avkd synth --out "$out/corpus" --identities 48 --clips_per_identity 4 --seconds 3.2
avkd prepare --layout lrw --source "$out/corpus/lrw_like/lipread_mp4" --out "$out/prepared/talking" \
  --detector boxes --options.clips_per_word 0
avkd pretrain --config configs/demo/pretrain.yaml --data "$out/prepared/talking" --run "$out/stage1"
avkd prepare --layout celebdf --source "$out/corpus/celebdf_like" --out "$out/prepared/faces" \
  --detector boxes --dataset drawn --split test
avkd_or_skips forge --data "$out/prepared/faces" --out "$out/forged" \
  --methods sound_swapped sound_shifted mouth_reenactment
avkd prepare --layout manifest --source "$out/forged" --out "$out/prepared/forged" --detector boxes
avkd evaluate --scorer av_agreement --model "$out/stage1/model.safetensors" \
  --data "$out/prepared/forged" --out "$out/table"
