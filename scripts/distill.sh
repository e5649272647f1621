#!/usr/bin/env bash
# The image branch: the 0.145 M student taught by EfficientNet-B7, as published. Every argument is
# passed on to `avkd distill` and wins over the config named here, e.g. scripts/distill.sh --soft mse
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec avkd distill --config "$AVKD_ROOT/configs/image/distill_resnet8_kl.yaml" "$@"
