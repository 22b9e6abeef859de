"""Every command and every block of Python of the README and the pages runs, on small stand-ins for the files that they name."""

import re
import shlex
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import aam
from aam.cli import build_app, main
from aam.data.metadata import read_metadata
from aam.data.simulate import simulate, write_simulation
from aam.saved.annotated import write_annotated
from tests.support.commands import SMALL
from tests.support.commands import aam as run

ROOT = Path(__file__).parent.parent
# Their own tests run the others: `aam demo`, docs/python.md but for what needs files, the tutorials in the build of the site,
# errors of docs/faq.md, docs/r.md.
PAGES = [
    "README.md",
    *(
        f"docs/{name}.md"
        for name in ("get-started", "guide", "explain", "export", "index", "install", "other-tools", "pretrained", "scaling")
    ),
]
# Stand-ins are small, and so is what learns from them. An option that a page has with another value is replaced.
ENSEMBLE = {"--network-steps": "6", "--forest-trees": "5", "--boosting-rounds": "5"}
TRANSFORMER = {"--epochs": "1", "--embedding-dim": "16", "--attention-heads": "2", "--attention-layers": "1"}
QUICK = {
    "train": ENSEMBLE,
    "train --recipe transformer": TRANSFORMER,
    "evaluate": {**ENSEMBLE, "--folds": "2"},
    "tune": {**ENSEMBLE, "--trials": "2"},
    "pretrain": TRANSFORMER,
    "pretrain --clades": {
        **{"--epochs": "1", "--embedding-dim": "16", "--clades": "20"},
        **{"--batch-size": "12", "--groups-in-batch": "2"},
    },
}
# docs/export.md shows a module, which tests/exporting runs.
OWN_PYTHON = ("docs/export.md",)
NEEDS = {"export": "onnxruntime", "mlflow": "mlflow"}
STARTED_BY_OTHERS = ("docker run ", "torchrun ", "srun ", "exec ", "apptainer ")


def blocks(page, language=""):
    """Blocks of a page, with lines that go on put together."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [block.replace("\\\n", " ") for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)]


def commands(block, started=("",)):
    """Arguments of `aam` in the lines of a block that begin with it, or with what starts it."""
    lines = [line.removeprefix("$ ") for line in block.splitlines()]
    begins = tuple(start or "aam " for start in started)
    words = [shlex.split(line, comments=True) for line in lines if line.startswith(begins)]
    return [line[line.index("aam") + 1 :] for line in words if "aam" in line]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Small files under the names that pages use; models, where a page uses one that another page made."""
    folder = tmp_path_factory.mktemp("world")
    simulation = simulate(0, n_samples=72, n_asvs=48, n_subjects=24, length=40)
    ecam, table = folder / "ecam", simulation.table
    write_simulation(replace(simulation, table=replace(table, counts=table.counts * 10)), ecam)
    about, rng = simulation.metadata, np.random.default_rng(0)
    about = about.assign(
        day_of_life=about["age"] * 10,
        host_subject_id=about["subject"],
        delivery=np.where(about["disease"] == "case", "Cesarean", "Vaginal"),
        mom_child=np.where(np.arange(72) < 66, "C", "M"),
        age_months=np.where(about["disease"] == "case", "6", "12"),
        ibd=about["disease"],
        body_mass_index=rng.normal(22, 3, len(about)).round(1),
        C=about["age"],
        G=about["subject"],
    )
    about.to_csv(ecam / "metadata.tsv", sep="\t")
    sequences = simulation.table.feature_ids
    (ecam / "seqs.fasta").write_text("".join(f">{name}\n{name}\n" for name in sequences))
    (folder / "taxonomy.qza").write_text(
        "Feature ID\tTaxon\n" + "".join(f"{name}\td__Bacteria; p__P{row % 3}\n" for row, name in enumerate(sequences))
    )
    study = aam.read_study(ecam / "table.biom")
    for name in ("x.h5ad", "new.h5ad"):
        write_annotated(folder / name, study, read_metadata(ecam / "metadata.tsv"))
    for name in ("oral", "qadabra", "ibd"):
        shutil.copytree(ecam, folder / name)
    for name in ("table.biom", "table.qza", "new-table.qza", "new_table.biom", "new.biom", "T"):
        shutil.copy(ecam / "table.biom", folder / name)
    for name in ("seqs.fasta", "rep-seqs.qza", "new-rep-seqs.qza", "new_seqs.fasta", "new.fasta"):
        shutil.copy(ecam / "seqs.fasta", folder / name)
    (folder / "runs").mkdir()
    for name in ("a", "b"):
        shutil.copy(ecam / "table.biom", folder / "runs" / f"{name}.biom")
    shutil.copy(ecam / "tree.nwk", folder / "N")
    for name in ("metadata.tsv", "M"):
        shutil.copy(ecam / "metadata.tsv", folder / name)
    data = ["--table", ecam / "table.biom", "--metadata", ecam / "metadata.tsv", "--group-column", "host_subject_id"]
    quick = [word for option in QUICK["train"].items() for word in option]
    children = ["--where", "[mom_child]='C'"]
    run("train", *data, *children, "--metadata-column", "day_of_life", *quick, "--output-dir", folder / "ecam-day")
    run("pretrain", *data, "--tree", ecam / "tree.nwk", "--epochs", 1, *SMALL, "--output-dir", folder / "encoder")
    shutil.copytree(folder / "encoder", folder / "ecam-encoder")
    for name in ("age-1", "age-2", "day"):
        shutil.copytree(folder / "ecam-day", folder / name)
    suite = next(block for block in blocks("docs/guide.md") if block.startswith("# suite.yaml"))
    suite = suite.replace("folds: 5", "folds: 2").replace("[0.25, 0.5, 1]", "[0.5, 1]")
    models = "models: [trivial, 'linear model, presence', AAM ensemble]"
    few = "ensemble: {network_steps: 6, forest_trees: 5, boosting_rounds: 5}"
    (folder / "suite.yaml").write_text(f"{suite}{models}\n{few}\n")
    return folder


def quick(arguments):
    """A command with less training."""
    kind = arguments[0] + (" --recipe transformer" if "transformer" in arguments else "")
    kind += " --clades" if "--clades" in arguments else ""
    # The shape of a model is that of the encoder that it starts from.
    known = {"--epochs": "1"} if "--pretrained-encoder" in arguments else QUICK.get(kind, {})
    for option, value in known.items():
        if option in arguments:
            arguments[arguments.index(option) + 1] = value
        else:
            arguments += [option, value]
    return arguments


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(page, world, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number, block in enumerate(blocks(page)):
        folder = tmp_path / str(number)
        shutil.copytree(world, folder)
        monkeypatch.chdir(folder)
        for arguments in map(quick, commands(block)):
            if arguments[0] == "demo" or any(word in arguments and not find_spec(package) for word, package in NEEDS.items()):
                continue
            if "--output-dir" in arguments and "--resume" not in arguments:
                shutil.rmtree(arguments[arguments.index("--output-dir") + 1], ignore_errors=True)
            assert main(arguments) == 0, f"{shlex.join(arguments)}\n{capsys.readouterr().err[-2000:]}"


@pytest.mark.parametrize("page", PAGES)
def test_options_of_commands_that_others_start_exist(page):
    for block in blocks(page):
        for arguments in commands(block, STARTED_BY_OTHERS):
            command, bound, _ = build_app().parse_args(arguments, print_error=False, exit_on_error=False)
            assert command is not None and bound is not None


def programs():
    """Blocks of Python by page, those of a page one after the other; of docs/python.md what its own test leaves out."""
    of_pages = {page: blocks(page, "python") for page in PAGES if page not in OWN_PYTHON}
    needs_files = [block for block in blocks("docs/python.md", "python") if block.startswith("# needs files")]
    return {page: "\n".join(found) for page, found in {**of_pages, "docs/python.md": needs_files}.items() if found}


@pytest.mark.slow
@pytest.mark.parametrize("page", programs())
def test_the_python_of_a_page_runs(page, world, tmp_path, monkeypatch):
    shutil.copytree(world, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    if page == "README.md":  # which makes the model that other pages use
        shutil.rmtree("ecam-day")
    exec(programs()[page], {"__name__": "page"})


@pytest.mark.slow
def test_the_estimator_of_the_guide_is_a_model(world, tmp_path, monkeypatch):
    shutil.copytree(world, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    program = next(block for block in blocks("docs/guide.md") if block.startswith("# my_models.py"))
    Path("my_models.py").write_text(program)
    said = re.search(r"`(estimators: \{.*?\})` adds it", (ROOT / "docs" / "guide.md").read_text(encoding="utf-8"))[1]
    suite = Path("suite.yaml").read_text()
    Path("suite.yaml").write_text(suite[: suite.index("estimators:")] + said + "\nmodels: [trivial]\n")
    run("benchmark", "--suite", "suite.yaml", "--output-dir", "compared", "--jobs", 1)
    assert "sparse linear" in Path("compared/scores.tsv").read_text()


def test_pages_have_commands():
    assert sum(len(commands(block)) for page in PAGES for block in blocks(page)) > 30
    assert sum(len(commands(block, STARTED_BY_OTHERS)) for page in PAGES for block in blocks(page)) > 4
