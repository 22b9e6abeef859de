"""Two processes train, validate and predict as one with batches twice as large; one that is killed ends the run, which goes on."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import psutil
import pytest
from biom import Table
from safetensors.numpy import load_file
from scipy.sparse import csr_matrix

from aam.cli import launch
from aam.data.simulate import simulate, write_simulation
from aam.data.table import read_table
from tests.support.commands import TRANSFORMER, aam

SIZE = ["--embedding-dim", 16, "--attention-heads", 2, "--attention-layers", 1, "--lr", 0.003, "--dropout", 0, "--no-cache"]
# Ranks draw the ASVs that they learn from each by itself.
SHAPE = [*SIZE, "--asv-gradients", 1]
SCRIPT = Path(__file__).with_name("ranks_script.py")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "aam")


@pytest.fixture(scope="module")
def community(tmp_path_factory):
    folder = tmp_path_factory.mktemp("community")
    # Neither the samples nor the training samples come out even.
    write_simulation(simulate(0, n_samples=61, n_asvs=60, length=40), folder)
    return folder


def start(*arguments, launcher=("-m", "aam")):
    """The command as a user starts it, one core to each process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def ran(process, code=0):
    said = process.communicate(timeout=240)[1]
    assert process.returncode == code, said
    return said


def write_biom(table, path):
    with h5py.File(path, "w") as handle:
        Table(csr_matrix(table.counts.T), table.feature_ids, table.sample_ids).to_hdf5(handle, "test")


def assert_same_run(one, two):
    """The losses and metrics of every epoch, in training and validation."""
    first, second = (json.loads((folder / "metrics.json").read_text())["history"] for folder in (one, two))
    assert len(first) == len(second)
    for before, after in zip(first, second, strict=True):
        assert before.keys() == after.keys()
        for name, value in before.items():
            # Ranks of points that are nearly alike; errors over a variance that is small.
            loose = 10 if name.endswith(("spearman", "r2")) else 1
            assert after[name] == pytest.approx(value, rel=1e-5 * loose, abs=1e-5 * loose), name


def table(folder, name):
    return pd.read_csv(folder / name, sep="\t", index_col=0)


def test_two_ranks_pretrain_as_one_process(community, tmp_path):
    """An epoch is one step of 28 and 27 samples, so the losses of 20 steps are seen."""
    tables = ["--table", community / "table.biom", "--tree", community / "tree.nwk"]
    options = [*tables, *SHAPE, "--epochs", 20, "--patience", 20, "--count-penalty", 0.1]
    two = start("pretrain", *options, "--batch-size", 28, "--output-dir", tmp_path / "two", launcher=TORCHRUN)
    ran(two)
    aam("pretrain", *options, "--batch-size", 56, "--output-dir", tmp_path / "one")
    assert_same_run(tmp_path / "one", tmp_path / "two")
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two")]
    for name, value in weights[0].items():
        np.testing.assert_allclose(value, weights[1][name], atol=0.02, err_msg=name)


@pytest.fixture(scope="module")
def unbroken(community, tmp_path_factory):
    """A run of one process that was never broken off, and its options but for the size of batches."""
    tables = ["--table", community / "table.biom", "--tree", community / "tree.nwk", "--metadata", community / "metadata.tsv"]
    target = ["--metadata-column", "disease", "--classifier", "--group-column", "subject", "--penalty", 0.5]
    options = [*tables, *target, *SHAPE, "--epochs", 8, "--patience", 8]
    folder = tmp_path_factory.mktemp("unbroken") / "one"
    aam(*TRANSFORMER, *options, "--batch-size", 8, "--output-dir", folder)
    return folder, options


def wait_for(process, text, log):
    """Until a run has said it, which has not ended."""
    deadline = time.monotonic() + 120
    while not re.search(text, log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)


def assert_same_end(one, two):
    assert_same_run(one, two)
    first, second = (table(folder, "predictions_probabilities.tsv") for folder in (one, two))
    assert list(first.index) == list(second.index)
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_a_killed_rank_ends_the_run_and_resume_goes_on_to_the_same_result(unbroken, tmp_path, own_signals):
    one, options = unbroken
    # A checkpoint after nearly every step, also of what both ranks have counted of an epoch.
    often = ["--checkpoint-minutes", 0.0001]
    arguments = [*TRANSFORMER, *options, "--batch-size", 4, "--devices", 2, *often, "--output-dir", tmp_path / "two"]
    process = start(*arguments)
    wait_for(process, "epoch 3/8", tmp_path / "two" / "aam.log")
    ranks = [child for child in psutil.Process(process.pid).children() if "--devices" in child.cmdline()]
    assert len(ranks) == 2
    ranks[1].send_signal(signal.SIGKILL)
    said = ran(process, code=128 + signal.SIGKILL)
    assert "Traceback" not in said
    assert len(re.findall("^error:", said, re.MULTILINE)) == 1
    assert not [child for child in ranks if child.is_running()]
    ran(start(*arguments, "--resume"))
    assert_same_end(one, tmp_path / "two")


def test_ranks_that_are_asked_to_stop_save_and_go_on_to_the_same_result(unbroken, tmp_path, own_signals):
    """The launcher hands signals on; nothing was saved since the epoch before."""
    one, options = unbroken
    arguments = [*TRANSFORMER, *options, "--batch-size", 4, "--devices", 2, "--output-dir", tmp_path / "two"]
    process = start(*arguments)
    for number, epoch in ((signal.SIGUSR1, 2), (signal.SIGTERM, 4)):
        wait_for(process, f"epoch {epoch}/8", tmp_path / "two" / "aam.log")
        process.send_signal(number)
        said = ran(process, code=128 + number)
        assert said.count(f"stopped by {number.name}; --resume goes on from here") == 1
        assert "Traceback" not in said
        process = start(*arguments, "--resume")
    ran(process)
    assert_same_end(one, tmp_path / "two")


def test_two_ranks_are_one_process_whatever_is_asked(community, tmp_path):
    """Several commands in one start of the ranks."""
    data = ["--table", community / "table.biom", *SHAPE]
    tree = ["--tree", community / "tree.nwk"]
    target = ["--metadata", community / "metadata.tsv", "--metadata-column", "age", "--group-column", "subject"]
    encoder = tmp_path / "encoder-1"
    sharded = ["pretrain", *data, *tree, "--strategy", "fsdp", "--stream", "--gradient-checkpointing"]
    runs = {
        "encoder": [[*sharded, "--epochs", 2], [*sharded, "--epochs", 4, "--resume"]],
        "alone": [[*TRANSFORMER, *data, *target, "--epochs", 3, "--accumulate", 2, "--max-steps", 5]],
        "frozen": [[*TRANSFORMER, *data, *target, "--pretrained-encoder", encoder, "--freeze-base", "--epochs", 3]],
    }
    # Fewer samples than ranks.
    one = read_table(community / "table.biom").select_samples(["S00007"])
    write_biom(one.drop_empty_features(), tmp_path / "one.biom")
    embeddings = {
        "one": ["--table", tmp_path / "one.biom"],
        "all": ["--table", community / "table.biom"],
        "asv": ["--table", community / "table.biom", "--level", "asv"],
    }

    def commands(ranks):
        for name, parts in runs.items():
            for part in parts:
                yield [*part, "--batch-size", 16 // ranks, "--output-dir", tmp_path / f"{name}-{ranks}"]
        for name, options in embeddings.items():
            yield ["embed", "--model", encoder, *options, "--output", tmp_path / f"{name}-{ranks}.tsv"]

    for command in commands(1):
        aam(*command)
    (tmp_path / "commands.json").write_text(json.dumps([[str(part) for part in command] for command in commands(2)]))
    ran(start(SCRIPT, tmp_path / "commands.json", launcher=TORCHRUN[:-2]))
    for name in runs:
        assert_same_run(tmp_path / f"{name}-1", tmp_path / f"{name}-2")
    for name in embeddings:
        one, two = (table(tmp_path, f"{name}-{ranks}.tsv") for ranks in (1, 2))
        assert list(one.index) == list(two.index)
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


def test_two_ranks_learn_several_targets_of_samples_that_lack_some_as_one_process(community, tmp_path):
    metadata = pd.read_csv(community / "metadata.tsv", sep="\t", dtype=str)
    # Such that ranks have different numbers of samples with a value.
    metadata.loc[::3, "age"] = np.nan
    metadata.loc[1::7, "sex"] = np.nan
    metadata.to_csv(tmp_path / "metadata.tsv", sep="\t", index=False)
    columns = ["--metadata-column", "age,sex", "--class-columns", "sex", "--epochs", 2, "--loss-type", "mse"]
    common = [
        *TRANSFORMER,
        *columns,
        "--table",
        community / "table.biom",
        "--metadata",
        tmp_path / "metadata.tsv",
        *SHAPE,
        "--ignore-missing",
    ]
    one, two = tmp_path / "one", tmp_path / "two"
    ran(start(*common, "--batch-size", 8, "--output-dir", one))
    ran(start(*common, "--batch-size", 4, "--devices", 2, "--output-dir", two))
    assert_same_run(one, two)
    for name in ("age", "sex"):
        before, after = (table(folder / "targets" / name, "predictions_intervals.tsv") for folder in (one, two))
        pd.testing.assert_index_equal(before.index, after.index)


def test_ranks_that_learn_from_some_of_their_asvs_learn_and_go_on_to_the_same_result(community, tmp_path):
    """Each draws its own, as pretraining does by default."""
    tables = ["--table", community / "table.biom", "--tree", community / "tree.nwk"]
    run = ["pretrain", *tables, *SIZE, "--batch-size", 8, "--epochs", 12, "--patience", 12, "--devices", 2]
    ran(start(*run, "--output-dir", tmp_path / "whole"))
    whole = json.loads((tmp_path / "whole" / "metrics.json").read_text())["history"]
    assert whole[-1]["train/unifrac_loss"] < 0.7 * whole[0]["train/unifrac_loss"]
    parts = [*run, "--output-dir", tmp_path / "parts"]
    process = start(*parts)
    wait_for(process, "epoch 4/12", tmp_path / "parts" / "aam.log")
    process.send_signal(signal.SIGTERM)
    ran(process, code=128 + signal.SIGTERM)
    ran(start(*parts, "--resume"))
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_bad_input_of_two_ranks_is_said_once(community, tmp_path):
    tables = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv"]
    arguments = [*TRANSFORMER, *tables, "--metadata-column", "height", "--devices", 2, "--output-dir", tmp_path / "bad"]
    said = ran(start(*arguments), code=2)
    # Where the machine is busy, one may wait for the other, and the second says it too after some seconds.
    lines = said.splitlines()
    assert sum(line.startswith("training a transformer from scratch") for line in lines) == 1, said
    assert {line.removesuffix(" (rank 1)") for line in lines if line.startswith("error:")} == {
        "error: the metadata has no column height; columns: subject, study, age, disease, sex"
    }
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pretrain", "--num-nodes", 2], "error: --num-nodes 2: start the command on each of them"),
        (
            ["evaluate", "--metadata", "m.tsv", "--metadata-column", "age", "--devices", 2],
            "error: --devices 2: evaluate runs on one",
        ),
    ],
)
def test_what_several_devices_cannot_do(community, tmp_path, arguments, said):
    tables = ["--table", community / "table.biom", "--output-dir", tmp_path / "out"]
    assert aam(*arguments, *tables, code=2).startswith(said)
    assert not (tmp_path / "out").exists()


def test_a_job_script_that_says_no_srun_is_told_so(community, tmp_path, monkeypatch):
    """Of two tasks it would wait for the other one, which nobody starts."""
    for name, value in {"NTASKS": "2", "PROCID": "0", "JOB_NAME": "job.sh"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    said = aam("pretrain", "--table", community / "table.biom", "--output-dir", tmp_path / "out", code=2)
    assert said.startswith("error: a job of several tasks, and this is none of them: start it by srun")


def test_a_name_that_is_too_long_is_one_line(community, tmp_path):
    tables = ["--table", community / "table.biom", "--tree", community / "tree.nwk"]
    said = aam("unifrac", *tables, "--output", tmp_path / f"{'x' * 300}.tsv", code=2)
    assert "Traceback" not in said
    assert "File name too long" in said


# As a notebook or shell in an allocation of two tasks has it.
ALLOCATION = {
    **dict.fromkeys(("NTASKS", "NTASKS_PER_NODE"), "2"),
    **dict.fromkeys(("PROCID", "LOCALID", "STEP_ID"), "0"),
    **{"JOB_ID": "1", "NNODES": "1", "JOB_NAME": "zsh", "NODELIST": "localhost"},
}
# The patience first.
IMPATIENT = """
import sys
from aam.parallel import meeting
meeting.PATIENCE_SECONDS, meeting._SOON_SECONDS = float(sys.argv[1]), 0.2
from aam.cli import main
sys.exit(main(sys.argv[2:]))
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return str(probe.getsockname()[1])


def pretrain_in(variables, community, output, patience=60):
    """Started where SLURM has set these variables."""
    tables = ["--table", community / "table.biom", "--tree", community / "tree.nwk", "--output-dir", output, *SHAPE, "--epochs", 1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **{f"SLURM_{name}": value for name, value in variables.items()}}
    command = [sys.executable, "-c", IMPATIENT, patience, "pretrain", *tables]
    return subprocess.Popen([str(word) for word in command], env=environment, stderr=subprocess.PIPE, text=True)


def test_ranks_that_do_not_come_are_named_and_not_waited_for_for_ever(community, tmp_path, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", free_port())
    said = ran(pretrain_in(ALLOCATION, community, tmp_path / "out", patience=1), code=2).splitlines()
    where = f"localhost:{os.environ['MASTER_PORT']}"
    assert said[0].startswith(f"waiting for 1 of 2 processes that SLURM announced (rank 0 of 2, at {where})")
    assert said[1:] == [
        f"error: 1 of the 2 processes that SLURM announced did not come to {where} within 1 seconds (rank 1): "
        "start them all (srun, torchrun), or run alone with --devices 1"
    ]


def test_signals_are_heard_while_ranks_are_waited_for(community, tmp_path, monkeypatch, own_signals):
    """Also by a rank whose first one never comes, and where another program answers in its place."""
    with socket.create_server(("localhost", 0)) as other:
        monkeypatch.setenv("MASTER_PORT", str(other.getsockname()[1]))
        process = pretrain_in({**ALLOCATION, "PROCID": "1", "LOCALID": "1"}, community, tmp_path / "out")
        other.settimeout(60)
        with other.accept()[0]:
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert process.wait(30) == 128 + signal.SIGTERM
            assert time.monotonic() - began < 10
        process.stderr.close()


def test_ranks_of_slurm_meet_and_one_device_is_alone(community, tmp_path, monkeypatch):
    """The second comes when the first has said that it waits."""
    monkeypatch.setenv("MASTER_PORT", free_port())
    first = pretrain_in(ALLOCATION, community, tmp_path / "out")
    assert first.stderr.readline().startswith("waiting for 1 of 2")
    second = pretrain_in({**ALLOCATION, "PROCID": "1", "LOCALID": "1"}, community, tmp_path / "out")
    assert "wrote" in ran(first)
    assert ran(second) == ""
    for name, value in ALLOCATION.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    tables = ["--table", community / "table.biom", "--tree", community / "tree.nwk", *SHAPE, "--epochs", 1]
    assert "waiting" not in aam("pretrain", *tables, "--devices", 1, "--output-dir", tmp_path / "alone")
    assert (tmp_path / "alone" / "model").is_dir()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"SLURM_NTASKS_PER_NODE": None}, "srun with 2 tasks on 1 machine, not told how many on each: add --ntasks-per-node 2"),
        ({"SLURM_NTASKS": "abc"}, "SLURM_NTASKS, which SLURM sets, is 'abc': must be a whole number"),
        ({"SLURM_PROCID": "x"}, "SLURM_PROCID, which SLURM sets, is 'x': must be a whole number"),
        ({"SLURM_PROCID": "2"}, "SLURM says that this is process 2 (from 0) of 2"),
        ({"SLURM_NNODES": "2", "SLURM_NTASKS": "3", "SLURM_NODEID": "0"}, "srun with 3 tasks on 2 machines"),
        ({"TORCHELASTIC_RUN_ID": "x"}, "RANK, which torchrun sets, is not set"),
        ({"SLURM_NTASKS": None, "OMPI_COMM_WORLD_SIZE": "4"}, "OMPI_COMM_WORLD_SIZE=4: started by MPI"),
        ({"SLURM_NTASKS": None, "JSM_NAMESPACE_SIZE": "4"}, "JSM_NAMESPACE_SIZE=4: started by LSF"),
        ({"SLURM_NODELIST": "no-such-host.invalid"}, "cannot wait at no-such-host.invalid:15001"),
    ],
)
def test_what_launchers_say_is_checked(community, tmp_path, monkeypatch, variables, said):
    for name, value in {**{f"SLURM_{name}": value for name, value in ALLOCATION.items()}, **variables}.items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launch, "_GRACE_SECONDS", 0)
    line = aam("pretrain", "--table", community / "table.biom", "--output-dir", tmp_path / "out", code=2)
    assert line.startswith(f"error: {said}")
    assert "--devices 1" in line
    assert line.count("\n") == 1


def test_what_runs_on_one_device_waits_for_nobody(community, tmp_path, monkeypatch):
    for name, value in ALLOCATION.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    data = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--metadata-column", "age"]
    for command, what in (("train", "an ensemble"), ("evaluate", "evaluate")):
        said = aam(command, *data, "--output-dir", tmp_path / command, code=2)
        assert said == f"error: {what} runs on one device, and SLURM announced 2 processes: --devices 1 runs alone\n"
    two = aam("train", *data, "--output-dir", tmp_path / "two", "--devices", 2, code=2)
    assert two.startswith("error: --devices belongs to --recipe transformer")
