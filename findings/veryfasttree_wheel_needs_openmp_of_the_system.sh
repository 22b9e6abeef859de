#!/usr/bin/env bash
# The wheel of veryfasttree 4.0.4.1 is tagged manylinux_2_17, so pip takes it for a Linux with no more than that policy's libraries, but its
# three programs need libgomp.so.1, which the policy does not have and the wheel does not bring. pip installs it, `import veryfasttree`
# works, and a tree fails with "libgomp.so.1: cannot open shared object file" in an image without GCC's runtime (debian:bookworm-slim
# and what is built on it). scikit-learn in the same environment does not help: its wheel carries a copy under a name of its own.
# Seen with pyelftools 0.32: each program needs libgomp.so.1, and no file of the wheel is called so; scikit-learn 1.9.0 brings
# scikit_learn.libs/libgomp-*.so*. This script fails when that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
pip=("$work/env/bin/pip" --quiet --disable-pip-version-check)
"${pip[@]}" install pyelftools==0.32
get=(download --no-deps --only-binary=:all: --platform manylinux_2_17_x86_64 --dest "$work")
"${pip[@]}" "${get[@]}" veryfasttree==4.0.4.1
"${pip[@]}" "${get[@]}" --platform manylinux_2_27_x86_64 --platform manylinux_2_28_x86_64 --python-version 3.11 scikit-learn==1.9.0
cat > "$work/needs.py" <<'PY'
import io
import sys
import zipfile
from pathlib import Path

from elftools.elf.elffile import ELFFile

for path in sorted(Path(sys.argv[1]).glob("*.whl")):
    wheel = zipfile.ZipFile(path)
    print(path.name.split("-")[0], "brings", [name.split("-")[0] for name in wheel.namelist() if "libgomp" in name])
    for name in wheel.namelist():
        if "/bin/VeryFastTree" in name:
            dynamic = ELFFile(io.BytesIO(wheel.read(name))).get_section_by_name(".dynamic")
            needed = [tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"]
            print(name.split("/")[-1], "needs libgomp.so.1:", "libgomp.so.1" in needed)
PY
said=$("$work/env/bin/python" "$work/needs.py" "$work")
echo "$said"
[ "$(sort <<< "$said")" = "$(sort <<'SEEN'
scikit_learn brings ['scikit_learn.libs/libgomp']
veryfasttree brings []
VeryFastTree-avx2 needs libgomp.so.1: True
VeryFastTree-avx512f needs libgomp.so.1: True
VeryFastTree-sse2 needs libgomp.so.1: True
SEEN
)" ] || { echo "changed" >&2; exit 1; }
