"""``aam export``: what it writes, and bad input, in one line."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from aam.learners.ensemble import EnsembleLearner
from tests.support.commands import aam
from tests.support.released import RELEASED
from tests.support.studies import QUICK, problem_in, simulated_study

WITHOUT = """
import sys
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "onnx" else found(name, *more)
from aam.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_onnx_is_asked_for_where_it_is_not_installed(tmp_path):
    words = ["export", "--model", str(RELEASED / "0.1.0" / "number"), "--output", str(tmp_path / "m.onnx")]
    run = subprocess.run([sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == "error: export needs onnx: pip install 'attention-all-microbes[onnx]'\n"
    assert list(tmp_path.iterdir()) == []


def test_a_graph_what_it_is_and_how_to_use_it(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    study = simulated_study(n_samples=20, n_asvs=30)
    EnsembleLearner(QUICK, jobs=1).fit(problem_in(study, classes=True), np.arange(20)).save(tmp_path / "model")
    output = tmp_path / "new" / "load.onnx"
    said = aam("export", "--model", tmp_path / "model", "--output", output, "--weights", "int8")
    assert f"wrote the graph to {output} (" in said
    assert sorted(path.name for path in output.parent.iterdir()) == ["load.json", "load.md", "load.onnx"]
    about = json.loads(output.with_suffix(".json").read_text())
    assert about["target"]["classes"] == ["few", "many"]
    assert (about["kind"], about["weights"], about["opset"]) == ("ensemble", "int8", 20)
    assert sum(about["members"].values()) == pytest.approx(1)
    said = aam("export", "--model", tmp_path / "model", "--output", output, code=2)
    assert said == f"error: --output {output}: exists; choose another name or --overwrite\n"
    output.unlink()
    said = aam("export", "--model", tmp_path / "model", "--output", output, code=2)
    assert said == f"error: --output {output.with_suffix('.json')}: exists; choose another name or --overwrite\n"
    aam("export", "--model", tmp_path / "model", "--output", output, "--overwrite")
    assert json.loads(output.with_suffix(".json").read_text())["weights"] == "float32"


def test_bad_input_is_one_line_and_nothing_is_written(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    model, output = RELEASED / "0.1.0" / "number", tmp_path / "m.onnx"
    several = tmp_path / "several"
    shutil.copytree(model, several / "targets" / "age" / "model")
    (several / "targets.txt").write_text("age\n")
    for words, error in {
        ("--model", str(model), "--output", str(tmp_path / "m.pt")): f"--output {tmp_path / 'm.pt'}: must end in .onnx",
        ("--model", str(tmp_path / "no"), "--output", str(output)): f"--model {tmp_path / 'no'}: does not exist; check the path",
        (
            "--model",
            str(several),
            "--output",
            str(output),
        ): f"--model {several}: holds a model for each of several targets; give one",
        ("--model", str(model), "--output", str(output), "--weights", "int4"): "--weights",
        ("--model", str(RELEASED / "0.1.0" / "ensemble"), "--output", str(output)): "--model: an ensemble of version 0.1.0, whose",
    }.items():
        said = aam("export", *words, code=2)
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        assert error in said
    assert [path.name for path in tmp_path.iterdir()] == ["several"]
