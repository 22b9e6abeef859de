"""Options of an ensemble refuse what cannot be."""

from dataclasses import fields, replace

import pytest

from aam.errors import InputError
from aam.options import EnsembleOptions

BAD = [
    ("cross_fit_folds", 1),
    ("cross_fit_folds", 0),
    ("network_dim", 12),
    ("network_heads", 5),
    ("network_min_epochs", 21),
    ("network_max_epochs", 4),
    ("network_lr", 0.0),
    ("boosting_lr", -1.0),
    ("network_weight_decay", -0.1),
    ("identity_weight_decay", -0.1),
    ("network_dropout", 1.0),
    ("asv_dropout", -0.1),
    ("tree_prevalence", 1.0),
]


@pytest.mark.parametrize(("option", "value"), BAD)
def test_a_bad_value_is_told_by_its_name(option, value):
    with pytest.raises(InputError, match="must be") as caught:
        replace(EnsembleOptions(), **{option: value})
    assert "`network_" in str(caught.value) or f"`{option}={value}`" in str(caught.value)


def test_every_whole_number_is_at_least_1():
    whole = [field.name for field in fields(EnsembleOptions) if field.type == "int"]
    assert len(whole) > 10
    for option in whole:
        with pytest.raises(InputError, match=f"`{option}=0`: must be at least"):
            replace(EnsembleOptions(), **{option: 0})


def test_the_set_network_is_a_model_of_these_options():
    network = EnsembleOptions(network_dim=32, network_heads=2, network_dropout=0.2).network
    assert (network.embedding_dim, network.attention_heads, network.dropout) == (32, 2, 0.2)
