"""Keep what a released version writes, for later ones to read: `python -m tests.release` before a release.

It writes tests/released/VERSION: a table, models of each kind that learned from it, and what they said of it.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from aam import __version__
from aam.cli import main
from aam.data.simulate import simulate, write_simulation
from tests.support.released import RELEASED

_SHAPE = ["--embedding-dim", "16", "--attention-heads", "2", "--attention-layers", "1", "--epochs", "2", "--no-cache"]


def aam(*words: object) -> None:
    """Run a command that must go well."""
    if code := main([str(word) for word in words]):
        raise RuntimeError(f"exit code {code}")


def write(folder: Path) -> None:
    """Write everything of this version."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        write_simulation(simulate(0, n_samples=60, n_asvs=30, length=30), Path(scratch))
        for name in ("table.biom", "tree.nwk", "metadata.tsv"):
            shutil.copy(Path(scratch) / name, folder / name)
        tables = ["--table", folder / "table.biom", "--metadata", folder / "metadata.tsv"]
        encoder = Path(scratch) / "encoder"
        aam("pretrain", "--table", folder / "table.biom", "--tree", folder / "tree.nwk", *_SHAPE, "--output-dir", encoder)
        shutil.copytree(encoder / "model", folder / "encoder")
        aam("embed", "--table", folder / "table.biom", "--model", folder / "encoder", "--output", folder / "encoder.tsv")
        for name, options in {
            "number": ["--metadata-column", "age", "--categorical-columns", "sex", "--recipe", "transformer", *_SHAPE],
            "classes": ["--metadata-column", "disease", "--classifier", "--recipe", "transformer", *_SHAPE],
            "ensemble": ["--metadata-column", "age", "--no-trees"],
        }.items():
            aam("train", *tables, *options, "--output-dir", Path(scratch) / name)
            shutil.copytree(Path(scratch) / name / "model", folder / name)
            aam("predict", *tables, "--model", folder / name, "--output", folder / f"{name}.tsv")


if __name__ == "__main__":
    # It takes none, and whoever gives one does not mean to write.
    argparse.ArgumentParser(description=__doc__).parse_args()
    write(RELEASED / __version__)
