#!/usr/bin/env bash
# scikit-bio 0.7.4: a tree whose branch lengths are all 0 (a taxonomy, an exported topology) passes every check of beta_diversity. The
# unweighted UniFrac of any two samples is then 0, the normalized weighted UniFrac is NaN (0 / 0), and a DistanceMatrix that holds these
# NaN is returned, though the same matrix cannot be read back from a file ("cannot contain NaNs"). PERMANOVA of it gives a pseudo-F of
# NaN and the smallest p-value that the permutations allow: no permuted NaN is ever as large as the observed one. So four samples
# with no distance between any two of them differ "significantly" between two groups, with p = 0.01 after 99 permutations and 0.001 after
# 999. No exception is raised on the way; there is only a RuntimeWarning of numpy.
# Seen: the lines below. This script fails when that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" --quiet --disable-pip-version-check install scikit-bio==0.7.4 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
cat > "$work/distances.py" <<'PY'
import io
import warnings

from skbio import DistanceMatrix, TreeNode
from skbio.diversity import beta_diversity
from skbio.stats.distance import permanova

warnings.simplefilter("ignore")
tree = TreeNode.read(io.StringIO("((A:0,B:0):0,(C:0,D:0):0);"))
about = {"counts": [[3, 0, 1, 0], [0, 2, 0, 5], [1, 1, 1, 1], [2, 0, 3, 1]], "ids": list("wxyz"), "taxa": list("ABCD"), "tree": tree}
print("unweighted:", beta_diversity("unweighted_unifrac", **about).condensed_form().tolist())
matrix = beta_diversity("weighted_unifrac", normalized=True, **about)
print("weighted, normalized:", matrix.condensed_form().tolist())
for permutations in (99, 999):
    result = permanova(matrix, ["a", "a", "b", "b"], permutations=permutations)
    print(f"{permutations} permutations: pseudo-F {result['test statistic']}, p {result['p-value']}")
file = io.StringIO()
matrix.write(file)
file.seek(0)
try:
    DistanceMatrix.read(file)
except Exception as error:
    print(f"read back: {type(error).__name__}: {error}")
PY
said=$("$work/env/bin/python" "$work/distances.py")
echo "$said"
[ "$said" = "unweighted: [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
weighted, normalized: [nan, nan, nan, nan, nan, nan]
99 permutations: pseudo-F nan, p 0.01
999 permutations: pseudo-F nan, p 0.001
read back: DistanceMatrixError: Data must be symmetric and cannot contain NaNs." ] || { echo "changed" >&2; exit 1; }
