"""The command reference: a page for each command, made from its options when the site is built."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from made_pages import write_changed
from sphinx.application import Sphinx

from aam.cli import COMMANDS, build_app
from aam.cli.recipes import OF_ENSEMBLE, OF_EVALUATED_TRANSFORMERS, OF_TRANSFORMER, SHOWN
from aam.cli.spelling import flag, spell

_INDEX = """# Commands

Every command and every option, made from the code when this site was built. In the terminal `aam COMMAND --help` shows the
options that matter and `aam COMMAND --help-all` every one.

| command | what it does |
|---|---|
{rows}

Every command that reads files takes `--config FILE`: a YAML file of options by name, such as the `config.yaml` that a run
writes. The command line wins over it.

| exit code | when |
|---|---|
| 0 | done |
| 2 | bad input or usage, and a full disk: one line, `error: what, where, what to do`; nothing half-written |
| 129, 130, 138, 143 | stopped by SIGHUP, Ctrl-C, SIGUSR1 or SIGTERM, after saving |

```{{toctree}}
:hidden:

{toctree}
```
"""


class _Panels:
    """What the help would show, kept instead of printed."""

    def __init__(self) -> None:
        self.panels: list[Any] = []

    def __call__(self, console: Any, options: Any, panel: Any) -> None:
        if panel.format == "parameter":
            self.panels.append(panel)

    def render_usage(self, console: Any, options: Any, usage: Any) -> None:
        """Ours is written by `_usage`."""

    def render_description(self, console: Any, options: Any, description: Any) -> None:
        """Ours is the docstring of the command."""


def panels_of(command: str) -> list[Any]:
    """Return the sections of a command's help, with all of its options."""
    collector = _Panels()
    app = build_app((command, "--help-all"))
    app.help_formatter = collector
    with contextlib.redirect_stdout(io.StringIO()):
        app.help_print([command])
    return collector.panels


def _text(description: Any) -> str:
    plain = getattr(getattr(description, "primary_renderable", description), "plain", None) or str(description or "")
    return _as_code(spell(" ".join(plain.split())))


def _as_code(text: str) -> str:
    """Flags and names with underscores in code, everything else as text."""
    escaped = re.sub(r"([<>*_\[\]|])", r"\\\1", text)
    return re.sub(
        r"(?<![\w-])(--[a-z][a-z0-9-]*[a-z0-9](?!-)|[a-z0-9]+(?:\\_[a-z0-9]+)+)",
        lambda found: f"`{found[1].replace(chr(92), '')}`",
        escaped,
    )


def _option(command: str, entry: Any) -> str:
    name = _name(entry)
    off = entry.default in (None, "False", "()")
    negative = [] if off else [name for name in entry.negative_names if name.startswith("--no-")]
    kind = f" {entry.metavar}" if entry.metavar and entry.positive_names else ""
    facts = [f"one of {', '.join(f'`{choice}`' for choice in entry.choices)}"] if entry.choices else []
    if entry.required:
        facts.append("required")
    elif not off:
        listed = re.findall("'([^']*)'", entry.default) if entry.default.startswith("('") else [entry.default]
        facts.append(f"default `{','.join(listed)}`")
    facts += [f"off with `{name}`" for name in negative]
    facts += _belongs(command, name)
    anchor = f"{command}-{name.removeprefix('--').lower()}"
    body = _text(entry.description) + (f" *({'; '.join(facts)})*" if facts else "")
    return f"({anchor})=\n`{name}{kind}`\n: {body}\n"


def _name(entry: Any) -> str:
    """The flag, or what an argument without one is called."""
    return entry.positive_names[0] if entry.positive_names else str(entry.positional_label)


def _belongs(command: str, name: str) -> list[str]:
    """Which recipe an option is of, where the other one refuses it."""
    owners = {}
    if command in ("train", "tune"):
        owners = {"of `--recipe ensemble`": OF_ENSEMBLE, "of `--recipe transformer`": OF_TRANSFORMER}
    elif command == "evaluate":
        owners = {"with `--transformers`": OF_EVALUATED_TRANSFORMERS}
    return [said for said, options in owners.items() if name in {flag(option) for option in options}]


def page_of(command: str) -> str:
    """Return a command's page, Markdown."""
    function = getattr(import_module(f"aam.cli.{command}"), command)
    first, _, rest = inspect.cleandoc(function.__doc__).partition("\n\n")
    rest = rest.partition("Parameters\n---")[0]
    panels = [panel for panel in panels_of(command) if panel.entries]
    entries = [entry for panel in panels for entry in panel.entries]
    # Arguments come first, then the options that must be there.
    must = [f"{_name(entry)}..." for entry in entries if not entry.positive_names]
    must += [f"{entry.positive_names[0]} {entry.metavar}" for entry in entries if entry.required and entry.positive_names]
    required = " ".join(must)
    usage = f"aam {command}{f' {required}' if required else ''} [OPTIONS]"
    parts = [f"# aam {command}", _as_code(" ".join(first.split())), f"```text\n{usage}\n```"]
    parts += [_as_code(" ".join(paragraph.split())) for paragraph in rest.split("\n\n") if paragraph]
    if command in SHOWN:
        names = ", ".join(f"[`{flag(name)}`](#{command}-{name.replace('_', '-')})" for name in SHOWN[command])
        parts.append(f"The options that `--help` shows: {names}.")
    for panel in panels:
        parts.append(f"## {panel.title}")
        parts += [_option(command, entry) for entry in panel.entries]
    return "\n\n".join(parts) + "\n"


def write_pages(app: Sphinx) -> None:
    """Write the pages into docs/commands, where they differ from what is there."""
    folder = Path(app.srcdir) / "commands"
    pages = {command: page_of(command) for command in COMMANDS}
    rows = "\n".join(f"| [`aam {name}`]({name}.md) | {summary} |" for name, summary in COMMANDS.items())
    pages["index"] = _INDEX.format(rows=rows, toctree="\n".join(COMMANDS))
    write_changed(folder, {f"{name}.md": text for name, text in pages.items()})


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
