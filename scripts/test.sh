#!/usr/bin/env bash
# Lint, types and tests in an environment of their own. `test.sh slow` and `test.sh gpu` run
# those tiers instead of the default tests; further arguments go to pytest.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

cd "$AVKD_ROOT"
tier="${1:-default}"
case "$tier" in
  slow | gpu) shift; marker=(-m "$tier") ;;
  # Two processes with a thread each: all of it in little more than half the time on two cores.
  default) marker=(-n 2 --dist loadfile); export OMP_NUM_THREADS=1 ;;
  *) marker=() ;;
esac
# Or every run, and each of its processes, would rewrite the assertions of all test files anew.
unset PYTHONDONTWRITEBYTECODE
ruff check .
ruff format --check .
mypy
pytest "${marker[@]}" "$@"
