"""The rules that keep the layout: who may import whom, what messages may say, how long files are, what start-up may load."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import aam
from aam.cli import COMMANDS, build_app

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "aam"
# Rooms and loose modules from the ground up: each may import what stands before it, and itself.
FLOORS = (
    "errors", "options", "parallel", "progress", "compute", "page", "disk", "tracking", "data", "scoring", "augment", "models",
    "distances", "study", "training", "ensemble", "explain", "saved", "exporting", "learners", "evaluation", "tuning", "benchmark",
    "sklearn", "cli",
)  # fmt: skip
LOOSE = {"errors", "progress", "compute", "page", "__init__", "__main__"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc", "v2"}
HEAVY = {"torch", "lightning", "pandas", "skbio", "scipy", "sklearn", "numpy", "matplotlib", "optuna", "sqlalchemy"}
# What is said in these is read by users: errors and the log.
SAID = {"InputError", "debug", "info", "warning", "error"}


def python_files() -> list[Path]:
    return sorted(path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))


def module_of(path: Path, root: Path) -> str:
    parts = ["aam", *path.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, root: Path = PACKAGE) -> set[str]:
    """Modules that a file names anywhere, under TYPE_CHECKING and in functions too; `from aam import cli` as aam.cli, too."""
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


def import_graph(root: Path = PACKAGE) -> dict[str, set[str]]:
    """By module of the package, those of its modules that it imports; of a package's own file only what is not in its modules."""
    paths = {module_of(path, root): path for path in root.rglob("*.py")}
    graph = {}
    for module, path in paths.items():
        named = {name for name in imports(path, root) if name in paths and name != module}
        # `from aam.x import y` names aam.x and aam.x.y: where both are modules it is y that is meant.
        graph[module] = {name for name in named if not any(other.startswith(f"{name}.") for other in named)}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules that can be reached from themselves, with the way."""

    def walk(module: str, way: list[str], done: set[str]) -> Iterator[list[str]]:
        for other in sorted(graph[module]):
            if other in way:
                yield [*way[way.index(other) :], other]
            elif other not in done:
                yield from walk(other, [*way, other], done)
        done.add(module)

    done: set[str] = set()
    return [circle for module in sorted(graph) if module not in done for circle in walk(module, [module], done)]


def room_of(module: str) -> str:
    return [*module.split("."), ""][1]


def test_no_files_import_each_other_in_a_circle():
    assert circles(import_graph()) == []


def test_imports_point_down():
    rank = {name: number for number, name in enumerate(FLOORS)}
    wrong = [
        f"{module} imports {other}"
        for module, others in import_graph().items()
        for other in others
        if room_of(module) in rank and rank.get(room_of(other), -1) > rank[room_of(module)]
    ]
    assert wrong == []


def test_every_room_has_a_floor():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms <= set(FLOORS)
    assert {path.stem for path in PACKAGE.glob("*.py")} == LOOSE


def test_the_graph_of_imports_sees_every_form(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("models", "training", "cli"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "data" / "sequences.py").write_text("if TYPE_CHECKING:\n from aam.data.table import Table\n")
    text = "import aam.models\nfrom aam import training\ndef f():\n from ..cli import main\n from . import sequences\n"
    (tmp_path / "data" / "table.py").write_text(text)
    graph = import_graph(tmp_path)
    assert graph["aam.data.table"] == {"aam.models", "aam.training", "aam.cli", "aam.data.sequences"}
    assert circles(graph) == [["aam.data.sequences", "aam.data.table", "aam.data.sequences"]]


def test_the_framework_of_the_command_line_stays_there():
    rest = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "cli"]
    assert [path for path in rest if any(name.split(".")[0] == "cyclopts" for name in imports(path))] == []


def messages(path: Path) -> Iterator[str]:
    """The text in errors and lines of the log of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in SAID:
                yield from (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str))


def test_messages_below_the_command_line_name_options_and_spell_no_flags():
    # Options of other programs are spelled as they are. A text that ends in dashes has its option put in.
    others = re.compile(r"--(nnodes|ntasks|to-hdf5|to-tsv|p-where)\b")
    wrong = [
        f"{path.relative_to(ROOT)}: {message}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "cli"
        for message in messages(path)
        if re.search(r"--([a-z]|$)", others.sub("", message))
    ]
    assert wrong == []


def test_a_command_is_thin_and_imports_its_work_once():
    for command in COMMANDS:
        path = PACKAGE / "cli" / f"{command}.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = [
            node
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef) and function.name == command
            for node in ast.walk(function)
            if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        assert len(inside) == 1, command
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 150, command
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (PACKAGE / "cli").rglob("*.py"))
    assert lines <= 3250


def test_every_file_has_its_line_in_the_tree_of_files():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = next(block for block in re.findall(r"^```\n(.*?)^```", text, re.M | re.S) if block.startswith("errors.py"))
    folders, listed = [], set()
    for line in tree.splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [name]
        if name.endswith(".py"):
            listed.add("".join(folders))
    files = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if not path.stem.startswith("__")}
    assert listed == files


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
