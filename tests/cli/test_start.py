"""What a command finds wrong before it starts: values that are empty, places that are not there; at no cost."""

import subprocess
import sys

import pytest

from aam.data.table import read_table
from aam.distances.registry import MEASURES
from aam.parallel.accelerators import may_have_gpu
from aam.saved import named
from tests.support.commands import aam
from tests.support.released import RELEASED

MODEL = RELEASED / "0.1.0" / "ensemble"
# Runs a command, and writes what has been imported to standard output.
PROGRAM = """
import sys
from aam.cli import main
code = main(sys.argv[1:])
sys.stdout.write(" ".join(sys.modules))
sys.exit(code)
"""
HEAVY = {"torch", "lightning", "pandas", "skbio", "scipy", "sklearn", "numpy", "matplotlib"}
# For applying a model.
NEEDLESS = {"lightning", "torchmetrics", "sklearn", "matplotlib", "tensorboard", "scipy.stats", "skbio"}
COMPILER = {"torch._dynamo", "sympy"}
# For comparing samples.
UNUSED = {"torch", "lightning", "pandas", "skbio", "biom", "sklearn", "matplotlib", "rich.progress", "scipy.stats"}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Words of each command that would do, in a folder that has a file, a folder that is not empty, and little else."""
    monkeypatch.chdir(tmp_path)
    # Whichever models come with AAM, messages name none.
    monkeypatch.setattr(named, "SHIPPED", tmp_path / "shipped")
    for name in ("table.tsv", "metadata.tsv", "tree.nwk", "full/mine.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    data = {"table": "table.tsv"}
    learned = {**data, "metadata": "metadata.tsv", "metadata-column": "age", "output-dir": "out"}
    return {
        "predict": {**data, "model": MODEL, "output": "p.tsv"},
        "embed": {**data, "model": MODEL, "output": "e.npy"},
        "unifrac": {**data, "tree": "tree.nwk", "output": "d.tsv"},
        "distances": {**data, "tree": "tree.nwk", "metric": "faith_pd", "output": "d.tsv"},
        "pretrain": {**data, "output-dir": "out"},
        "train": learned,
        "evaluate": learned,
    }


def words_of(commands, command, option, value):
    return [command, *(word for name, given in {**commands[command], option: value}.items() for word in (f"--{name}", str(given)))]


EMPTY = [
    ("predict", "table"), ("predict", "model"), ("predict", "output"), ("predict", "metadata"), ("embed", "output"),
    ("unifrac", "tree"), ("unifrac", "output"), ("distances", "tree"),
    ("pretrain", "output-dir"), ("pretrain", "unifrac-matrix"), ("pretrain", "config"),
    ("pretrain", "cache-dir"), ("train", "where"), ("train", "metadata-column"), ("train", "more-tables"), ("train", "seed"),
    ("evaluate", "test-table"), ("evaluate", "rep-seqs"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "option"), EMPTY)
def test_an_empty_value_may_be_a_variable_that_is_not_set(commands, command, option):
    said = aam(*words_of(commands, command, option, ""), code=2)
    assert said == f"error: --{option} is empty: is a shell variable not set? Give a value, or leave the option out\n"


PLACES = [
    ("predict", "table", "nowhere.tsv", "--table nowhere.tsv: does not exist; check the path to this file"),
    ("predict", "table", "full", "--table full: is a folder, and a file is wanted"),
    ("predict", "table", "table.tsv/x", "--table table.tsv/x: Not a directory; check the path to this file"),
    ("predict", "model", "nowhere", "--model nowhere: does not exist; check the path to this folder"),
    ("predict", "model", "table.tsv", "--model table.tsv: is a file, and a folder is wanted"),
    ("predict", "output", ".", "--output .: is a folder; name a file in it"),
    ("predict", "output", "full", "--output full: is a folder; name a file in it"),
    ("predict", "output", "p.csv", "--output p.csv: must end in .tsv or .qza or .h5ad"),
    ("predict", "output", "table.tsv", "--output table.tsv: is read by this command; choose another name"),
    ("predict", "output", "table.tsv/p.tsv", "--output table.tsv/p.tsv: cannot write there (table.tsv is a file, not a folder)"),
    ("predict", "output", "/dev/stdout", "--output /dev/stdout: standard output is not written to; name a file that ends in "
     ".tsv or .qza or .h5ad"),
    ("predict", "output", "-", "- is no file: nothing is read from standard input or written to standard output; name a file"),
    ("unifrac", "output", "-", "- is no file: nothing is read from standard input or written to standard output; name a file"),
    ("embed", "output", "metadata.tsv", "--output metadata.tsv: exists; choose another name or --overwrite"),
    ("pretrain", "output-dir", "full", "--output-dir full: is not empty; choose another, or --overwrite, or --resume"),
    ("pretrain", "output-dir", "table.tsv", "--output-dir table.tsv: is a file, not a folder"),
    ("pretrain", "cache-dir", "table.tsv", "--cache-dir table.tsv: is a file, not a folder"),
    ("pretrain", "config", "full", "--config full: is a folder, and a file is wanted"),
    ("train", "metadata", "nowhere", "--metadata nowhere: does not exist; check the path to this file"),
    ("evaluate", "tree", "nowhere", "--tree nowhere: does not exist; check the path to this file"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "option", "value", "error"), PLACES)
def test_places_are_looked_at_first(commands, command, option, value, error):
    assert aam(*words_of(commands, command, option, value), code=2) == f"error: {error}\n"


QUOTES = "takes one value (put it between quotes where it has blanks)"
WORDS = [
    (["--group-column", "subject", "site"], f"site: is one word too many; --group-column {QUOTES}"),
    (["--group-column=subject", "site"], f"site: is one word too many; --group-column {QUOTES}"),
    (["--overwrite", "yes"], "yes: is one word too many; --overwrite takes no value"),
    (["--seed"], "--seed needs a value"),
    (["--seed", "1", "--seed", "2"], "--seed is given more than once: it takes one value"),
    (["--seed", "1.5"], "--seed 1.5: must be a whole number"),
    (["--seed", "many"], "--seed many: must be a whole number"),
    (["--test-fraction", "half"], "--test-fraction half: must be a number"),
    (["--no-trees=3"], "--no-trees 3: must be yes or no, or left out: it is on where it is given"),
    (["--ouput-dir", "x"], "Unknown option: --ouput-dir. Did you mean --output-dir?"),
]


@pytest.mark.parametrize(("words", "error"), WORDS)
def test_words_that_are_not_understood(commands, words, error):
    assert aam(*words_of(commands, "train", "table", "table.tsv"), *words, code=2) == f"error: {error}\n"


def test_a_command_comes_first():
    assert aam("--table", "table.tsv", code=2).startswith(
        "error: --table: a command comes first (demo, unifrac, distances, pretrain,"
    )
    assert aam("demo", "folder", code=2) == "error: folder: stands alone; every value follows its option (--table FILE)\n"


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("predict", "table", "nowhere"),
        ("predict", "output", "metadata.tsv"),
        ("train", "output-dir", "full"),
        ("embed", "model", "x"),
    ],
)
def test_what_is_wrong_with_a_place_is_said_before_anything_is_imported(commands, command, option, value):
    words = words_of(commands, command, option, value)
    run = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("error: --")
    assert not HEAVY & set(run.stdout.split())


@pytest.mark.parametrize(("command", "model"), [("predict", "ensemble"), ("embed", "encoder")])
def test_a_model_is_applied_without_what_trains_one(tmp_path, command, model):
    """Lightning, scikit-learn and PyTorch's compiler took four of the six seconds that a prediction of a small table took."""
    folder = RELEASED / "0.1.0"
    data = ["--table", folder / "table.biom", "--model", folder / model, "--output", tmp_path / "out.tsv"]
    words = [command, *map(str, data)]
    run = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=120, check=True)
    assert not (NEEDLESS | COMPILER if model == "ensemble" else NEEDLESS) & set(run.stdout.split())


@pytest.mark.skipif(may_have_gpu(), reason="a GPU is worth loading PyTorch")
@pytest.mark.parametrize(
    ("metric", "needless"),
    [
        ("unweighted", UNUSED | {"numba"}),
        ("weighted_normalized", UNUSED),
        ("weighted_unnormalized", UNUSED),
        ("generalized", UNUSED),
        ("bray_curtis", UNUSED),
        *(
            (metric, UNUSED | {"numba"})
            for metric in ("jaccard", "aitchison", "robust_aitchison", "hellinger", "faith_pd", "shannon", "richness")
        ),
    ],
)
def test_whole_tables_are_measured_without_pytorch(tmp_path, metric, needless):
    """Its import took most of the seconds of a table of two thousand samples."""
    data = ["--table", RELEASED / "0.1.0" / "table.biom", "--output", tmp_path / "d.tsv"]
    table = read_table(data[1])
    (tmp_path / "tree.nwk").write_text("(" + ",".join(f"{name}:1" for name in table.feature_ids) + ");")
    command = "unifrac" if MEASURES[metric].module == "unifrac" else "distances"
    words = [command, *map(str, data), "--metric", metric]
    if MEASURES[metric].on_tree:
        words += ["--tree", str(tmp_path / "tree.nwk")]
    run = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=120, check=True)
    assert (tmp_path / "d.tsv").exists()
    assert not needless & set(run.stdout.split())
