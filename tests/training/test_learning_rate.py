import numpy as np
import pytest

from aam.errors import InputError
from aam.training.learning_rate import steepest
from aam.training.module import warmup_cosine


def curve(falls_at):
    rates = np.geomspace(1e-6, 0.3, 100)
    losses = 1.0 - 0.8 / (1 + np.exp(-4 * np.log10(rates / falls_at)))
    return rates, np.where(rates > 30 * falls_at, losses + rates / falls_at, losses)


@pytest.mark.parametrize("falls_at", [1e-4, 1e-3, 5e-3])
def test_the_rate_where_the_loss_falls_fastest_is_found(falls_at):
    assert steepest(*curve(falls_at)) == pytest.approx(falls_at, rel=0.3)


def test_losses_that_are_not_finite_are_left_out():
    rates, losses = curve(1e-3)
    assert steepest(rates, np.where(rates > 0.05, np.nan, losses)) == pytest.approx(1e-3, rel=0.3)


def test_a_loss_that_never_falls_is_an_error():
    rates = np.geomspace(1e-6, 0.3, 100)
    with pytest.raises(InputError, match="give `lr`"):
        steepest(rates, rates)


def test_warm_up_and_cosine():
    rates = [warmup_cosine(step, 100, 10) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 11)
    assert np.argmax(rates) == 10
    assert rates[10] == pytest.approx(1)
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert (np.diff(rates[10:]) < 0).all()
    assert warmup_cosine(0, 1, 0) == 1
    assert warmup_cosine(5, 3, 3) == 0
