"""Letters along an alignment."""

import numpy as np
import pytest

from aam.errors import InputError
from aam.explain import logo
from aam.explain.nucleotides import PositionEffects


def effects(letters, by_position):
    return PositionEffects(0, letters, np.asarray(by_position, float), "unknown letter")


def test_a_logo_weighs_asvs_by_their_effect():
    found = logo.logo_of([effects("ACGT", [1, 0, 0, 0]), effects("AAGT", [-2, 0, 1, 0])])
    np.testing.assert_allclose(found.frequencies, [[1, 0, 0, 0, 0], [0.75, 0.25, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]])
    np.testing.assert_allclose(found.effect, [-0.5, 0, 0.5, 0])


def test_sequences_of_several_lengths_are_aligned_and_effects_stay_at_their_letters():
    pytest.importorskip("pyfamsa", reason="the extra tree is not installed")
    long = "ACGTTGCAGGTACCATTGACGGA"
    short = long[:9] + long[12:]
    found = logo.logo_of([effects(long, np.arange(23)), effects(short, np.arange(20))])
    assert found.rows[0] == long
    assert found.rows[1].replace("-", "") == short
    assert found.frequencies[:, 4].astype(bool).sum() == 3
    letters = [place for place, letter in enumerate(found.rows[1]) if letter != "-"]
    np.testing.assert_allclose(found.effect[letters], (np.array(letters) + np.arange(20)) / 2)


def test_without_pyfamsa_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyfamsa", None)
    with pytest.raises(InputError, match=r"attention-all-microbes\[tree\]"):
        logo.align(["ACG", "AC"])
    assert logo.align(["ACG", "ACC"]) == ["ACG", "ACC"]


def test_the_letter_that_goes_with_the_effect_tells():
    found = logo.telling(["AC", "AG", "CC", "CG"], np.array([3.0, 3, -1, -1]), np.ones(4))
    np.testing.assert_allclose(found.share, [1, 0], atol=1e-12)
    np.testing.assert_allclose(found.by_letter[0, :2], [2, -2])
    assert np.isnan(found.by_letter[0, 2:]).all()
    weighted = logo.telling(["AC", "AG", "CC", "CG"], np.array([3.0, 1, -1, -1]), np.array([2.0, 0, 1, 1]))
    np.testing.assert_allclose(weighted.share, [1, 1 / 3], atol=1e-12)
    assert not logo.telling(["AC", "AG"], np.ones(2), np.ones(2)).share.any()


def test_nearest_asvs():
    vectors = np.array([[0.0, 0], [5, 5], [1, 0], [0, 0.5]])
    assert logo.nearest(vectors, 0, np.array([0, 1, 2]), 2).tolist() == [0, 2]
    assert logo.nearest(vectors, 1, np.array([0, 2, 3]), 9).tolist() == [1, 2, 3, 0]
