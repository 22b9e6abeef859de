"""Several commands one after the other, as `aam` runs each: what torchrun starts as ranks in test_ranks.py."""

import json
import sys
from pathlib import Path

from aam.cli import main

if __name__ == "__main__":
    for command in json.loads(Path(sys.argv[1]).read_text()):
        if code := main(command):
            sys.exit(code)
