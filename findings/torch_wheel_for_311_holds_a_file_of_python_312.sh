#!/usr/bin/env bash
# The wheel of torch 2.13.0 for Python 3.11 holds a module that only Python 3.12 and newer can parse (type parameters of PEP 695):
# torch/testing/_internal/py312_intrinsics.py. pip compiles what it installs, passes over that file without a word and exits with 0;
# `python -m compileall -q` over the same environment, as a container recipe ends with where a user may not write, exits with 1.
# Seen with Python 3.11: "pip: 0", "compileall: 1, torch/testing/_internal/py312_intrinsics.py". This script fails when that changes.
set -euo pipefail
python=$(command -v python3.11 || command -v python3)
[ "$("$python" -c 'import sys; print(sys.version_info[:2])')" = "(3, 11)" ] || { echo "needs Python 3.11" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/env"
"$work/env/bin/pip" --quiet --disable-pip-version-check install --no-deps --compile torch==2.13.0
packages=$("$work/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
said="pip: $?"
code=0
files=$(cd "$packages" && "$work/env/bin/python" -m compileall -q -f torch/testing/_internal 2>&1) || code=$?
said="$said
compileall: $code, $(echo "$files" | sed -n "s/.*Error compiling '\(.*\)'.*/\1/p" | sort -u | paste -sd ' ')"
echo "$said"
[ "$said" = "pip: 0
compileall: 1, torch/testing/_internal/py312_intrinsics.py" ] || { echo "changed" >&2; exit 1; }
