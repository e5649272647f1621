#!/usr/bin/env bash
# Proves that avkd runs on a Python newer than the one it is developed on: a fresh environment, the
# fast tests, then one small corpus from generation through `prepare` to a trained model's verdict.
# Usage: scripts/newest_python.sh [PYTHON] [FOLDER]
#   PYTHON   the interpreter; default: the newest python3.N on the path or in pyenv
#   FOLDER   for the environment and what is made; default: a temporary one, removed at the end
# Without a newer Python at hand, Debian's testing release lends its own (as root):
#   debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates testing ROOT
#   cp -r . ROOT/avkd && chroot ROOT bash /avkd/scripts/newest_python.sh
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
newest() {
  local folders=("${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin) path
  IFS=: read -ra path <<<"$PATH"
  for folder in "${folders[@]}" "${path[@]}"; do
    for python in "$folder"/python3.[0-9]*; do
      [[ "$python" =~ /python3\.[0-9]+$ ]] && "$python" -c \
        'import sys, venv; print(*sys.version_info[:3], sys.executable)' 2>/dev/null || true
    done
  done | sort -n -k 1 -k 2 -k 3 | tail -n 1 | cut -d ' ' -f 4
}
python="${1:-$(newest)}"
if [ -n "${2:-}" ]; then out="$2"; mkdir -p "$out"; else
  out="$(mktemp -d)"
  trap 'rm -rf "$out"' EXIT
fi
export AVKD_PYTHON="$python" AVKD_VENV="$out/venv"
. "$root/scripts/environment.sh"
python -c 'import av, platform, torch
print("python", platform.python_version(), "torch", torch.__version__, "av", av.__version__)'
cd "$root"
pytest -p no:cacheprovider

cd "$out"
avkd synth --out corpus --identities 16 --clips_per_identity 1
avkd prepare --layout faceforensics --source corpus/faceforensics_like --out prepared --detector boxes
avkd distill --config "$root/configs/demo/distill.yaml" --data prepared --run run --teacher null \
  --calibration none --loop.epochs 2 --loop.validate_every_epochs 1
file="$(find corpus/faceforensics_like -name '*.mp4' | sort | head -n 1)"
avkd predict --model run/model.safetensors --detector boxes "$file"
echo "avkd runs on $("$python" --version)"
