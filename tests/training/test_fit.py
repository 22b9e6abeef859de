import pytest

from aam.options import FitOptions
from aam.training.fit import whole_epochs


@pytest.mark.parametrize(
    ("epochs", "max_steps", "accumulate", "expected"),
    [
        (5, None, 1, (5, 10)),
        (5, 50, 1, (5, 10)),
        (5, 1000, 1, (5, 10)),
        (5, 3, 1, (1, 3)),
        (5, 25, 1, (3, 8)),
        (5, 4, 2, (1, 8)),
        (5, 13, 3, (4, 9)),
        (5, 7, 2, (2, 6)),
    ],
)
def test_max_steps_shortens_epochs_evenly(epochs, max_steps, accumulate, expected):
    options = FitOptions(epochs=epochs, max_steps=max_steps, accumulate=accumulate)
    assert whole_epochs(options, batches=10) == expected
