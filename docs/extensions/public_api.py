"""The reference of the library: a page for each public name, made from its docstring when the site is built."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from made_pages import write_changed
from sphinx.application import Sphinx

import aam
import aam.options

# Sections of the index; a public name that is in none of them fails the build.
SECTIONS = {
    "Read": ("read_study", "read_table", "Study", "FeatureTable", "Phylogeny"),
    "Estimators": ("AAMRegressor", "AAMClassifier", "AAMEncoder", "EnsembleOptions"),
    "Use a model": ("load", "from_pretrained", "Fitted", "export", "write_card"),
    "Distances and diversity": ("beta_diversity", "alpha_diversity", "unifrac_matrix", "UniFrac"),
    "Benchmarks": ("read_suite", "run_benchmark"),
    "Problems and errors": ("Problem", "InputError"),
    "Networks": ("ASVEncoder", "SampleSequenceEncoder", "SequenceEncoder", "SequencePredictor"),
}
# What public functions return without being a name of `aam` itself.
ELSEWHERE = {"Fitted": "aam.saved.fitted"}

_INDEX = """# Python API

{count} public names, each with an example that runs. The examples run in a folder in which this was done first:

```python
from pathlib import Path

import aam
from aam.data.simulate import simulate, write_simulation

write_simulation(simulate(0, n_samples=60, n_asvs=60, length=40), Path("community"))
study = aam.read_study("community/table.biom", metadata="community/metadata.tsv")
quick = aam.EnsembleOptions(network_steps=6, network_min_epochs=1, forest_trees=5, boosting_rounds=5)
aam.AAMRegressor(ensemble_options=quick).fit(study, "age", groups="subject").save("age-model")
```

[AAM in Python](../python.md) shows how they go together.

{sections}

```{{toctree}}
:hidden:

{toctree}
```
"""

_OPTIONS = """# Options

Every option of AAM, once: frozen dataclasses in `aam.options`. The command line has them as flags (`test_fraction` is
`--test-fraction`); estimators and learners take the objects. A value that cannot be is an `aam.InputError` when the object is made.

```{eval-rst}
"""


def _summary(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def _page(name: str, thing: Any, module: str) -> str:
    kind = "autoclass" if inspect.isclass(thing) else "autofunction"
    full = f"{module}.{name}"
    members = "   :members:\n" if inspect.isclass(thing) else ""
    if name.startswith("AAM"):
        # What estimators share is of classes that nobody meets by name.
        members += "   :inherited-members: BaseEstimator\n"
    lines = [f"# {name}", "```{eval-rst}", f".. currentmodule:: {module}", "", f".. {kind}:: {full}", members.rstrip(), "```"]
    return "\n".join(line for line in lines if line is not None) + "\n"


def write_pages(app: Sphinx) -> None:
    """Write the pages into docs/api, where they differ from what is there."""
    listed = [name for names in SECTIONS.values() for name in names]
    public = {name for name in aam.__all__ if name != "__version__"}
    if missing := public - set(listed):
        raise ValueError(f"docs/extensions/public_api.py: no section has {', '.join(sorted(missing))}")
    things = {
        name: getattr(aam, name) if name in public else getattr(__import__(ELSEWHERE[name], fromlist=[name]), name)
        for name in listed
    }
    pages = {}
    sections = []
    for title, names in SECTIONS.items():
        rows = [f"| [`{_written(name)}`]({name}.md) | {_summary(things[name])} |" for name in names]
        sections += [f"## {title}", "| name | what it is |\n|---|---|\n" + "\n".join(rows)]
    for name, thing in things.items():
        pages[f"{name}.md"] = _page(name, thing, "aam" if name in public else ELSEWHERE[name])
    sections += ["## Options", "[The dataclasses of `aam.options`](options.md) hold every option of every command."]
    classes = sorted(
        name for name, thing in vars(aam.options).items() if inspect.isclass(thing) and name.endswith(("Options", "Objectives"))
    )
    shown = [name for name in classes if name != "EnsembleOptions"]
    pages["options.md"] = _OPTIONS + "\n".join(f".. autoclass:: aam.options.{name}\n   :members:\n" for name in shown) + "```\n"
    toctree = "\n".join([*listed, "options"])
    pages["index.md"] = _INDEX.format(count=len(public), sections="\n\n".join(sections), toctree=toctree)
    write_changed(Path(app.srcdir) / "api", pages)


def _written(name: str) -> str:
    return f"{ELSEWHERE[name]}.{name}" if name in ELSEWHERE else f"aam.{name}"


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
