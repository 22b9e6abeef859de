#!/usr/bin/env bash
# Builds the source distribution, the wheel from it, and installs that in a clean environment where it must work: aam --help, aam doctor.
# usage: packaging/wheel.sh [PYTHON]   PYTHON: one whose environment has AAM's dependencies and setuptools (default .venv/bin/python).
# They are borrowed, so nothing is downloaded; the package itself is the one of the wheel.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(realpath --no-symlinks "${1:-.venv/bin/python}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A build leaves folders where it runs: it runs elsewhere.
git ls-files -z | xargs -0 cp --parents --target-directory "$work" 2>/dev/null || cp -r . "$work"
cd "$work"
"$python" -c "import setuptools.build_meta as build; print(build.build_sdist('dist'))" > sdist.log 2>&1 || { cat sdist.log >&2; exit 1; }
mkdir unpacked
tar --extract --gzip --strip-components 1 --directory unpacked --file dist/*.tar.gz
"$python" -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist ./unpacked

"$python" -m venv clean
"$python" -c "import sysconfig; print(sysconfig.get_path('purelib'))" > "$(clean/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/borrowed.pth"
clean/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --no-index --force-reinstall dist/*.whl
mkdir elsewhere
cd elsewhere
unset PYTHONPATH
place=$(../clean/bin/python -c "import aam; print(aam.__file__)")
case $place in "$work"/clean/*) ;; *) echo "error: aam is $place, not that of the wheel" >&2; exit 1 ;; esac
../clean/bin/aam --version
../clean/bin/aam --help > help.txt
../clean/bin/aam doctor > doctor.txt 2>&1 || { cat doctor.txt >&2; exit 1; }
echo "$(basename ../dist/*.tar.gz) and $(basename ../dist/*.whl): built, installed in a clean environment, aam doctor works"
