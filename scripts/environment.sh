# Sourced by the other scripts: makes .venv with avkd and everything it needs, once.
# Set AVKD_PYTHON to choose the interpreter, AVKD_VENV to choose where the environment lies.
AVKD_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
AVKD_VENV="${AVKD_VENV:-$AVKD_ROOT/.venv}"
stamp="$AVKD_VENV/.installed"
if [ ! -f "$stamp" ] || [ "$AVKD_ROOT/setup.py" -nt "$stamp" ]; then
  echo "== installing into $AVKD_VENV (about 6 GB; minutes) ==" >&2
  "${AVKD_PYTHON:-python3}" -m venv "$AVKD_VENV"
  "$AVKD_VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
    --editable "$AVKD_ROOT[all]"
  touch "$stamp"
fi
export PATH="$AVKD_VENV/bin:$PATH"
