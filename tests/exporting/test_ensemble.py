"""A graph of an ensemble says what the ensemble says, of samples and ASVs that it was not fitted to, member by member."""

from dataclasses import replace

import numpy as np
import pytest

from aam.data.sequences import tokenize
from aam.ensemble.calibration import Calibration
from aam.ensemble.members import MEMBERS
from aam.ensemble.weights import Combination
from aam.errors import InputError
from aam.exporting.export import export
from aam.learners.ensemble import EnsembleLearner
from aam.options import ReadOptions, TargetOptions
from aam.saved.load import load
from aam.study.problem import pose
from tests.support.released import RELEASED
from tests.support.studies import QUICK, problem_in, simulated_study, without_sequences

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
reader = pytest.importorskip("aam.exporting.reader")


LEARNED = np.arange(40)


@pytest.fixture(scope="module")
def study():
    return simulated_study()


def others(study):
    """Samples that were never seen, of ASVs of three lengths of which some are known; what differs in each is what is dynamic."""
    new = simulated_study(seed=1, n_samples=7, n_asvs=30, length=33)
    known = study.sequences[:12]
    sequences = tuple(known[number] if number < 12 else text[: 20 + number % 3] for number, text in enumerate(new.sequences))
    tokens = tokenize(sequences, new.table.feature_ids, 150)
    return replace(new, sequences=sequences, asv_tokens=tokens, metadata=study.metadata.iloc[:7].set_index(new.metadata.index))


def said_by_graph(fitted, study, folder, size=64, **options):
    """What the graph says of all samples of a study, by the reader that is written beside it."""
    session, about = reader.load(export(fitted, folder / "m.onnx", overwrite=True, **options))
    counts = study.counts.toarray()
    if about["reads"]["sampling_depth"] or about["reads"]["token_limit"]:
        counts = reader.drawn(about, counts, study.table.sample_ids)
    design = None
    if about["covariates"]:
        rows = study.metadata.astype(object).where(study.metadata.notna(), None).to_dict("records")
        design = reader.design_of(
            about, [{name: value if value is None else str(value) for name, value in row.items()} for row in rows]
        )
    features = study.sequences if about["features"] == "sequences" else study.table.feature_ids
    return reader.run(session, about, features, counts, design, size)[about["outputs"][0]]


def agrees(fitted, folder, *studies, sizes=(64,)):
    for study in studies:
        said = fitted.predict(study)
        for size in sizes:
            atol = 1e-5 if said.ndim > 1 else 1e-4
            np.testing.assert_allclose(said_by_graph(fitted, study, folder, size), said, atol=atol, rtol=0)


@pytest.mark.parametrize("classes", [False, True])
def test_each_member_says_what_it_says(study, tmp_path, classes):
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem_in(study, classes=classes), LEARNED)
    for name in MEMBERS:
        alone = replace(fitted, ensemble=replace(fitted.ensemble, combination=Combination({name: 1.0})), _seen={})
        agrees(alone, tmp_path, study, others(study))
    # One by one, and in twos: nothing depends on what else is in a batch.
    agrees(fitted, tmp_path, others(study), sizes=(1, 2))


@pytest.mark.parametrize("combination", ["middle", "calibrated"])
def test_what_members_say_is_combined_as_it_is_in_the_model(study, tmp_path, combination):
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem_in(study, classes=combination == "calibrated"), LEARNED)
    ensemble = fitted.ensemble
    weights = dict.fromkeys(ensemble.members, 1 / len(ensemble.members))
    if combination == "middle":
        chosen = replace(ensemble.combination, weights=weights, middle=1 / 3)
    else:
        each = {name: Calibration(0.5 + 0.1 * number, (0.2, -0.2)) for number, name in enumerate(weights)}
        chosen = Combination(weights, None, each)
    agrees(replace(fitted, ensemble=replace(ensemble, combination=chosen), _seen={}), tmp_path, study, others(study))


def test_three_classes_and_covariates_of_which_some_are_missing(study, tmp_path):
    metadata = study.metadata.copy()
    metadata["three"] = np.array(["a", "b", "c"], dtype=object)[np.arange(48) % 3]
    metadata["weight"] = np.where(np.arange(48) % 5 == 0, np.nan, np.arange(48) / 7)
    study = replace(study, metadata=metadata)
    target = TargetOptions(metadata_column="three", classifier=True, categorical_columns=("sex",), numeric_columns=("weight",))
    fitted = EnsembleLearner(QUICK, jobs=1).fit(pose(study, target), LEARNED)
    assert [column["column"] for column in fitted_about(fitted, tmp_path)["covariates"]] == ["sex", "sex", "weight", "weight"]
    agrees(fitted, tmp_path, study, others(study))


def fitted_about(fitted, folder):
    return reader.load(export(fitted, folder / "m.onnx", overwrite=True))[1]


def test_logarithms_a_range_and_reads_that_are_drawn(study, tmp_path):
    study = study.read_as(ReadOptions(sampling_depth=60, token_limit=9, max_bp=36))
    target = TargetOptions(metadata_column="age", target_transform="log-zscore")
    fitted = EnsembleLearner(QUICK, jobs=1).fit(pose(study, target), LEARNED)
    about = replace(fitted.target, target=replace(fitted.target.target, low=30.0, high=45.0))
    fitted = replace(fitted, info=replace(fitted.info, target=about), _seen={})
    said = fitted.predict(study)
    assert {30.0, 45.0} & set(said)
    np.testing.assert_allclose(said_by_graph(fitted, study, tmp_path), said, atol=1e-4, rtol=0)


def test_features_without_sequences(study, tmp_path):
    study = without_sequences(study)
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem_in(study), LEARNED)
    about = fitted_about(fitted, tmp_path)
    assert (about["features"], about["inputs"]) == ("ids", ["known", "index", "counts"])
    agrees(fitted, tmp_path, study)


@pytest.mark.parametrize("options", [{"known_asv_samples": 1000}, {"tree_prevalence": 0.999}])
def test_nothing_known_is_nothing_seen(study, tmp_path, options):
    fitted = EnsembleLearner(replace(QUICK, **options), jobs=1).fit(problem_in(study), LEARNED)
    for name in fitted.ensemble.members:
        alone = replace(fitted, ensemble=replace(fitted.ensemble, combination=Combination({name: 1.0})), _seen={})
        agrees(alone, tmp_path, study)


def test_weights_in_8_bits_are_near(study, tmp_path):
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem_in(study), LEARNED)
    said = fitted.predict(study)
    exact = (tmp_path / "m.onnx").stat().st_size if said_by_graph(fitted, study, tmp_path) is not None else 0
    found = said_by_graph(fitted, study, tmp_path, weights="int8")
    assert (tmp_path / "m.onnx").stat().st_size < 0.7 * exact
    assert 0 < np.abs(found - said).max() < 0.1 * said.std()


def test_what_has_no_graph_is_refused_in_a_line(study, tmp_path):
    with pytest.raises(InputError, match=r"^`model`: an ensemble of version 0.1.0, whose set networks are not exported; train it"):
        export(load(RELEASED / "0.1.0" / "ensemble"), tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"^`model`: is no fitted model of AAM but str; give what `aam.load` returns"):
        export("folder", tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"^`output=.*m.txt`: must end in .onnx"):
        export(load(RELEASED / "0.1.0" / "number"), tmp_path / "m.txt")
    assert list(tmp_path.iterdir()) == []
