"""What to predict in a study, and that fitting it to some samples reads nothing of the others."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aam.errors import InputError
from aam.options import TargetOptions
from aam.study.problem import pose
from aam.study.several import JointProblem, pose_several
from aam.study.targets import ClassTarget, RegressionTarget
from tests.support.studies import simulated_study

STUDY = simulated_study(n_samples=24, n_asvs=20, length=30)
COLUMNS = ("sex", "study")
NUMBER = TargetOptions(metadata_column="age", categorical_columns=COLUMNS)
CLASSES = TargetOptions(metadata_column="disease", classifier=True, categorical_columns=COLUMNS)


def posed(options=NUMBER, study=STUDY):
    return pose(study, options, "subject", "study")


def test_a_number_is_read_as_it_stands_in_the_metadata():
    problem = posed()
    np.testing.assert_array_equal(problem.truth, STUDY.metadata["age"])
    assert isinstance(problem.target, RegressionTarget)
    assert (problem.column, problem.classes, problem.labels, len(problem)) == ("age", None, None, 24)
    assert list(problem.groups) == list(STUDY.metadata["subject"])
    assert list(problem.confounder) == list(STUDY.metadata["study"])
    assert problem.learned.dtype == np.float32


def test_classes_are_ids_with_names():
    problem = posed(CLASSES)
    assert problem.target == ClassTarget(("case", "control"), as_written=True)
    assert problem.classes == 2
    assert list(problem.labels) == list(STUDY.metadata["disease"])
    assert problem.learned.dtype == np.int64
    np.testing.assert_array_equal(problem.learned, problem.truth)


ROWS = st.lists(st.integers(0, 23), min_size=1, unique=True).map(lambda rows: np.sort(np.array(rows)))


@settings(deadline=None, max_examples=30)
@given(rows=ROWS, seed=st.integers(0, 99), options=st.sampled_from([NUMBER, CLASSES]))
def test_what_is_fitted_to_some_samples_knows_nothing_of_the_others(rows, seed, options):
    problem = posed(options)
    if len(set(problem.truth[rows])) < 2:
        with pytest.raises(InputError):
            problem.fitted_to(rows)
        return
    fitted = problem.fitted_to(rows)
    others = np.setdiff1d(STUDY.rows, rows)
    truth, metadata = problem.truth.copy(), STUDY.metadata.copy()
    truth[others] = np.random.default_rng(seed).permutation(truth)[others]
    if options is NUMBER:
        truth[others] *= -1000
    metadata.iloc[others, metadata.columns.get_indexer(COLUMNS)] = "unheard of"
    changed = replace(problem, truth=truth, study=replace(STUDY, metadata=metadata)).fitted_to(rows)
    assert changed.target == fitted.target
    assert changed.covariates == fitted.covariates
    np.testing.assert_array_equal(changed.learned[rows], fitted.learned[rows])
    np.testing.assert_array_equal(changed.design[rows], fitted.design[rows])
    assert (changed.design[others] == 0).all()


def test_covariates_are_scaled_by_the_training_samples_alone_whoever_fits_them():
    rng = np.random.default_rng(0)
    metadata = STUDY.metadata.assign(dose=rng.normal(size=24), lacking=np.where(STUDY.rows < 4, np.nan, 1.0 + STUDY.rows))
    rows, others = STUDY.rows[4:16], np.concatenate([STUDY.rows[:4], STUDY.rows[16:]])
    metadata.iloc[others, metadata.columns.get_loc("dose")] = 1e9
    study = replace(STUDY, metadata=metadata)
    options = {"categorical_columns": COLUMNS, "numeric_columns": ("dose", "lacking")}
    problem = posed(TargetOptions(metadata_column="age", **options), study)
    several = TargetOptions(metadata_column="age,disease", class_columns=("disease",), **options)
    joint = JointProblem.of(pose_several(study, several), {}).fitted_to(rows)
    dose = metadata["dose"].to_numpy()[rows]
    for fitted in (problem.fitted_to(rows), problem.learnable_by(rows), *joint.parts):
        assert fitted.covariates.numbers["dose"] == pytest.approx((dose.mean(), dose.std()))
        # Those that lack it are not among the training samples.
        assert fitted.covariates.lacking == ()
        np.testing.assert_allclose(fitted.design[rows][:, fitted.covariates.places["dose"][0]].mean(), 0, atol=1e-6)


def test_what_is_learned_decodes_to_the_truth():
    problem = posed().fitted_to(np.arange(12))
    np.testing.assert_allclose(problem.learned[:12].mean(), 0, atol=1e-6)
    np.testing.assert_allclose(problem.target.decode(problem.learned.astype(np.float64)), problem.truth, rtol=1e-5)


def test_groups_are_the_units_and_samples_without_them():
    problem, rows = posed(), np.array([5, 2])
    assert list(problem.units(rows)) == list(problem.groups_of(rows)) == list(problem.groups[rows])
    alone = pose(STUDY, NUMBER)
    assert alone.groups_of(rows) is None
    np.testing.assert_array_equal(alone.units(rows), rows)


def test_no_covariates_have_no_design():
    assert pose(STUDY, TargetOptions(metadata_column="age")).fitted_to(STUDY.rows).design is None


def test_the_same_problem_on_another_view_of_the_study():
    problem, drawn = posed(), replace(STUDY)
    assert problem.on(drawn).study is drawn
    assert problem.on(drawn).truth is problem.truth


def test_nothing_to_predict_is_refused():
    with pytest.raises(InputError, match="`metadata` is missing: the table that holds the column age"):
        posed(study=replace(STUDY, metadata=None))
    same = replace(STUDY, metadata=STUDY.metadata.assign(age=3.0, disease="case"))
    with pytest.raises(InputError, match="the target is 3 in all 24 training samples"):
        posed(study=same).fitted_to(STUDY.rows)
    with pytest.raises(InputError, match="the target is case in all 24 samples"):
        posed(CLASSES, study=same)
    with pytest.raises(InputError, match="no column diet"):
        posed(TargetOptions(metadata_column="age", categorical_columns=("diet",))).fitted_to(STUDY.rows)
