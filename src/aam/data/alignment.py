"""Align sequences (FAMSA), as a program of its own: FASTA from standard input to standard output, by nothing but `pyfamsa`."""

from __future__ import annotations

import sys


def main() -> None:
    """Read, align, write."""
    import pyfamsa

    records = [record.split("\n", 1) for record in sys.stdin.read().split(">")[1:]]
    entries = [pyfamsa.Sequence(name.encode(), sequence.strip().encode()) for name, sequence in records]
    # Threads cost more than they bring: 1,500 ASVs took 0.2 s with one thread, 2 s with two, 40 s with four on two busy cores.
    rows = pyfamsa.Aligner(threads=1).align(entries)
    sys.stdout.write("".join(f">{row.id.decode()}\n{row.sequence.decode()}\n" for row in rows))


if __name__ == "__main__":
    main()
