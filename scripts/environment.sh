# Sourced by run, test and check: enters the repository, and makes .venv as pyproject.toml says, once, and again when that file changes.
set -euo pipefail
CDPATH="" cd "$(dirname "${BASH_SOURCE[0]}")/.."

want="$(cat pyproject.toml constraints.txt | cksum)"
if [ "$(cat .venv/aiexp-installed 2>/dev/null || true)" != "$want" ]; then
  python="${PYTHON:-python3}"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "aiexp: error[hardware]: Python 3.11 or newer is needed | fix: PYTHON=/path/to/python3.11 $0" >&2
    exit 5
  }
  echo "setting up .venv (once; torch alone takes some minutes)" >&2
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "pip>=25.1,<27"
  .venv/bin/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
  echo "$want" > .venv/aiexp-installed
fi
