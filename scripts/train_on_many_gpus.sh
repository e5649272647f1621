#!/usr/bin/env bash
# One training on all GPUs of this machine; what follows is passed on to `avkd`:
#   scripts/train_on_many_gpus.sh pretrain --config configs/pretrain_lgt_lrw5k.yaml --run runs/one
# Where there is no GPU: PROCESSES=2 scripts/train_on_many_gpus.sh ... --loop.device cpu
# By hand: torchrun --nproc_per_node gpu -m avkd -- pretrain ..., with `--` before the verb, or torchrun
# takes our flags for its own. pretrain, finetune and distill run so; any other verb is one process.
# loop.batch_size counts the clips of all processes. Any of them killed ends the others; the same
# command with --resume goes on from the last epoch, also with another number of processes.
# On several machines that see the same run folder and data, at the same time on each of them:
#   NODES=2 RENDEZVOUS=first-machine:29500 scripts/train_on_many_gpus.sh pretrain ...
set -euo pipefail
. "$(dirname "$0")/environment.sh"
if [ "${NODES:-1}" = 1 ]; then
  meeting=(--standalone)
else
  meeting=(--nnodes "$NODES" --rdzv_backend c10d --rdzv_endpoint "$RENDEZVOUS" --rdzv_id avkd)
fi
exec torchrun "${meeting[@]}" --nproc_per_node "${PROCESSES:-gpu}" -m avkd -- "$@"
