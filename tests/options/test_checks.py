"""Values of another type than their option's are refused by name; paths may be text."""

from pathlib import Path

import numpy as np
import pytest

from aam.errors import InputError
from aam.options import (
    CacheOptions,
    EnsembleOptions,
    FitOptions,
    GroupOptions,
    ModelOptions,
    ReadOptions,
    TableOptions,
    TargetOptions,
)


@pytest.mark.parametrize(
    ("make", "option", "wanted"),
    [
        (lambda: ReadOptions(max_bp="100"), "max_bp='100'", "a whole number"),
        (lambda: ReadOptions(sampling_depth=1000.5), "sampling_depth=1000.5", "a whole number or None"),
        (lambda: ReadOptions(asv_sampling="best"), "asv_sampling='best'", "one of abundant, random"),
        (lambda: EnsembleOptions(network_dim=64.0), "network_dim=64.0", "a whole number"),
        (lambda: EnsembleOptions(trees="no"), "trees='no'", "True or False"),
        (lambda: FitOptions(epochs=True), "epochs=True", "a whole number"),
        (lambda: FitOptions(lr="fast"), "lr='fast'", "a number"),
        (lambda: GroupOptions(where=3), "where=3", "text or None"),
        (lambda: CacheOptions(cache_dir=3), "cache_dir=3", "a Path or None"),
        (lambda: TargetOptions(metadata_column="age", categorical_columns="sex"), "categorical_columns='sex'", "a tuple"),
    ],
)
def test_a_value_of_another_type_is_told_by_name(make, option, wanted):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(f"`{option}`: must be {wanted}")


def test_text_is_a_path_and_numbers_of_numpy_are_numbers():
    assert TableOptions(table="t.biom", rep_seqs="~/s.fasta") == TableOptions(
        table=Path("t.biom"), rep_seqs=Path.home() / "s.fasta"
    )
    assert ModelOptions(embedding_dim=np.int64(64), ffn_ratio=np.float32(2)).embedding_dim == 64
    assert FitOptions(lr=1).lr == 1
