"""The command line as a person meets it: real processes for what is printed, the real parser for what it makes of options."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from aam import __version__
from aam.cli import COMMANDS, build_app, main
from aam.cli.config_file import refuse_change, write_config
from aam.cli.configs import PretrainConfig, TrainConfig
from aam.cli.ending import end_of
from aam.cli.options import OutputOptions
from aam.cli.run import log
from aam.cli.run.folder import prepare_output
from aam.cli.spelling import spell
from aam.disk.locks import unlock
from aam.disk.places import check_output_file
from aam.disk.writing import write_tsv
from aam.errors import InputError

DATA = "--table t --metadata m --metadata-column age --output-dir out"
TRAIN = [
    "train",
    "--recipe",
    "transformer",
    "--table",
    "t.biom",
    "--metadata",
    "m.tsv",
    "--metadata-column",
    "age",
    "--output-dir",
    "out",
]


def aam(*arguments, timeout=60):
    return subprocess.run([sys.executable, "-m", "aam", *arguments], capture_output=True, text=True, timeout=timeout, check=False)


def options(*arguments):
    """Parse a command line to the options that its command would be called with."""
    _, bound, _ = build_app().parse_args(list(arguments))
    return bound.arguments["config"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_quick_and_complete(command):
    start = time.perf_counter()
    run = aam(*command.split(), "--help")
    seconds = time.perf_counter() - start
    assert run.returncode == 0
    assert run.stdout.startswith("Usage: aam")
    assert run.stderr == ""
    assert seconds < 5  # well under 1 s on an idle machine; importing torch alone takes longer than this on a busy one


def test_help_has_the_groups_in_the_order_of_the_work():
    text = aam("train", "--help-all").stdout
    groups = ("Input", "Tree and distances", "Metadata", "Model", "Objectives", "Training", "Output")
    places = [text.index(f"─ {name} ─") for name in groups]
    assert places == sorted(places)
    assert "--empty-" not in text
    assert "--no-classifier" not in text
    assert "--no-cache" in text


def test_version():
    assert aam("--version").stdout.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nope", 'Unknown command "nope"'),
        ("train", "--table required"),
        ("train --table t.biom", "--metadata-column required"),
        ("train --tabel t.biom", "Unknown option: --tabel. Did you mean --table?"),
        ("train --table", "--table needs a value"),
        ("train --table t --metadata-column age --output-dir out", "--metadata is missing"),
        (f"train --recipe transformer {DATA} --freeze-base", "--freeze-base needs --pretrained-encoder"),
        (f"train {DATA} --epochs 50", "--epochs belongs to --recipe transformer"),
        (f"evaluate {DATA} --lr 1", "--lr belongs to --transformers"),
        ("pretrain --table t --output-dir out --epochs many", "--epochs many: must be a whole number"),
        ("pretrain --table t --output-dir out --epochs 0", "--epochs 0: must be at least 1"),
        ("pretrain --table t --output-dir out --bogus 1", "Unknown option: --bogus"),
        ("pretrain --config nowhere.yaml", "--config nowhere.yaml: does not exist"),
        ("unifrac --table t --tree n --output o.tsv --metric euclidean", 'Invalid value "euclidean" for --metric'),
        ("unifrac --table t --tree n --output o.tsv", "--table t: does not exist"),
        ("unifrac --table nowhere.biom --tree n --output o.tsv", "nowhere.biom"),
        ("demo --seed -1", "--seed -1: must be from 0 to 4294967295"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = aam(*arguments.split())
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert message in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_config_file_runs_the_same_again(tmp_path):
    path = tmp_path / "config.yaml"
    given = options(
        *TRAIN, "--classifier", "--categorical-columns", "sex", "body site", "--where", "[mom_child]='C'", "--lr", "3e-4",
        "--sampling-depth", "1000", "--rarefy-each-epoch", "--mixed-precision", "no", "--overwrite",
    )  # fmt: skip
    write_config(path, given)
    again = options("train", "--config", str(path))
    absolute = replace(
        given,
        config=path,
        data=replace(given.data, table=Path("t.biom").absolute()),
        samples=replace(given.samples, metadata=(Path("m.tsv").absolute(),)),
        output=OutputOptions(output_dir=Path("out").absolute()),
    )
    assert isinstance(again, TrainConfig)
    assert again == absolute
    write_config(tmp_path / "second.yaml", again)
    assert (tmp_path / "second.yaml").read_text() == path.read_text()


def test_config_file_of_pretrain_runs_the_same_again(tmp_path):
    path = tmp_path / "config.yaml"
    given = options("pretrain", "--table", "/t.biom", "--output-dir", "/out", "--count-penalty", "0.5", "--max-steps", "7")
    write_config(path, given)
    assert isinstance(given, PretrainConfig)
    assert options("pretrain", "--config", str(path)) == replace(given, config=path)


def test_command_line_wins_over_the_config_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("epochs: 7\nlr: 1e-4\nclassifier: yes\nmixed_precision: no\ncategorical_columns: [sex]\nsampling_depth: null\n")
    read = options(*TRAIN, "--config", str(path), "--epochs", "3", "--no-classifier", "--categorical-columns", "site")
    assert (read.fit.epochs, read.fit.lr, read.compute.mixed_precision) == (3, 1e-4, "no")
    assert (read.target.classifier, read.target.categorical_columns) == (False, ("site",))
    assert read.reads.sampling_depth is None


@pytest.mark.parametrize("content", ["bogus: 3\n", "epochs: [1\n", "- epochs\n", "epochs: many\n", "\xff"])
def test_bad_config_file_is_one_line(content, tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_bytes(content.encode("latin-1"))
    assert main([*TRAIN, "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert str(path) in error


def earlier_run(folder):
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("aam.log", "config.yaml", "predictions.tsv", "checkpoints/last.ckpt", "notes.txt"):
        (folder / name).touch()
    return folder


def test_output_folder_is_made_with_its_parents(tmp_path):
    folder = prepare_output(OutputOptions(output_dir=tmp_path / "a" / "b"))
    assert [entry.name for entry in folder.iterdir()] == ["aam.log"]
    prepare_output(OutputOptions(output_dir=folder))  # a run that stopped at its input left nothing to lose


def test_output_folder_of_an_earlier_run_is_refused(tmp_path):
    folder = earlier_run(tmp_path / "run")
    with pytest.raises(InputError, match="is not empty"):
        prepare_output(OutputOptions(output_dir=folder))
    assert (folder / "predictions.tsv").exists()


def test_overwrite_removes_only_what_runs_write(tmp_path):
    folder = prepare_output(OutputOptions(output_dir=earlier_run(tmp_path / "run"), overwrite=True))
    assert sorted(entry.name for entry in folder.iterdir()) == ["aam.log", "notes.txt"]


def test_overwrite_spares_folders_of_others_and_inputs(tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    with pytest.raises(InputError, match="no earlier run"):
        prepare_output(OutputOptions(output_dir=tmp_path / "mine", overwrite=True))
    folder = earlier_run(tmp_path / "run")
    (folder / "tree.nwk").touch()
    for read in (folder / "tree.nwk", folder / "checkpoints" / "last.ckpt", folder):
        with pytest.raises(InputError, match="would remove"):
            prepare_output(OutputOptions(output_dir=folder, overwrite=True), inputs=[read])
    assert (folder / "tree.nwk").exists()


def test_resume_needs_a_folder_of_a_run_or_none(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(InputError, match="no earlier run"):
        prepare_output(OutputOptions(output_dir=tmp_path / "mine", resume=True))
    prepare_output(OutputOptions(output_dir=tmp_path / "new", resume=True))
    folder = earlier_run(tmp_path / "run")
    assert prepare_output(OutputOptions(output_dir=folder, resume=True)) == folder
    assert (folder / "predictions.tsv").exists()


def test_a_folder_in_use_is_refused_whatever_is_asked(tmp_path):
    folder = earlier_run(tmp_path / "run")
    hold = "import sys, pathlib; from aam.disk.locks import lock; lock(pathlib.Path(sys.argv[1])); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.read(1)
        for asked in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(InputError, match="another run is writing there"):
                prepare_output(OutputOptions(output_dir=folder, **asked))
        assert (folder / "predictions.tsv").exists()
        other.kill()
    prepare_output(OutputOptions(output_dir=folder, overwrite=True))
    unlock()


def test_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match="`output_dir="):
            prepare_output(OutputOptions(output_dir=folder))
    with pytest.raises(InputError, match="cannot write there"):
        check_output_file(tmp_path / "file" / "out.tsv", overwrite=False, suffixes=(".tsv",))


def test_output_file_is_not_overwritten_unasked(tmp_path):
    path = tmp_path / "out.tsv"
    path.touch()
    with pytest.raises(InputError, match="exists"):
        check_output_file(path, overwrite=False, suffixes=(".tsv",))
    check_output_file(path, overwrite=True, suffixes=(".tsv",))


def test_an_output_does_not_replace_an_input(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("counts")
    (tmp_path / "link.tsv").symlink_to(path)
    for output, beside in ((path, ()), (tmp_path / "link.tsv", ()), (tmp_path / "other.tsv", (path,))):
        with pytest.raises(InputError, match="is read by this command"):
            check_output_file(output, overwrite=True, suffixes=(".tsv",), beside=beside, inputs=[(path,)])
    for command in (["unifrac", "--tree", path], ["embed", "--model", tmp_path], ["predict", "--model", tmp_path]):
        assert main([*map(str, command), "--table", str(path), "--output", str(path), "--overwrite"]) == 2
    assert path.read_text() == "counts"


def test_a_tilde_is_ones_home_wherever_it_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "options.yaml").write_text("table: ~/none.biom\ntree: ~/none.nwk\n")
    for words in (["--table=~/none.biom", "--tree", "~/none.nwk"], ["--config=~/options.yaml"]):
        assert main(["unifrac", *words, "--output", "~/d.tsv"]) == 2
        assert f"error: --table {tmp_path}/none.biom: does not exist" in capsys.readouterr().err
    # A file may have such a name.
    monkeypatch.chdir(tmp_path)
    write_tsv(Path("~odd.tsv"), pd.DataFrame({"a": [1]}), index=False)
    assert (tmp_path / "~odd.tsv").read_text() == "a\n1\n"


def test_words_that_are_no_text_are_refused(capsys):
    assert main(["unifrac", "--table", os.fsdecode(b"caf\xe9.biom"), "--tree", "t", "--output", "o.tsv"]) == 2
    assert "is not UTF-8" in capsys.readouterr().err


def test_what_ends_a_run_is_in_its_log(tmp_path, capsys):
    (tmp_path / "table.tsv").write_text("no table")
    run = ["pretrain", "--table", tmp_path / "table.tsv", "--tree", tmp_path / "table.tsv", "--output-dir", tmp_path / "run"]
    assert main([*map(str, run)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert (tmp_path / "run" / "aam.log").read_text().splitlines()[-1].endswith(error)


def test_a_fault_of_ours_is_in_the_log_with_its_traceback(tmp_path):
    log.set_up_logging()
    log.log_to_file(tmp_path / "aam.log")
    with pytest.raises(ZeroDivisionError):
        end_of(ZeroDivisionError("by zero"))
    log.end_file_logs()
    assert (tmp_path / "aam.log").read_text().rstrip().endswith("ZeroDivisionError: by zero")


def test_log_lines_go_to_stderr_and_file(tmp_path, capsys):
    log.set_up_logging()
    log.log_to_file(tmp_path / "aam.log")
    log.LOGGER.getChild("data").info("42 samples")
    log.LOGGER.warning("3 left out")
    log.set_up_logging()
    log.LOGGER.info("the next run")
    assert capsys.readouterr().err == "42 samples\nwarning: 3 left out\nthe next run\n"
    lines = (tmp_path / "aam.log").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["INFO 42 samples", "WARNING 3 left out"]


TABLE = "#OTU ID\ta\tb\tc\nACGT\t3\t0\t1\nACGA\t2\t5\t0\nTTTT\t0\t4\t9\n"
TREE = "((ACGT:1,ACGA:2):1,TTTT:4);"


@pytest.fixture
def community(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("table.tsv").write_text(TABLE)
    Path("tree.nwk").write_text(TREE)
    return ["unifrac", "--table", "table.tsv", "--tree", "tree.nwk"]


def test_unifrac_writes_the_matrix(community):
    run = aam(*community, "--metric", "weighted_unnormalized", "--output", "new/d.tsv")
    assert run.returncode == 0, run.stderr
    header, *rows = (line.split("\t") for line in Path("new/d.tsv").read_text().splitlines())
    assert header[1:] == [row[0] for row in rows] == ["a", "b", "c"]
    # By hand: a = (3/5, 2/5, 0) and b = (0, 5/9, 4/9) differ by 3/5, 7/45 and 4/9 on the tips (1, 2, 4), by 4/9 on their node (1).
    assert float(rows[0][2]) == pytest.approx(3 / 5 + 2 * 7 / 45 + 4 * 4 / 9 + 4 / 9, abs=1e-9)
    assert "3 samples, 3 ASVs" in run.stderr


@pytest.mark.parametrize("name", ["d.h5", "d.npy"])
def test_unifrac_replaces_an_output_only_when_asked(community, name):
    assert main([*community, "--output", name]) == 0
    assert main([*community, "--output", name]) == 2
    assert main([*community, "--output", name, "--overwrite", "--sampling-depth", "5"]) == 0


def test_unifrac_leaves_out_shallow_samples_only_when_asked(community, capsys):
    deep = [*community, "--output", "d.tsv", "--sampling-depth", "9"]
    assert main(deep) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
    assert main([*deep, "--ignore-missing"]) == 0
    assert Path("d.tsv").read_text().split("\n")[0].split("\t")[1:] == ["b", "c"]


@pytest.mark.timeout(60)
def test_ctrl_c_is_exit_code_130_without_traceback(community, own_signals):
    os.mkfifo("slow.tsv")
    arguments = [sys.executable, "-m", "aam", "unifrac", "--table", "slow.tsv", "--tree", "tree.nwk", "--output", "d.tsv"]
    with (
        subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as run,
        Path("slow.tsv").open("w"),  # waits until the command reads it
    ):
        run.send_signal(signal.SIGINT)
        assert run.communicate(timeout=60)[1] == "stopped by SIGINT\n"
    assert run.returncode == 130


def test_options_in_messages_are_spelled_as_the_command_line_takes_them():
    said = "`seed=-1`, `missing_values=NA`, `missing_values=-`, `missing_values='#N/A'`, `cache=False`, `ignore_missing`"
    flags = "--seed -1, --missing-values NA, --missing-values=-, --missing-values '#N/A', --no-cache, --ignore-missing"
    assert spell(said) == flags
    for words in (["NA", "#N/A"], ["NA,unknown"], ["-9"]):
        assert options(*TRAIN, "--missing-values", *words).samples.missing_values == tuple(words)
    assert options(*TRAIN, "--missing-values=-", "--metadata", "a.tsv", "b.csv").samples.missing_values == ("-",)


def test_a_run_of_an_older_version_is_resumed_though_it_did_not_know_an_option(tmp_path):
    path = tmp_path / "config.yaml"
    given = options("pretrain", "--table", "/t.biom", "--output-dir", "/out")
    write_config(path, given)
    lines = [line for line in path.read_text().splitlines(keepends=True) if "missing_values" not in line]
    path.write_text("".join(lines))
    refuse_change(path, given)
    with pytest.raises(InputError, match="`resume` with another --missing-values: it was not given, now it is"):
        refuse_change(path, replace(given, samples=replace(given.samples, metadata=("m.tsv",), missing_values=("NA",))))
