#!/usr/bin/env bash
# Stage one. Every argument is passed on to `avkd pretrain` and wins over the config named here:
#   scripts/pretrain_av.sh --run runs/mine --loop.epochs 20
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec avkd pretrain --config "$AVKD_ROOT/configs/pretrain_lgt_lrw5k.yaml" "$@"
