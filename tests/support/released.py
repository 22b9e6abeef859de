"""Where model folders of released versions are kept; tests/release.py writes them."""

from pathlib import Path

RELEASED = Path(__file__).parents[1] / "released"
