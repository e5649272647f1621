#!/usr/bin/env bash
# Real faces: prepare the clips, pretrain, measure stage one on test speakers, forge, judge sound and
# lips without a single fake, finetune (ssl_weight 0, 0.3, and 0.3 with a random teacher), evaluate on
# held-out speakers (seen and unseen forgeries), judge files.
# Usage: scripts/train_on_clips.sh CLIPS OUT [FILE...]
#   CLIPS  a folder per speaker with videos that have sound, e.g. GRID: CLIPS/s1/bbaf2n.mpg
#   OUT    folder for everything that is made
#   FILE   videos to judge at the end
# EXTRA_CLIPS may name a folder of further clips (of speakers on the training side) that only
# pretraining uses; SEEDS the seeds of the trainings (default "0"), e.g. SEEDS="0 1 2".
set -euo pipefail
. "$(dirname "$0")/environment.sh"
if [ $# -lt 2 ]; then sed -n '2,11s/^# //p' "$0" >&2; exit 2; fi
clips="$1" out="$2"; shift 2
configs="$AVKD_ROOT/configs/real_clips"
# What can be seen; the other two forgeries are of the sound alone.
visual=(self_blended face_swap mouth_reenactment texture_resynthesis warped_geometry generator_artifacts)
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

step "forge"
avkd_or_skips forge --config "$configs/forge.yaml" --data "$out/prepared/clips" --out "$out/forged"
avkd_or_skips prepare --layout manifest --source "$out/forged" --out "$out/prepared/forged" \
  --detector boxes

for seed in ${SEEDS:-0}; do
  run="$out/seed-$seed"
  stage1="$run/stage1/model.safetensors"
  step "seed $seed: pretrain (speakers held out)"
  avkd pretrain --config "$configs/pretrain.yaml" --data "${pretraining[@]}" --run "$run/stage1" \
    --loop.seed "$seed"
  step "seed $seed: stage one on the test speakers, and as a detector that has seen no fake"
  avkd probe --model "$stage1" --data "$out/prepared/clips" --out "$run/probe"
  avkd_or_skips evaluate --scorer av_agreement --model "$stage1" --data "$out/prepared/forged" \
    --methods sound_swapped sound_shifted mouth_reenactment --out "$run/zero_shot"

  step "seed $seed: a random teacher, for the control"
  # A rate of nothing: the weights stay as they were drawn, the batch norms see the data.
  avkd pretrain --config "$configs/pretrain.yaml" --data "${pretraining[@]}" \
    --run "$run/random_teacher" --loop.seed "$seed" --optim.lr 1e-12 --loop.steps 20 \
    --loop.validate_every_steps 20 --force true
  for arm in ssl_0 ssl_0.3 ssl_0.3_random; do
    step "seed $seed: finetune and evaluate, $arm"
    given=(--ssl_weight 0)
    if [ "$arm" != ssl_0 ]; then given=(--ssl_weight 0.3); fi
    if [ "$arm" = ssl_0.3_random ]; then
      given+=(--teacher "$run/random_teacher/model.safetensors")
    fi
    avkd finetune --config "$configs/finetune.yaml" --data "$out/prepared/forged" \
      --pretrained "$stage1" --run "$run/$arm" --loop.seed "$seed" "${given[@]}"
    avkd_or_skips evaluate --model "$run/$arm/model.safetensors" --data "$out/prepared/forged" \
      --methods "${visual[@]}" --out "$run/evaluation_$arm"
  done
  step "seed $seed: the difference between the weights"
  avkd report --scores "$run"/evaluation_ssl_{0,0.3,0.3_random} --out "$run/compared"
done

if [ $# -gt 0 ]; then
  step "predict"
  avkd_or_skips predict "$@" --model "$run/ssl_0.3/model.safetensors" --out "$out/verdicts.jsonl"
fi
