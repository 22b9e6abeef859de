"""Checks the container files without a container engine: python packaging/check.py [--root FOLDER [--demo]].

Without --root it looks at them: rules for the Dockerfile (hadolint too, where it is), that what it copies is there, that shell
scripts parse (shellcheck, where it is), that the recipe renders (py-rattler-build, where it is).

With --root FOLDER (as root, with debootstrap) it also does what the engine would do, in a clean Debian in that folder: COPY, RUN,
USER, WORKDIR and the command of HEALTHCHECK, in a chroot for each stage. What it cannot say: whether the base image has what Debian
has, and what namespaces and limits change.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What python:3.11-slim-bookworm has beside Debian's minimum.
PYTHON = ("python3", "python3-venv", "ca-certificates")


@dataclass
class Stage:
    """One FROM of a Dockerfile: its steps, and what the environment is in them."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Instruction and arguments, continuation lines joined, comments left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", " ", lines).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile."""
    found: list[Stage] = []
    for word, rest in instructions(text):
        if word == "FROM":
            parts = rest.split()
            found.append(Stage(parts[0], parts[2] if len(parts) > 2 else str(len(found))))
        else:
            found[-1].steps.append((word, rest))
    return found


def faults(text: str) -> list[str]:
    """What is wrong with a Dockerfile, by rules that hadolint has, too, and by those of this project."""
    found = []
    built = stages(text)
    for stage in built:
        tag = stage.base.partition(":")[2]
        if not tag or tag == "latest":
            found.append(f"FROM {stage.base}: name a version of the base")
        for word, rest in stage.steps:
            found += [fault for instruction, wrong, fault in RULES if word == instruction and wrong(rest)]
            if word == "COPY" and "--from=" not in rest:
                found += uncopied(rest.split()[:-1])
    last = dict(built[-1].steps)
    if last.get("USER", "0") in ("0", "root"):
        found.append("USER: the last stage runs as root")
    if "doctor" not in last.get("HEALTHCHECK", ""):
        found.append("HEALTHCHECK: there is none by aam doctor")
    return found


def keeps_lists(command: str) -> bool:
    """Whether apt-get leaves more behind than what was asked for."""
    return "apt-get install" in command and ("--no-install-recommends" not in command or "rm -r" not in command)


# An instruction, whether its arguments are wrong, and what to do.
RULES: tuple[tuple[str, Callable[[str], object], str], ...] = (
    ("ADD", lambda rest: True, "ADD: COPY says what it does"),
    ("RUN", lambda rest: re.search(r"\bsudo\b|^cd ", rest), "RUN: no sudo and no cd; say USER and WORKDIR"),
    ("RUN", keeps_lists, "RUN: apt-get with --no-install-recommends, and remove the lists in the same RUN"),
    ("WORKDIR", lambda rest: not rest.startswith("/"), "WORKDIR: must be absolute"),
    ("CMD", lambda rest: not rest.startswith("["), "CMD: as a JSON list, so that signals reach it"),
    ("ENTRYPOINT", lambda rest: not rest.startswith("["), "ENTRYPOINT: as a JSON list, so that signals reach it"),
    ("ENV", lambda rest: re.search(r"TOKEN|PASSWORD|SECRET", rest), "ENV: holds a secret"),
)


def uncopied(sources: list[str]) -> list[str]:
    """Faults of what COPY names: it is not there, or the engine does not get it."""
    missing = [f"COPY {source}: is not there" for source in sources if not (ROOT / source).exists()]
    return missing + [f"COPY {source}: .dockerignore leaves it out" for source in sources if ignored(source)]


def ignored(source: str) -> bool:
    """Whether .dockerignore keeps a path from the engine; the last line that matches decides."""
    kept = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and (fnmatch.fnmatch(source, pattern) or source.startswith(f"{pattern}/")):
            kept = not line.startswith("!")
    return kept


def look() -> list[str]:
    """Faults of all files that need no root."""
    dockerfile = ROOT / "Dockerfile"
    found = [f"Dockerfile: {fault}" for fault in faults(dockerfile.read_text(encoding="utf-8"))]
    scripts = [*sorted((ROOT / "packaging").rglob("*.sh")), ROOT / ".ci" / "run"]
    checks = [["bash", "-n", str(script)] for script in scripts]
    for tool, files in (("hadolint", [dockerfile]), ("shellcheck", scripts)):
        beside = Path(sys.executable).parent / tool
        program = str(beside) if beside.exists() else shutil.which(tool)
        said(f"{tool}: {'runs' if program else 'is not here, left out'}")
        checks += [[program, str(path)] for path in files] if program else []
    for command in checks:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            found.append(f"{shlex.join(command)}: {run.stdout}{run.stderr}")
    definition = (ROOT / "packaging" / "aam.def").read_text(encoding="utf-8")
    files = re.search(r"%files\n(.*?)\n\n", definition, re.S)
    found += [f"aam.def: {line.split()[0]} is not there" for line in files[1].splitlines() if not (ROOT / line.split()[0]).exists()]
    return found + rendered()


def rendered() -> list[str]:
    """Faults of the recipe, as rattler-build renders it."""
    try:
        import rattler_build
    except ImportError:
        said("rattler-build: is not here, left out")
        return []
    said("rattler-build: renders the recipe")
    recipe = rattler_build.Stage0Recipe.from_file(ROOT / "recipe" / "recipe.yaml")
    return [] if len(recipe.render(rattler_build.VariantConfig())) == 1 else ["recipe.yaml: not one package"]


def build(folder: Path) -> None:
    """Do what an engine would do, in chroots below `folder`; an exception where a step fails."""
    built = stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    clean = folder / "base"
    if not (clean / "whole").exists():
        shutil.rmtree(clean, ignore_errors=True)
        downloads = folder / "downloads"
        downloads.mkdir(parents=True, exist_ok=True)
        # What it mounts goes with it.
        options = ["unshare", "--mount", "debootstrap", "--variant=minbase"]
        options += [f"--include={','.join(PYTHON)}", f"--cache-dir={downloads}"]
        subprocess.run([*options, "bookworm", str(clean)], check=True, timeout=3600)
        (clean / "whole").touch()
    for stage in built:
        place = folder / stage.name
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run(["cp", "-a", str(clean), str(place)], check=True)
        play(stage, place, folder)


def play(stage: Stage, place: Path, folder: Path) -> None:
    """The steps of one stage in its chroot."""
    variables, user, work = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}, "0", "/"
    for word, rest in stage.steps:
        if word in ("ARG", "ENV"):
            variables |= named(word, rest, variables["PATH"])
        elif word == "COPY":
            copy(rest.split(), place, work, folder)
        elif word == "WORKDIR":
            work = rest
            (place / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "USER":
            user = rest
        elif word == "RUN":
            inside(place, ["sh", "-c", rest], variables, user, work)
    if any(word == "ENTRYPOINT" for word, _ in stage.steps):
        health = dict(stage.steps)["HEALTHCHECK"].partition("CMD ")[2]
        for command in (["id"], ["aam", "--help"], json.loads(health), *([["aam", "demo"]] if DEMO else [])):
            inside(place, command, variables, user, work)


def named(word: str, rest: str, path: str) -> dict[str, str]:
    """Variables of ARG, which the environment here may set as --build-arg would, and of ENV."""
    pairs = [pair.partition("=")[::2] for pair in shlex.split(rest)]
    return {name: os.environ.get(name, value) if word == "ARG" else value.replace("$PATH", path) for name, value in pairs}


def copy(arguments: list[str], place: Path, work: str, folder: Path) -> None:
    """COPY, from the clone or from another stage."""
    root = ROOT
    if arguments[0].startswith("--from="):
        root = folder / arguments.pop(0).removeprefix("--from=")
    *sources, target = arguments
    there = place / (target if target.startswith("/") else f"{work}/{target}").lstrip("/")
    for source in sources:
        path = root / source.lstrip("/")
        if path.is_dir():
            shutil.copytree(
                path, there, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            into = there / path.name if target.endswith("/") else there
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, into)


def inside(place: Path, command: list[str], variables: dict[str, str], user: str, work: str) -> None:
    """A command in a chroot as a user, without anything of the environment outside but how to reach packages."""
    said(f"in {place.name}, as {user}: {shlex.join(command)[:100]}")
    reach = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    for path in ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf"):
        if Path(path).exists():
            (place / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place / path[1:])
    # Packages that lie on this machine's disk are reached by a copy.
    for link in filter(None, os.environ.get("PIP_FIND_LINKS", "").split()):
        if Path(link).is_dir() and not (place / link[1:]).exists() and user == "0":
            shutil.copytree(link, place / link[1:])
    line = f"cd {shlex.quote(work)} && exec {shlex.join(command)}"
    given = [f"{name}={value}" for name, value in {**reach, **variables}.items()]
    mounts = "mount -t proc proc proc; mount --bind /dev dev"
    chroot = ["chroot", f"--userspec={user}:{user}", ".", "env", "-i", *given, "sh", "-c", line]
    namespace = ["unshare", "--mount", "sh", "-c", f"cd {shlex.quote(str(place))} && {mounts} && exec {shlex.join(chroot)}"]
    subprocess.run(namespace, check=True, timeout=3000)


def said(text: str) -> None:
    """A line, at once."""
    print(text, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, help="build in clean Debians in this folder, too")
    parser.add_argument("--demo", action="store_true", help="with --root: aam demo as well")
    asked = parser.parse_args()
    DEMO = asked.demo
    if wrong := look():
        sys.exit("\n".join(wrong))
    if asked.root:
        build(asked.root.resolve())
    said("container files, scripts and recipe: no faults")
