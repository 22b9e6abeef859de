"""Files of explanations, read back with what reads them: pandas, scikit-bio, NumPy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from skbio.metadata import SampleMetadata
from skbio.stats.ordination import OrdinationResults

from aam.explain.files import COLOURS, importance_table, itol_colours, write_files
from aam.explain.ordination import biplot, first_components
from aam.explain.story import matrix_of
from aam.explain.summary import ranked
from tests.explain.stories import story_of, taxa_of


@pytest.fixture(scope="module")
def story():
    return story_of()


@pytest.fixture(scope="module")
def folder(story, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explanation")
    found, importance = taxa_of(story)
    write_files(replace(story, attributions=(*story.attributions, found), importances=(*story.importances, importance)), folder)
    return folder


def test_importance_is_what_qiime_2_imports(story, folder):
    """Its ImportanceFormat: a header, then lines of an id and numbers, none of them empty."""
    lines = (folder / "importance.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    assert rows[0][0] == "id"
    assert {len(row) for row in rows} == {len(rows[0])}
    numbers = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
    assert np.isfinite(numbers).all()
    metadata = SampleMetadata.load(str(folder / "importance.tsv"))
    assert {column.type for column in metadata.columns.values()} == {"numeric"}
    importance = story.importances[0]
    frame = metadata.to_dataframe()
    assert list(frame.index) == [importance.features.ids[row] for row in ranked(importance)]
    assert list(frame["importance"]) == sorted(frame["importance"], reverse=True)
    expected = dict(zip(importance.features.ids, importance.mean[:, 0], strict=True))
    np.testing.assert_allclose(frame["mean"], [expected[name] for name in frame.index], rtol=1e-5)


def test_what_is_not_known_is_no_empty_cell(story):
    importance = story.importances[0]
    unknown = np.full_like(importance.spread, np.nan)
    some = importance.low.copy()
    some[ranked(importance)[0]] = np.nan
    table = importance_table(replace(importance, members_low=unknown, members_high=unknown, low=some))
    assert not table.isna().to_numpy().any()
    assert "importance_low" not in table


def test_attributions_as_table_and_as_arrays_are_those_of_the_story(story, folder):
    found = story.attributions[0]
    table = pd.read_csv(folder / "attributions.tsv", sep="\t", dtype={"sample": str, "feature": str})
    assert list(table.columns) == ["sample", "feature", "value", "low", "high", "method"]
    wide = table.pivot(index="sample", columns="feature", values="value").fillna(0.0)
    expected = pd.DataFrame(matrix_of(found, 0).toarray(), story.sample_ids, story.asv_ids)
    np.testing.assert_allclose(wide, expected.loc[wide.index, wide.columns], rtol=1e-5)
    with np.load(folder / "attributions.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["value"], found.value)
        assert tuple(arrays["features"][arrays["feature"]]) == tuple(story.asv_ids[k] for k in found.feature)
        assert tuple(arrays["samples"]) == story.sample_ids
    assert set(pd.read_csv(folder / "attributions_taxa.tsv", sep="\t")["feature"]) == {
        "d__Bacteria; g__Blautia",
        "d__Bacteria; g__Dorea; s__",
    }


def test_empress_and_itol_name_every_feature_with_its_direction(story, folder):
    importance = story.importances[0]
    signed = dict(zip(importance.features.ids, importance.mean[:, 0], strict=True))
    metadata = SampleMetadata.load(str(folder / "empress.tsv")).to_dataframe()
    assert metadata.index.name.lower() == "feature id"
    assert all((sign == "raises") == (signed[name] >= 0) for name, sign in metadata["sign"].items())
    bars, colours = ((folder / name).read_text().splitlines() for name in ("itol_bars.txt", "itol_colours.txt"))
    assert (bars[0], colours[0]) == ("DATASET_SIMPLEBAR", "DATASET_COLORSTRIP")
    for lines in (bars, colours):
        head = lines[: lines.index("DATA")]
        assert head[1] == "SEPARATOR TAB"
        assert {"DATASET_LABEL", "COLOR"} <= {line.split("\t")[0] for line in head}
        assert {line.split("\t")[0] for line in lines[lines.index("DATA") + 1 :]} == set(metadata.index)
    strip = dict(line.split("\t")[:2] for line in colours[colours.index("DATA") + 1 :])
    assert all((colour == COLOURS[1]) == (signed[name] >= 0) for name, colour in strip.items())


def test_what_acts_either_way_is_so_named_where_there_is_any(story, tmp_path):
    importance = story.importances[0]
    assert "either way" not in itol_colours(story, importance)
    agreement, first = importance.agreement.copy(), int(ranked(importance)[0])
    agreement[first] = 0.29
    write_files(replace(story, importances=(replace(importance, agreement=agreement),)), tmp_path)
    signs = SampleMetadata.load(str(tmp_path / "empress.tsv")).to_dataframe()["sign"]
    assert list(signs.index[signs == "either way"]) == [importance.features.ids[first]]
    lines = (tmp_path / "itol_colours.txt").read_text().splitlines()
    assert f"{importance.features.ids[first]}\t{COLOURS[0]}\teither way" in lines
    assert "LEGEND_LABELS\traises\tlowers\teither way" in lines
    assert {len(line.split("\t")) for line in lines if line.startswith("LEGEND_") and "TITLE" not in line} == {4}


def test_nucleotides_are_numbered_from_one(story, folder):
    table = pd.read_csv(folder / "nucleotides.tsv", sep="\t")
    found = story.nucleotides[0]
    assert list(table["position"]) == list(range(1, 41))
    assert "".join(table["nucleotide"]) == found.letters
    own = [row[f"to_{row['nucleotide']}"] for _, row in table.iterrows()]
    assert own == [0] * 40
    assert set(table["method"]) == {found.method}
    np.testing.assert_allclose(table["value"], found.by_position, rtol=1e-5)


def test_the_biplot_is_the_decomposition_of_the_attributions(story, folder):
    read = OrdinationResults.read(str(folder / "ordination.txt"))
    matrix = matrix_of(story.attributions[0], 0).toarray()
    centred = matrix - matrix.mean(axis=0)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(read.eigvals, strength[:3] ** 2 / (len(matrix) - 1), rtol=1e-6)
    np.testing.assert_allclose(np.abs(read.samples), np.abs(left[:, :3] * strength[:3]), rtol=1e-6, atol=1e-9)
    assert list(read.samples.index) == list(story.sample_ids)
    # Arrows are covariances with the axes, up to their lengths: the first of a feature that is there.
    name = read.features.index[0]
    column = centred[:, story.asv_ids.index(name)]
    scores = left[:, :3] * np.sqrt(len(matrix) - 1)
    np.testing.assert_allclose(np.abs(column @ scores / (len(matrix) - 1)), np.abs(read.features.iloc[0]), rtol=1e-6)


def test_there_is_no_biplot_of_samples_that_are_alike(story):
    found = story.attributions[0]
    assert biplot(replace(story, attributions=(replace(found, value=np.zeros_like(found.value)),))) is None


def test_a_large_matrix_is_decomposed_as_a_small_one_is():
    draws = np.random.default_rng(0)
    matrix = draws.normal(size=(70, 90)) * np.geomspace(9, 0.1, 90)
    left, strength, right = first_components(matrix)
    np.testing.assert_allclose(strength, np.linalg.svd(matrix, compute_uv=False)[:3], rtol=1e-8)
    np.testing.assert_allclose(matrix @ right.T, left * strength, rtol=1e-6, atol=1e-8)


def test_several_outputs_have_columns_of_their_own(tmp_path):
    story = story_of(outputs=("log-odds of a", "log-odds of b", "log-odds of c"))
    write_files(story, tmp_path)
    table = pd.read_csv(tmp_path / "importance.tsv", sep="\t", index_col=0)
    parts = table[[f"importance {name}" for name in story.importances[0].output_names]]
    np.testing.assert_allclose(table["importance"], parts.sum(axis=1), rtol=1e-4)
    found = pd.read_csv(tmp_path / "attributions.tsv", sep="\t")
    assert set(found["output"]) == set(story.importances[0].output_names)
    assert len(found) == 3 * len(story.attributions[0].sample)
