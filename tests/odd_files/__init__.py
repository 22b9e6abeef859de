"""Odd but valid inputs as people have them: each is one small sound community with one oddity.

`community` writes what is sound; the other files here say what is odd in its `table`, `metadata` and `tree`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Odd:
    """An odd file.

    write: writes it beside the sound ones and gives the options that differ from them by name, such as ``{"table": path}``.
    outcome: ``read`` (the same numbers as of the sound input), or a regular expression that the one line of the error matches.
    """

    name: str
    write: Callable[[Path], dict[str, Path]]
    outcome: str = "read"


_DRAW = random.Random(1)
SAMPLES = [f"S{number:02d}" for number in range(1, 31)]
ASVS = [f"ASV_{number:02d}" for number in range(1, 21)]
AGES = [round(_DRAW.uniform(1, 80), 1) for _ in SAMPLES]
SITES = ["gut" if number % 4 < 2 else "skin" for number in range(len(SAMPLES))]
SUBJECTS = [f"P{number // 2 + 1:02d}" for number in range(len(SAMPLES))]


def _sequences() -> list[str]:
    """Of four clades: ASV k is of clade k % 4."""
    ancestors = ["".join(_DRAW.choices("ACGT", k=60)) for _ in range(4)]
    made = []
    for number in range(len(ASVS)):
        letters = list(ancestors[number % 4])
        for place in _DRAW.sample(range(60), 8):
            letters[place] = _DRAW.choice("ACGT")
        made.append("".join(letters))
    return made


def _reads(sample: int, asv: int) -> int:
    """Clade 0 grows with age, clade 1 is of the gut, clade 2 of the skin."""
    mean = 2 + (AGES[sample] / 8 if asv % 4 == 0 else 0) + 10 * (asv % 4 == (1 if SITES[sample] == "gut" else 2))
    return int(_DRAW.expovariate(1 / mean)) + (asv == sample % len(ASVS))


SEQUENCES = _sequences()
# Samples x ASVs.
COUNTS = [[_reads(sample, asv) for asv in range(len(ASVS))] for sample in range(len(SAMPLES))]


def table_text(features: Sequence[str] = ASVS, samples: Sequence[str] = SAMPLES, corner: str = "#OTU ID") -> str:
    """The table as ``biom convert --to-tsv`` writes it, one row for each feature."""
    rows = ["\t".join([name, *(str(reads[asv]) for reads in COUNTS)]) for asv, name in enumerate(features)]
    return "\n".join(["# Constructed from biom file", "\t".join([corner, *samples]), *rows]) + "\n"


def fasta_text(names: Sequence[str] = ASVS) -> str:
    return "".join(f">{name}\n{sequence}\n" for name, sequence in zip(names, SEQUENCES, strict=True))


def tree_text(names: Sequence[str] = ASVS) -> str:
    """The four clades, each a ladder."""
    clades = []
    for first in range(4):
        tips = [f"{names[asv]}:{0.05 + 0.004 * asv:.3f}" for asv in range(first, len(names), 4)]
        clade = tips[0]
        for tip in tips[1:]:
            clade = f"({clade},{tip}):0.02"
        clades.append(clade)
    return "(({},{}):0.1,({},{}):0.1);\n".format(*clades)


def metadata_text(separator: str = "\t", corner: str = "sample-id", **columns: Sequence[object]) -> str:
    """Columns age, site, subject, with others in their places or beside them."""
    shown = {"age": AGES, "site": SITES, "subject": SUBJECTS} | columns
    rows = [separator.join(map(str, row)) for row in zip(SAMPLES, *shown.values(), strict=True)]
    return "\n".join([separator.join([corner, *shown]), *rows]) + "\n"


def put(folder: Path, name: str, content: str | bytes) -> Path:
    """Write one file, its line ends as they are."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def community(folder: Path) -> dict[str, Path]:
    """The sound files by the names of their options: 30 samples of 15 subjects, 20 ASVs."""
    texts = {
        "table": ("table.tsv", table_text()),
        "rep_seqs": ("seqs.fasta", fasta_text()),
        "tree": ("tree.nwk", tree_text()),
        "metadata": ("metadata.tsv", metadata_text()),
    }
    return {option: put(folder, name, text) for option, (name, text) in texts.items()}
