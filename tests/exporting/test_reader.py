"""The code that reads graphs, as it stands on the page of the documentation and beside a graph, runs without AAM."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from biom import Table

from aam.exporting.export import export
from aam.learners.ensemble import EnsembleLearner
from aam.options import ReadOptions, TargetOptions
from aam.study.problem import pose
from tests.support.studies import QUICK, problem_in, simulated_study

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
reader = pytest.importorskip("aam.exporting.reader")


DOCS = Path(__file__).parents[2] / "docs" / "export.md"
# What must not be imported.
ALONE = "import sys; sys.modules['aam'] = sys.modules['torch'] = None\n"


def blocks(path):
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


def test_the_page_has_the_code_as_it_is():
    assert blocks(DOCS)[0] == Path(reader.__file__).read_text(encoding="utf-8")


def test_the_code_of_the_page_runs_as_it_stands(tmp_path):
    study = simulated_study(n_samples=20, n_asvs=30)
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem_in(study), np.arange(20))
    export(fitted, tmp_path / "model.onnx")
    table = Table(study.counts.toarray().T, study.sequences, study.table.sample_ids)
    (tmp_path / "table.biom").write_text(table.to_json("test"))
    code, use = blocks(DOCS)[:2]
    last = "np.save('said.npy', said['prediction'])\n"
    subprocess.run([sys.executable, "-c", ALONE + code + use + last], cwd=tmp_path, check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "said.npy"), fitted.predict(study), atol=1e-4)


def test_the_page_beside_a_graph_has_what_the_model_needs(tmp_path):
    study = simulated_study(n_samples=20, n_asvs=30).read_as(ReadOptions(sampling_depth=50))
    target = TargetOptions(metadata_column="age", categorical_columns=("sex",))
    fitted = EnsembleLearner(QUICK, jobs=1).fit(pose(study, target), np.arange(20))
    export(fitted, tmp_path / "ages.onnx")
    use, code = blocks(tmp_path / "ages.md")
    given = (
        "counts, sample_ids, sequences = np.load('counts.npy'), open('ids.txt').read().split(), open('asvs.txt').read().split()\n"
    )
    given += "import csv\nmetadata = list(csv.DictReader(open('metadata.csv')))\n"
    np.save(tmp_path / "counts.npy", study.counts.toarray())
    (tmp_path / "ids.txt").write_text("\n".join(study.table.sample_ids))
    (tmp_path / "asvs.txt").write_text("\n".join(study.sequences))
    pd.DataFrame(study.metadata).to_csv(tmp_path / "metadata.csv")
    last = "np.save('said.npy', said['prediction'])\n"
    subprocess.run([sys.executable, "-c", ALONE + code + given + use + last], cwd=tmp_path, check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "said.npy"), fitted.predict(study), atol=1e-4)
    plain = EnsembleLearner(QUICK, jobs=1).fit(problem_in(simulated_study(n_samples=20, n_asvs=30)), np.arange(20))
    export(plain, tmp_path / "plain.onnx")
    assert not {"drawn", "design_of"} & set(re.findall(r"def (\w+)", blocks(tmp_path / "plain.md")[1]))
