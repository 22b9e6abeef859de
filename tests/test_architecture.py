"""The rules that keep the layout: who may import whom, how long files are, what start-up may load."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import aam
from aam.cli import COMMANDS, build_app

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "aam"
# What a room must not import, at any depth of a function.
FORBIDDEN = {
    "data": ("aam.models", "aam.training", "aam.cli", "aam.saved.folder", "aam.models.inference", "aam.ensemble"),
    "distances": ("aam.models", "aam.training", "aam.cli", "aam.saved.folder", "aam.models.inference", "aam.ensemble"),
    "models": ("aam.training", "aam.cli", "aam.models.inference", "aam.ensemble"),
    "training": ("aam.cli", "aam.ensemble"),
    "evaluation": ("aam.cli", "aam.saved.folder", "aam.models.inference", "aam.models", "aam.ensemble"),
    "ensemble": ("aam.cli", "aam.models.inference"),
    "": ("aam.cli",),  # modules beside the rooms
}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc", "v2"}
HEAVY = {"torch", "lightning", "pandas", "skbio", "scipy", "sklearn", "numpy", "matplotlib"}


def python_files() -> list[Path]:
    return sorted(path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path, root: Path = PACKAGE) -> set[str]:
    """Modules that a file of the package names, `from aam import cli` as aam.cli too, relative imports resolved."""
    package = ["aam", *path.relative_to(root).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("room", FORBIDDEN)
def test_imports_go_one_way(room):
    folder = PACKAGE / room
    files = [path for path in (folder.rglob("*.py") if room else folder.glob("*.py")) if path.name != "__main__.py"]
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imports(path)
        for forbidden in FORBIDDEN[room]
        if module == forbidden or module.startswith(f"{forbidden}.")
    ]
    assert not wrong


def test_the_import_check_sees_every_form(tmp_path):
    path = tmp_path / "data" / "table.py"
    path.parent.mkdir()
    path.write_text("import aam.models\nfrom aam import training\ndef f():\n from ..cli import main\n from . import sequences\n")
    assert {"aam.models", "aam.training", "aam.cli", "aam.cli.main", "aam.data.sequences"} <= imports(path, tmp_path)


def test_files_are_short_and_named_for_what_they_hold():
    for path in python_files():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, f"{path}: over 400 lines hide a second noun"
        assert path.stem not in VAGUE_NAMES, f"{path}: a name that says nothing"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)], ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    program = "import sys; from aam.cli import main; assert main(sys.argv[1:]) == 0; sys.stderr.write(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=True)
    assert not HEAVY & set(run.stderr.split())


def test_commands_of_the_readme_exist():
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S))
    targets = set(re.findall(r"^make ([\w-]+)", blocks, re.M))
    commands = set(re.findall(r"^(?:\$ )?aam ([\w-]+)", blocks, re.M))
    assert {"demo", "test"} <= targets <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert commands
    assert commands <= set(COMMANDS)


def readme_commands():
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S))
    joined = blocks.replace("\\\n", " ")
    return [shlex.split(line.removeprefix("$ "))[1:] for line in joined.splitlines() if re.match(r"(\$ )?aam \w", line)]


@pytest.mark.parametrize("arguments", readme_commands(), ids=lambda arguments: arguments[0])
def test_options_of_the_readme_exist(arguments):
    command, bound, _ = build_app().parse_args(arguments, print_error=False, exit_on_error=False)
    assert command.__name__ == arguments[0]
    assert bound.arguments


def test_public_names_are_there():
    assert all(getattr(aam, name) is not None for name in aam.__all__)
