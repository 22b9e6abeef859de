"""Small tables and metadata as files."""

import numpy as np


def table_of(folder, samples, name="table.tsv"):
    """Samples of three features that are known by name."""
    counts = 1 + np.random.default_rng(0).integers(0, 9, (3, len(samples)))
    rows = ["\t".join([f"genus {number}", *map(str, row)]) for number, row in enumerate(counts)]
    path = folder / name
    path.write_text("\n".join(["\t".join(["#OTU ID", *samples]), *rows]) + "\n")
    return path


def metadata_of(folder, columns, samples=None, name="metadata.tsv", types=None):
    """Columns of text by name; samples are S0, S1 ... where they are not named."""
    samples = samples or [f"S{row}" for row in range(len(next(iter(columns.values()))))]
    lines = [["sample-id", *columns]]
    lines += [["#q2:types", *(types.get(column, "") for column in columns)]] if types else []
    lines += [list(row) for row in zip(samples, *columns.values(), strict=True)]
    path = folder / name
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return path
