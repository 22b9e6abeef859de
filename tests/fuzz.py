"""Readers fed with anything: they raise `InputError` or give what they promise, and nothing else comes out.

In the suite (test_fuzz.py) hypothesis changes real files for some seconds. `python -m tests.fuzz table --runs 100000` has a fuzzer
guided by coverage do so (pip install atheris), with bounds on the time and the memory of each input.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FunctionType

from aam.data import hdf5
from tests.support.fuzz_targets import feed, targets

_GUIDES = (
    "aam.data",
    "aam.disk.schema",
    "aam.saved",
    "aam.ensemble",
    "aam.distances",
    "aam.cli.config_file",
    "biom",
    "skbio.metadata",
    "yaml",
    "zipfile",
)


def guides() -> Iterator[FunctionType]:
    """The functions whose coverage guides the fuzzer: our readers, and those in Python that they call."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_GUIDES):
            for holder in [module, *(kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == name)]:
                for function in vars(holder).values():
                    if isinstance(function, FunctionType) and function.__module__ == name:
                        yield function


def main(argv: Sequence[str] | None = None) -> None:
    """Feed one target until so many inputs were tried, or something else came out."""
    import atheris

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=list(targets()))
    parser.add_argument("--runs", type=int, default=100_000)
    given = parser.parse_args(argv)
    read, seeds = targets()[given.target]
    # What readers warn of would fill the screen.
    logging.disable(logging.WARNING)
    if given.target == "values":
        # The file is sound: nothing can happen to the library that reads it, and a process for each costs a hundred times the rest.
        hdf5._FORKS = False
    if given.target == "matrix-h5":
        # Of the processor, where the library comes to no end.
        hdf5._SECONDS = 0.2
    corpus = Path(tempfile.mkdtemp())
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)
    for function in guides():
        atheris.instrument_func(function)
    limits = ["-timeout=20", "-rss_limit_mb=3000", "-max_len=20000", f"-runs={given.runs}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], lambda content: feed(read, content))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
