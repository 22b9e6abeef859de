"""What work takes."""

import time

import numpy as np
import pytest

from aam.parallel.peak import taken


def test_seconds_and_memory_are_of_the_work_alone():
    def work():
        time.sleep(0.05)
        return float(np.ones(40_000_000 // 8).sum())

    # What was larger before is forgotten.
    taken(lambda: np.ones(200_000_000 // 8).sum())
    result, seconds, memory = taken(work)
    assert result == 5e6
    assert 0.05 <= seconds < 5
    assert np.isnan(memory) or memory == pytest.approx(40e6, rel=0.3)
