"""Real files, changed: see fuzz.py."""

import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fuzz_targets import feed, targets

TARGETS = targets()
WORDS = [
    b"nan",
    b"-1",
    b"1e999",
    b"\x00",
    b"\xff\xfe",
    b"\t",
    b"\n",
    b'"',
    b"(",
    b")",
    b"'",
    b"[",
    b"{",
    b":",
    b"\xc2\xa0",
    b"#",
    b"9" * 400,
]


@st.composite
def changed(draw, seeds):
    """A real file with a few bytes replaced, left out or put in, cut off, or repeated."""
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(content)))
        end = draw(st.integers(first, min(len(content), first + draw(st.sampled_from([0, 1, 4, 10**6])))))
        content = content[:first] + draw(st.one_of(st.sampled_from(WORDS), st.binary(max_size=8))) + content[end:]
    return content


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_our_own_error_comes_out(name):
    read, seeds = TARGETS[name]
    logging.disable(logging.WARNING)

    @settings(
        max_examples=60 if name in ("hdf5", "h5ad") else 150,
        deadline=20_000,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(changed(seeds))
    def fuzz(content):
        feed(read, content)

    try:
        for seed in seeds:
            assert feed(read, seed) or name in ("values", "config")
        fuzz()
    finally:
        logging.disable(logging.NOTSET)
