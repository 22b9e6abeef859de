#!/usr/bin/env bash
# scikit-bio 0.7.4: skbio.table.phylomix takes a table of counts as it is. The proportions that it takes from the second sample are
# fractions of reads, and NumPy writes them into the table's own integers, which cuts them down: the mixed sample has fewer reads than
# sample 1, whose scale it "will have", and rare taxa become 0. The same table as floats keeps every read. The label is mixed by the
# share of taxa that were drawn even where nothing was exchanged, because one of the two samples has none of them: such a sample is a
# copy of sample 1 with a part of sample 2's label. No exception or warning is raised.
# Seen: the lines below. This script fails when that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" --quiet --disable-pip-version-check install scikit-bio==0.7.4 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
cat > "$work/mixing.py" <<'PY'
import io

import numpy as np
from skbio import TreeNode
from skbio.table import phylomix

tree = TreeNode.read(io.StringIO("(((a:1,b:1):1,c:1):1,(d:1,e:1):1);"))
taxa = list("abcde")
counts = np.array([[1, 2, 3, 4, 5], [50, 1, 40, 3, 60]])
about = {"tree": tree, "taxa": taxa, "labels": np.arange(2), "seed": 0}
for kind in (int, float):
    mixed, _ = phylomix(counts.astype(kind), n=200, **about)
    depths = mixed.sum(axis=1)
    # Either sample may be sample 1.
    kept = np.isclose(depths, 15) | np.isclose(depths, 154)
    print(f"{kind.__name__}: {kept.sum()} of 200 mixed samples have the reads of one of the two")
apart = np.array([[5.0, 5, 5, 0, 0], [0, 0, 0, 7, 7]])
mixed, labels = phylomix(apart, n=200, **about)
copies = [row for row, label in zip(mixed, labels) if any((row == one).all() for one in apart)]
mislabelled = [label for row, label in zip(mixed, labels) if any((row == one).all() for one in apart) and 0 < label[0] < 1]
print(f"nothing in common: {len(copies)} of 200 are copies of one sample, {len(mislabelled)} of these with a mixed label")
PY
said=$("$work/env/bin/python" "$work/mixing.py")
echo "$said"
[ "$said" = "int: 33 of 200 mixed samples have the reads of one of the two
float: 200 of 200 mixed samples have the reads of one of the two
nothing in common: 93 of 200 are copies of one sample, 93 of these with a mixed label" ] || { echo "changed" >&2; exit 1; }
