"""What packages and images say agrees with pyproject.toml, and the files that build them are sound."""

import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

import aam
from aam.saved import named
from aam.saved.folder import FILES

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Names that conda-forge has for packages of PyPI.
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base", "PyYAML": "pyyaml"}


def test_the_recipe_has_the_dependencies_and_the_version_of_the_project():
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["context"]["version"] == aam.__version__
    assert recipe["context"]["python_min"] == PROJECT["requires-python"].removeprefix(">=")
    wanted = {re.sub(r"^[\w-]+", lambda name: CONDA.get(name[0], name[0]), each) for each in PROJECT["dependencies"]}
    got = {each.replace(" ", "") for each in recipe["requirements"]["run"] if not each.startswith("python ")}
    assert got == wanted


def test_models_that_come_with_aam_are_in_the_wheel_and_in_the_source_distribution():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    place, root = named.SHIPPED.relative_to(ROOT / "src" / "aam"), ROOT / "src" / "aam"
    patterns = build["package-data"]["aam"]
    declared = {path for pattern in patterns for path in root.glob(pattern)}
    # All that a model folder can hold, and what lies there now.
    assert all(any(fnmatch(f"{place}/aam-16s-v4/{name}", pattern) for pattern in patterns) for name in FILES)
    assert {path for path in named.SHIPPED.rglob("*") if path.is_file()} <= declared
    assert f"graft src/aam/{place}" in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()


def test_all_is_every_extra_but_those_of_developers():
    extras = PROJECT["optional-dependencies"]
    assert extras["all"] == [f"attention-all-microbes[{','.join(name for name in extras if name not in ('all', 'docs', 'dev'))}]"]


def test_what_installs_the_images_takes_the_torch_of_the_makefile():
    torch = re.search(r"^TORCH \?= (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[1]
    for name in ("Dockerfile", "packaging/aam.def", "packaging/install.sh"):
        assert f"TORCH={torch}" in (ROOT / name).read_text(encoding="utf-8").replace(":=", "="), name


def test_container_files_have_no_faults():
    run = subprocess.run(
        [sys.executable, ROOT / "packaging" / "check.py"], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("USER 1000\n", "", "runs as root"),
        ("COPY src ./src", "COPY source ./src", "COPY source: is not there"),
        ("COPY src ./src", "COPY docs ./src", ".dockerignore leaves it out"),
        ("python:3.11-slim-bookworm AS", "python AS", "name a version"),
        ('CMD ["--help"]', "CMD --help", "as a JSON list"),
        ("HEALTHCHECK", "# HEALTHCHECK", "there is none by aam doctor"),
    ],
)
def test_a_fault_in_the_dockerfile_is_found(before, after, fault, tmp_path):
    for name in ("Dockerfile", ".dockerignore", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", ".ci/run"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("packaging", "recipe"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "src").mkdir()
    (tmp_path / "docs").mkdir()
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "Dockerfile").write_text(text.replace(before, after), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, tmp_path / "packaging" / "check.py"], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode != 0
    assert fault in run.stderr
