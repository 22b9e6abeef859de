#!/usr/bin/env bash
# cyclopts 5.4.0 reads the options of a dataclass from the annotations of its __init__. Those of a dataclass that inherits a field from
# another module are resolved in the module of the child, not in the one that declares the field. Where annotations are text
# (`from __future__ import annotations`, as PEP 563 has it) and the parent's module uses a name that the child's module lacks, the
# command cannot be parsed: NameError, while typing.get_type_hints(Child) and the dataclass itself work.
# Seen: "get_type_hints: ok", then "cyclopts: NameError: name 'Annotated' is not defined". This script fails when that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" --quiet --disable-pip-version-check install cyclopts==5.4.0
cat > "$work/parent.py" <<'PY'
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter


@dataclass(kw_only=True)
class Parent:
    config: Annotated[str | None, Parameter(help="A file of options.")] = None
PY
cat > "$work/child.py" <<'PY'
from __future__ import annotations

import typing
from dataclasses import dataclass

from cyclopts import App, Parameter
from parent import Parent


@Parameter(name="*")
@dataclass(kw_only=True)
class Child(Parent):
    epochs: int


app = App()


@app.command
def train(options: Child) -> None:
    print(options)


typing.get_type_hints(Child, include_extras=True)
print("get_type_hints: ok")
try:
    app(["train", "--epochs", "2"], exit_on_error=False, print_error=False)
except NameError as error:
    print(f"cyclopts: NameError: {error}")
PY
said=$(cd "$work" && "$work/env/bin/python" child.py)
echo "$said"
[ "$said" = "get_type_hints: ok
cyclopts: NameError: name 'Annotated' is not defined" ] || { echo "changed" >&2; exit 1; }
