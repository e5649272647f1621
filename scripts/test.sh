#!/usr/bin/env bash
# Lint, types and tests in an environment of their own. `test.sh slow` and `test.sh gpu` run
# those tiers instead of the default tests; further arguments go to pytest.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

cd "$AVKD_ROOT"
tier="${1:-default}"
case "$tier" in
  slow | gpu) shift; marker=(-m "$tier") ;;
  *) marker=() ;;
esac
ruff check .
ruff format --check .
mypy
pytest "${marker[@]}" "$@"
