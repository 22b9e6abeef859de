"""Odd trees, and matrices of distances."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from skbio import TreeNode
from skbio.diversity import beta_diversity

from tests.odd_files import ASVS, COUNTS, SAMPLES, Odd, put, tree_text

SOUND = tree_text()


def of(content: str | bytes) -> Callable[[Path], dict[str, Path]]:
    """A tree of that content."""
    return lambda folder: {"tree": put(folder, "odd.nwk", content)}


def relabelled(change: Callable[[str], str]) -> str:
    return re.sub(r"ASV_\d+", lambda found: change(found[0]), SOUND)


def lengths(change: Callable[[str], str]) -> str:
    """The sound tree with other text in the place of each length and its colon."""
    return re.sub(r":([0-9.]+)", lambda found: change(found[1]), SOUND)


def qza(semantic_type: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("uuid/VERSION", "QIIME 2\narchive: 5\n")
        archive.writestr("uuid/metadata.yaml", f"uuid: uuid\ntype: {semantic_type}\nformat: NewickDirectoryFormat\n")
        archive.writestr("uuid/data/tree.nwk", SOUND)
    return content.getvalue()


@cache
def unifrac() -> np.ndarray:
    """Unweighted UniFrac of the sound table and tree, by scikit-bio."""
    tree = TreeNode.read([SOUND], convert_underscores=False)
    return beta_diversity("unweighted_unifrac", COUNTS, SAMPLES, tree=tree, taxa=ASVS).data


def lsmat(matrix: np.ndarray, ids: Sequence[str] = SAMPLES) -> str:
    rows = ["\t".join([name, *map(repr, row.tolist())]) for name, row in zip(ids, matrix, strict=True)]
    return "\n".join(["\t".join(["", *ids]), *rows]) + "\n"


def matrix(change: Callable[[np.ndarray], np.ndarray] = np.copy, ids: Sequence[str] = SAMPLES) -> Callable[[Path], dict[str, Path]]:
    """A matrix of distances made from the true ones."""
    return lambda folder: {"unifrac_matrix": put(folder, "odd.tsv", lsmat(change(unifrac()), ids))}


def text(change: Callable[[str], str]) -> Callable[[Path], dict[str, Path]]:
    return lambda folder: {"unifrac_matrix": put(folder, "odd.tsv", change(lsmat(unifrac())))}


def packed(folder: Path) -> dict[str, Path]:
    return {"unifrac_matrix": put(folder, "odd.tsv.gz", gzip.compress(lsmat(unifrac()).encode()))}


def hdf5(folder: Path) -> dict[str, Path]:
    with h5py.File(folder / "odd.h5", "w") as handle:
        handle["order"] = [f"{name} ".encode() for name in SAMPLES]
        handle["matrix:0"] = unifrac()
    return {"unifrac_matrix": folder / "odd.h5"}


def npy(folder: Path) -> dict[str, Path]:
    np.save(folder / "odd.npy", unifrac()[::-1, ::-1])
    put(folder, "odd.ids.txt", "\n".join(SAMPLES[::-1]))
    return {"unifrac_matrix": folder / "odd.npy"}


def with_nan(distances: np.ndarray) -> np.ndarray:
    changed = distances.copy()
    changed[0, 1] = changed[1, 0] = np.nan
    return changed


READ = {
    "tree in quotes": of(relabelled(lambda name: f"'{name}'")),
    "tree with blanks in quotes": of(relabelled(lambda name: f"' {name} '")),
    "tree with NHX": of(lengths(lambda length: f":{length}[&&NHX:S=human:B=100]")),
    "tree with BEAST's rates": of("[&R] " + lengths(lambda length: f":[&rate=1.5]{length}")),
    "tree with support": of(re.sub(r"\)(?=:)", ")0.98", SOUND)),
    "tree with inner names": of(re.sub(r"\)(?=:)", ")'p__Firmicutes; c__'", SOUND)),
    "tree in scientific notation": of(lengths(lambda length: f":{float(length):.6E}")),
    "tree over several lines, of Windows": of(SOUND.replace(",", ",\r\n\t")),
    "tree with the mark of UTF-8": of(b"\xef\xbb\xbf" + SOUND.encode()),
    "tree with a stem of length 0": of(f"({SOUND.strip()[:-1]}:0):0.0;\n"),
    "tree with single children": of(re.sub(r"ASV_(\d+):([0-9.]+)", r"((ASV_\1:\2):0):0", SOUND)),
    "tree with more tips": of(f"({SOUND.strip()[:-1]}:0,(x:1,'y z':nan):2);\n\n\n"),
    "tree as artifact": lambda folder: {"tree": put(folder, "odd.qza", qza("Phylogeny[Rooted]"))},
    "matrix with comments": text(lambda written: f"# distances\n\n{written}\n"),
    "matrix of Windows, with a mark": text(lambda written: "\ufeff" + written.replace("\n", "\r\n")),
    "matrix with more samples": matrix(lambda distances: np.pad(distances, (0, 1), constant_values=0) + 0, [*SAMPLES, "other"]),
    "matrix in a .gz": packed,
    "matrix of unifrac-binaries, blanks after ids": hdf5,
    "matrix of numpy in another order": npy,
}
LENGTHS, SAME = "the tree has no branch lengths above the ASVs", "all distances between the samples are {}: nothing can be learned"
REFUSED = {
    "tree without lengths": (of(lengths(lambda length: "")), LENGTHS),
    "tree with zeros for lengths": (of(lengths(lambda length: ":0.0")), LENGTHS),
    "tree with a length above the root alone": (of(lengths(lambda length: "").replace(";", ":1;")), LENGTHS),
    "tree with a negative length": (of(SOUND.replace(":0.1", ":-0.1", 1)), "negative or no number: -0.1"),
    "tree with a tip twice": (of(SOUND.replace("ASV_02", "ASV_01")), "several tips of one name: ASV_01"),
    "tree in lower case": (of(relabelled(str.lower)), "no ASV of the table is a tip .*upper and lower case: 'ASV_01' is 'asv_01'"),
    "tree with sizes": (
        of(relabelled(lambda name: f"'{name};size=7;'")),
        "no ASV of the table .*;size=: 'ASV_01' is 'ASV_01;size=7;'",
    ),
    "tree with dots of R": (of(relabelled(lambda name: name.replace("_", "."))), "'ASV_01' is 'ASV.01' there"),
    "tree of half the table": (
        of(re.sub(r"ASV_0\d", lambda found: found[0].lower(), SOUND)),
        r"9 of 20 ASVs, which hold \d\d.\d % of the reads, are not in the tree: .*\(9 look like ids of the tree but for upper",
    ),
    "tree in Nexus format": (of(f"#NEXUS\nbegin trees;\ntree one = {SOUND}end;\n"), "a tree in Nexus format, not a newick tree"),
    "two trees": (of(SOUND + SOUND), "text after the end of the tree"),
    "tree cut short": (of(SOUND[: len(SOUND) // 2]), "not a newick tree"),
    "sequences for a tree": (of(">ASV_01\nACGT\n"), r"sequences \(FASTA\), not a newick tree"),
    "matrix of zeros": (matrix(np.zeros_like), SAME.format(0)),
    "matrix of one value": (matrix(lambda distances: 0.5 * (1 - np.eye(len(distances)))), SAME.format("0.5")),
    "matrix with a gap": (matrix(with_nan), "some distances are missing or infinite"),
    "matrix of similarities": (matrix(lambda distances: 1 - distances), "is it a similarity matrix"),
    "matrix of one half": (matrix(np.tril), "not symmetric"),
    "matrix with ids of R": (
        matrix(ids=[f"{name[0]}.{name[1:]}".replace("S.", "s") for name in SAMPLES]),
        "30 of 30 samples have no distances in .*upper and lower case: 'S01' is 's01' there.*; no sample is left",
    ),
    "matrix of others": (
        matrix(ids=[f"other{number}" for number in range(len(SAMPLES))]),
        "30 of 30 samples have no distances in .*; no sample is left",
    ),
}
TREES = [*(Odd(name, write) for name, write in READ.items()), *(Odd(name, *rest) for name, rest in REFUSED.items())]
