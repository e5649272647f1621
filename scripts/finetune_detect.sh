#!/usr/bin/env bash
# Stage two. Every argument is passed on to `avkd finetune` and wins over the config named here:
#   scripts/finetune_detect.sh --ssl_weight 0.3
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec avkd finetune --config "$AVKD_ROOT/configs/finetune_lgt_ffpp.yaml" "$@"
