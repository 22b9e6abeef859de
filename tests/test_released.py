"""Model folders of every released version say what they said then."""

import json

import numpy as np
import pandas as pd
import pytest

from aam.cli import main
from tests.support.released import RELEASED

KEPT = [(version.name, name) for version in sorted(RELEASED.iterdir()) for name in ("encoder", "number", "classes", "ensemble")]


@pytest.mark.parametrize(("version", "name"), KEPT)
def test_models_of_released_versions(tmp_path, version, name):
    folder = RELEASED / version
    output = tmp_path / f"{name}.tsv"
    data = ["--model", folder / name, "--table", folder / "table.biom", "--output", output]
    command = ["embed", *data] if name == "encoder" else ["predict", *data, "--metadata", folder / "metadata.tsv"]
    assert main([str(word) for word in command]) == 0
    for written in folder.glob(f"{name}*.tsv"):
        then, now = (pd.read_csv(path, sep="\t", index_col=0) for path in (written, tmp_path / written.name))
        assert list(then.index) == list(now.index)
        # What a version did not know is not claimed; the truth is in the metadata.
        assert [*then.columns, *(column for column in now if column in ("true", "error"))] == list(now.columns)
        for column in then:
            if pd.api.types.is_float_dtype(then[column]):
                np.testing.assert_allclose(now[column], then[column], rtol=1e-3, atol=1e-4, err_msg=column)
            elif column != "set":
                assert list(then[column]) == list(now[column]), column
            else:
                sets_are_equal(folder / name, then, now)


def sets_are_equal(model, then, now):
    """Prediction sets, but for samples with a class whose probability is the limit itself: another processor may round it to the
    other side.
    """
    limit = 1 - json.loads((model / "config.json").read_text())["target"]["interval"]
    probabilities = pd.read_csv(model.parent / f"{model.name}_probabilities.tsv", sep="\t", index_col=0).to_numpy()
    clear = (np.abs(probabilities - limit) > 1e-4).all(axis=1)
    assert clear.mean() > 0.5
    assert list(then["set"][clear]) == list(now["set"][clear])
