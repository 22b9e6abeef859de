"""Options of an explanation refuse what cannot be."""

import pytest

from aam.errors import InputError
from aam.options import ExplainOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "guess"}, "`method='guess'`: must be one of deletion, gradients"),
        ({"max_samples": 0}, "`max_samples=0`: must be at least 1"),
        ({"permutation_repeats": 3}, "`permutation_repeats=3` belongs to `permutation`"),
        ({"permutation": True, "permutation_repeats": 0}, "`permutation_repeats=0`: must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError) as caught:
        ExplainOptions(**options)
    assert str(caught.value).startswith(message)


def test_defaults():
    assert ExplainOptions().method == "deletion"
    assert ExplainOptions(taxonomy="t.qza").taxonomy.name == "t.qza"
