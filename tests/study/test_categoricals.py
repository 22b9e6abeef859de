import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from aam.data.metadata import Metadata
from aam.errors import InputError
from aam.study.categoricals import Categoricals

FRAME = pd.DataFrame({"sex": ["m", None, "f"], "study": [10.0, 9.0, np.nan], "note": ["x", "y", "z"]}, index=["s1", "s2", "s3"])
METADATA = Metadata(FRAME)


def test_categoricals_code_unseen_and_missing_values_as_0():
    categoricals = Categoricals(**json.loads(json.dumps(asdict(Categoricals.fit(METADATA, ("study", "sex"))))))
    assert categoricals == Categoricals.fit(METADATA, ("study", "sex"))
    assert categoricals.vocabularies == {"study": ("10", "9"), "sex": ("f", "m")}
    assert categoricals.sizes == (3, 3)
    codes = categoricals.encode(METADATA)
    assert (codes.dtype, codes.tolist()) == (np.int64, [[1, 2], [2, 0], [0, 1]])
    # A new file may type the column otherwise; unseen values have no code of their own.
    new = pd.DataFrame({"sex": ["f", "other"], "study": ["9", "11"]}, index=["n1", "n2"])
    assert categoricals.encode(Metadata(new)).tolist() == [[2, 1], [0, 0]]


def test_categoricals_name_absent_columns():
    with pytest.raises(InputError, match="`categorical_columns`: the metadata has no column diet; columns: sex, study, note"):
        Categoricals.fit(METADATA, ("sex", "diet"))
    with pytest.raises(InputError, match="no column sex; columns: study"):
        Categoricals.fit(METADATA, ("sex",)).encode(Metadata(FRAME[["study"]]))


def test_vocabularies_do_not_depend_on_row_order():
    values = [f"value {number}" for number in range(20)]
    assert Categoricals.fit(Metadata(pd.DataFrame({"a": values[::-1]})), ("a",)).vocabularies["a"] == tuple(sorted(values))


def test_no_categoricals():
    assert Categoricals.fit(METADATA, ()).encode(METADATA).shape == (3, 0)
