#!/usr/bin/env bash
# Image detectors on one's own pictures: find the faces, then train and compare a teacher, the
# student from labels, from softened probabilities, from logits, and a faster one.
# Usage: scripts/compare_images.sh IMAGES OUT [ARGUMENT...]
#   IMAGES    folders `real` and `fake/METHOD` with pictures
#   OUT       folder for everything that is made
#   ARGUMENT  passed on to `avkd compare`, e.g. --seeds 0
# IDENTITY may hold a regular expression with a group `identity`, to keep people on one side.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
if [ $# -lt 2 ]; then sed -n '2,9s/^# //p' "$0" >&2; exit 2; fi
images="$1" out="$2"; shift 2
identity=()
if [ -n "${IDENTITY:-}" ]; then identity=(--options.identity_pattern "$IDENTITY"); fi

# Exit code 3 means that some inputs were skipped and reported: no reason to stop.
code=0
avkd prepare --layout real_fake_images --source "$images" --out "$out/prepared" \
  --detector mtcnn --crop_pixels 128 --dataset faces \
  --options.val_fraction 0.2 --options.test_fraction 0.2 "${identity[@]}" || code=$?
[ $code -eq 0 ] || [ $code -eq 3 ] || exit $code
exec avkd compare --config "$AVKD_ROOT/configs/image/compare_small_images.yaml" \
  --sets "[{name: faces, data: ['$out/prepared']}]" --out "$out/compare" "$@"
