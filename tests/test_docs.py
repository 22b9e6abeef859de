"""The pages and docstrings: examples run, links lead somewhere, and the reference knows every public name."""

import doctest
import importlib.util
import inspect
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import aam
from aam.cli import main
from aam.data.simulate import simulate, write_simulation
from aam.saved.fitted import Fitted

ROOT = Path(__file__).parent.parent
PUBLIC = [name for name in aam.__all__ if name != "__version__"]


@pytest.fixture(scope="module")
def examples_folder(tmp_path_factory):
    """What docs/api says was done first: a community in a folder, and a model of it."""
    folder = tmp_path_factory.mktemp("examples")
    write_simulation(simulate(0, n_samples=60, n_asvs=60, length=40), folder / "community")
    study = aam.read_study(folder / "community" / "table.biom", metadata=folder / "community" / "metadata.tsv")
    quick = aam.EnsembleOptions(network_steps=6, network_min_epochs=1, forest_trees=5, boosting_rounds=5)
    aam.AAMRegressor(ensemble_options=quick).fit(study, "age", groups="subject").save(folder / "age-model")
    return folder


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_of_a_public_name_runs(name, examples_folder, monkeypatch):
    if name == "export":
        pytest.importorskip("onnxruntime")
    monkeypatch.chdir(examples_folder)
    thing = getattr(aam, name)
    tests = doctest.DocTestParser().get_doctest(inspect.getdoc(thing), {}, name, None, None)
    assert tests.examples, f"aam.{name} has no example"
    assert not any(example.options.get(doctest.SKIP) for example in tests.examples)
    assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(tests).failed == 0


def test_the_reference_of_the_site_has_every_public_name():
    pytest.importorskip("sphinx")
    spec = importlib.util.spec_from_file_location("public_api", ROOT / "docs" / "extensions" / "public_api.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs" / "extensions"))
        page = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(page)
    listed = {name for names in page.SECTIONS.values() for name in names}
    assert listed == {*PUBLIC, Fitted.__name__}


def pages():
    return sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/tutorials/*.md")])


def anchors(page):
    """Of the headings of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = [re.sub(r"[`*]", "", heading) for heading in re.findall(r"^#+ (.*)$", text, re.M)]
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


# Folders that the build of the site makes.
MADE = re.compile(r"docs/(commands|api|project)/")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target, anchor in re.findall(r"\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)", text):
        path = (page.parent / target) if target else page
        shown = os.path.relpath(path, ROOT)
        if MADE.match(shown):
            continue
        assert path.exists(), f"{page.name}: {target} is not there"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{page.name}: {target} has no heading #{anchor}"


@pytest.fixture(scope="module")
def faq_folder(tmp_path_factory):
    """The inputs that docs/faq.md names: 24 samples, 12 ASVs, each file but the first four with the oddity that it is named for."""
    folder, rng = tmp_path_factory.mktemp("faq"), np.random.default_rng(0)
    samples, asvs = [f"S{number + 1:02d}" for number in range(24)], [f"ASV_{number + 1}" for number in range(12)]
    counts = rng.integers(1, 40, (12, 24)) * (rng.random((12, 24)) < 0.7)
    rows = ["\t".join([name, *map(str, row)]) for name, row in zip(asvs, counts, strict=True)]
    (folder / "table.tsv").write_text("\n".join(["#OTU ID\t" + "\t".join(samples), *rows]) + "\n")
    (folder / "seqs.fasta").write_text("".join(f">{name}\n{''.join(rng.choice(list('ACGT'), 60))}\n" for name in asvs))
    halves = [",".join(f"{name}:0.1" for name in half) for half in (asvs[:6], asvs[6:])]
    tree = f"(({halves[0]}):0.2,({halves[1]}):0.2);"
    (folder / "tree.nwk").write_text(tree)
    (folder / "topology.nwk").write_text(re.sub(r":[0-9.]+", "", tree))

    def metadata(name, ages, sites):
        cells = zip(samples, ages, sites, (f"P{number // 2:02d}" for number in range(24)), strict=True)
        (folder / name).write_text("\n".join(["sample-id\tage\tsite\tsubject", *("\t".join(row) for row in cells)]) + "\n")

    ages, sites = [str(20 + number) for number in range(24)], ["gut", "skin"] * 12
    metadata("metadata.tsv", ages, sites)
    metadata("missing.tsv", ["NA" if number % 8 == 0 else age for number, age in enumerate(ages)], sites)
    metadata("rare.tsv", ages, ["vagina", *sites[1:]])
    return folder


def errors_of_the_faq():
    text = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    return re.findall(r"^```\n\$ (aam .*)\n(error: .*)\n```", text, re.M)


@pytest.mark.parametrize(("command", "error"), errors_of_the_faq(), ids=lambda text: text[:60])
def test_an_error_of_the_page_is_what_the_command_says(command, error, faq_folder, monkeypatch, capsys):
    monkeypatch.chdir(faq_folder)
    assert main(shlex.split(command)[1:]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == error


def test_the_page_of_questions_has_errors():
    assert len(errors_of_the_faq()) > 10
