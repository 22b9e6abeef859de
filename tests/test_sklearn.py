"""The scikit-learn estimators: what they take, say and keep, alone and within scikit-learn's tools."""

import pickle
import re
from dataclasses import replace
from pathlib import Path

import biom
import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import aam
from aam import progress
from aam.errors import InputError
from aam.learners.ensemble import EnsembleLearner
from aam.options import FitOptions, ModelOptions, PretrainObjectives, TargetOptions, TrainFitOptions
from aam.study.folds import make_folds
from aam.study.problem import pose
from tests.support.commands import aam as run
from tests.support.studies import QUICK, simulated_study, without_sequences

QUICKER = replace(QUICK, cross_fit_folds=2)
TINY = ModelOptions(embedding_dim=8, attention_heads=1, attention_layers=1)


def regressor(**others):
    return aam.AAMRegressor(**{"ensemble_options": QUICKER, "n_jobs": 1, **others})


def classifier(**others):
    return aam.AAMClassifier(ensemble_options=QUICKER, n_jobs=1, **others)


def frame_of(study):
    return pd.DataFrame(study.counts.toarray(), index=study.table.sample_ids, columns=study.sequences)


@pytest.fixture(scope="module")
def study():
    return simulated_study()


@pytest.fixture(scope="module")
def fitted(study):
    return regressor().fit(study, "age", groups="subject")


def test_four_lines_on_a_real_table(shared_data, tmp_path):
    folder = shared_data("ecam")
    paths = {"metadata": str(folder / "metadata.tsv"), "rep_seqs": str(folder / "seqs.fasta")}
    study = aam.read_study(str(folder / "table.biom"), **paths, where="[mom_child]='C' AND [month_of_life] > 20")
    model = regressor().fit(study, "day_of_life", groups="host_subject_id")
    model.save(str(tmp_path / "model"))
    assert np.array_equal(aam.load(str(tmp_path / "model")).predict(study), model.predict(study))
    assert aam.AAMRegressor.load(tmp_path / "model").score(study, "day_of_life") == model.score(study, "day_of_life")


def test_the_same_table_in_any_form_says_the_same(study, fitted):
    frame, expected = frame_of(study), fitted.predict(study)
    table = biom.Table(sparse.csr_matrix(study.counts.T), study.sequences, study.table.sample_ids)
    for form in (frame, frame.astype(pd.SparseDtype("int", 0)), frame.astype("float32"), table):
        assert np.array_equal(fitted.predict(form), expected)
    y = {"y": study.metadata["age"], "groups": study.metadata["subject"]}
    given = regressor(sequences=study.sequences)
    for form in (study.counts, study.counts.tocsc(), study.counts.toarray(), study.counts.toarray().tolist()):
        assert np.array_equal(given.fit(form, **y).predict(form), expected)
    names = [f"ASV {number}" for number in range(frame.shape[1])]
    for sequences in (dict(zip(names, study.sequences, strict=True)), pd.Series(study.sequences, names)):
        form = frame.set_axis(names, axis=1)
        assert np.array_equal(regressor(sequences=sequences).fit(form, **y).predict(form), expected)


def test_a_sample_is_a_set_of_asvs(study, fitted):
    frame, expected = frame_of(study), fitted.predict(study)
    assert np.allclose(fitted.predict(frame.iloc[:, ::-1]), expected, atol=1e-3)
    assert np.allclose(fitted.predict(frame.assign(**{"ACGT" * 10: 0})), expected, atol=1e-3)
    assert np.allclose(fitted.predict(frame / 7), expected, atol=1e-3)


def test_intervals_and_novelty(study, fitted):
    wide, narrow = (fitted.predict_interval(study, coverage) for coverage in (0.9, 0.5))
    assert wide.shape == (len(study), 2)
    assert (wide[:, 0] <= narrow[:, 0]).all() and (narrow[:, 0] < narrow[:, 1]).all() and (narrow[:, 1] <= wide[:, 1]).all()
    strange = frame_of(study).iloc[:3].set_axis(list(simulated_study(seed=7).sequences), axis=1)
    assert (fitted.novelty(study) <= 1).mean() > 0.8
    assert (fitted.novelty(strange) > 1).all()


def test_copies_are_equal(study, fitted, tmp_path):
    expected = fitted.predict(study)
    joblib.dump(fitted, tmp_path / "model.joblib")
    for copy in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "model.joblib")):
        assert np.array_equal(copy.predict(study), expected)
    with pytest.raises(NotFittedError):
        clone(fitted).predict(study)
    assert clone(fitted).get_params() == fitted.get_params() == regressor().get_params()


@pytest.mark.parametrize("labels", [(2, 10), ("b", "a"), (True, False)])
def test_classes_of_any_kind(study, labels, tmp_path):
    y = np.array(labels)[(study.metadata["age"] > study.metadata["age"].median()).to_numpy().astype(int)]
    model = classifier().fit(study, y, groups=study.metadata["subject"])
    probabilities, sets = model.predict_proba(study), model.predict_interval(study, 0.8)
    assert model.classes_.tolist() == sorted(labels)
    assert np.array_equal(model.predict(study), model.classes_[probabilities.argmax(axis=1)])
    assert sets.dtype == bool and sets[np.arange(len(study)), probabilities.argmax(axis=1)].all()
    assert model.score(study, y) > 0.6
    model.save(tmp_path / "model")
    loaded = aam.AAMClassifier.load(tmp_path / "model")
    assert loaded.classes_.tolist() == [str(label) for label in sorted(labels)]
    assert np.array_equal(loaded.predict_proba(study), probabilities)


def test_features_without_sequences(study, tmp_path):
    named = without_sequences(study)
    frame, y = frame_of(study).set_axis(list(named.table.feature_ids), axis=1), study.metadata["age"]
    with pytest.warns(UserWarning, match=r"left out are the members that read them \(set networks, kernel model of sequences, "):
        model = regressor().fit(frame, y)
    expected = model.predict(frame)
    assert np.array_equal(model.predict(named), expected)
    with pytest.raises(ValueError, match="novelty is not known"):
        model.novelty(frame)
    with pytest.raises(ValueError, match="same order as they were in fit"):
        model.predict(frame.iloc[:, ::-1])
    with pytest.warns(UserWarning, match="1 of 48 samples has no reads: S00000"):
        model.predict(frame.mul(frame.index != frame.index[0], axis=0))
    model.save(tmp_path / "model")
    loaded = aam.AAMRegressor.load(tmp_path / "model")
    for known in (frame, frame.iloc[:, ::-1], frame.assign(other=1), named):
        assert np.allclose(loaded.predict(known), expected if known is not named else model.predict(named), atol=1e-3)
    for without_names in (frame.to_numpy(), sparse.csr_array(frame.to_numpy()), frame.to_numpy().tolist()):
        with pytest.raises(InputError, match="knows them by name: give a DataFrame"):
            loaded.predict(without_names)
    with pytest.raises(InputError, match="knows features by their IDs"):
        loaded.predict(frame.add_prefix("other "))


def test_groups_reach_fit_by_routing_only(study):
    counts, y, two = study.counts, study.metadata["age"], np.arange(len(study)) % 2
    model = regressor(sequences=study.sequences)
    assert cross_val_score(model, counts, y, groups=two, cv=GroupKFold(2)).shape == (2,)
    with sklearn.config_context(enable_metadata_routing=True):
        subjects = study.metadata["subject"].to_numpy()
        said = cross_val_predict(make_pipeline(Normalizer("l1"), model), counts, y, params={"groups": subjects}, cv=GroupKFold(3))
        assert said.shape == (len(study),) and np.isfinite(said).all()
        # The training part of each fold is one group, which `fit` refuses.
        with pytest.raises(InputError, match="the training samples are of one group only"):
            cross_val_predict(model, counts, y, params={"groups": two}, cv=GroupKFold(2))


def test_it_is_the_learner_that_is_evaluated(study):
    problem = pose(study, TargetOptions(metadata_column="age"), "subject")
    fold = make_folds(len(study), 3, 1, 0, groups=problem.groups)[0]
    learned = EnsembleLearner(QUICKER, jobs=1).fit(problem, fold.train).predict(study, fold.test)
    model = regressor(sequences=study.sequences).fit(
        study.counts[fold.train], problem.truth[fold.train], problem.groups[fold.train]
    )
    # Set networks draw by row, and rows have other numbers here.
    assert np.abs(model.predict(study.counts[fold.test]) - learned).max() < 0.05 * study.metadata["age"].std()


def test_random_numbers_of_others_stay_as_they_are(study):
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 - the global state is what is tested
    first, second = (regressor(random_state=seed).fit(study, "age").predict(study) for seed in (0, 1))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert not np.array_equal(first, second)


@pytest.fixture(scope="module")
def encoder(study):
    options = FitOptions(batch_size=16)
    return aam.AAMEncoder(epochs=1, model_options=TINY, fit_options=options).fit(study, groups="subject")


def test_embeddings(study, encoder, tmp_path):
    embeddings = encoder.transform(study)
    assert embeddings.dtype == np.float32 and embeddings.shape == (len(study), 8)
    assert encoder.get_feature_names_out()[0] == "aamencoder0"
    alone = np.concatenate([encoder.transform(frame_of(study).iloc[[row]]) for row in range(3)])
    assert np.allclose(alone, embeddings[:3], atol=1e-5)
    encoder.save(tmp_path / "encoder")
    assert np.array_equal(aam.AAMEncoder.load(tmp_path / "encoder").transform(frame_of(study)), embeddings)
    assert np.array_equal(pickle.loads(pickle.dumps(encoder)).transform(study), embeddings)
    options = {"objectives": PretrainObjectives(penalty=0), "model_options": TINY, "sequences": study.sequences}
    steps = make_pipeline(aam.AAMEncoder(epochs=1, **options), Ridge())
    assert steps.fit(study.counts, study.metadata["age"]).predict(study.counts).shape == (len(study),)


@pytest.mark.parametrize("changed", [{"augment": "dropout"}, {"groups_in_batch": 2}])
def test_an_encoder_learns_from_other_batches(study, encoder, changed):
    again, other = (clone(encoder).set_params(**more).fit(study, groups="subject").transform(study) for more in ({}, changed))
    np.testing.assert_array_equal(again, encoder.transform(study))
    assert not np.allclose(again, other)


def test_an_encoder_tells_what_it_was_taught(study):
    taught = PretrainObjectives(encoder_type=("jaccard", "shannon"))
    encoder = aam.AAMEncoder(epochs=1, model_options=TINY, objectives=taught, fit_options=FitOptions(batch_size=16)).fit(study)
    for space, width in ((None, 8), ("jaccard", 8), ("shannon", 1)):
        told = encoder.set_params(space=space).transform(study)
        np.testing.assert_array_equal(told, encoder.fitted_.embed(study, space=space))
        assert told.shape[1] == len(encoder.get_feature_names_out()) == width
    with pytest.raises(InputError, match="`space=unifrac`: this encoder has jaccard, shannon"):
        encoder.set_params(space="unifrac").transform(study)


def test_a_transformer_from_a_pretrained_encoder(study, encoder, tmp_path):
    encoder.save(tmp_path / "encoder")
    options = {"recipe": "transformer", "pretrained_encoder": tmp_path / "encoder", "fit_options": TrainFitOptions(epochs=1)}
    model = aam.AAMRegressor(**options, freeze_base=True).fit(study, "age", groups="subject")
    model.save(tmp_path / "model")
    loaded = aam.AAMRegressor.load(tmp_path / "model")
    assert loaded.recipe == "transformer"
    assert np.allclose(loaded.predict(study), model.predict(study), atol=1e-4)
    for fresh_or_not in (model, loaded):
        with pytest.raises(InputError, match="holds out no samples to calibrate prediction intervals"):
            fresh_or_not.predict_interval(study)
    shorter = aam.AAMEncoder(epochs=1, max_bp=20, model_options=TINY, objectives=PretrainObjectives(penalty=0))
    shorter.fit(frame_of(study)).save(tmp_path / "shorter")
    options["pretrained_encoder"] = tmp_path / "shorter"
    assert aam.AAMRegressor(**options).fit(study, "age").fitted_.info.reads.max_bp == 20
    for wrong, message in (
        ({"max_bp": 30}, "`max_bp=30`: the pretrained encoder reads 20"),
        ({"model_options": TINY}, "`model_options`: the transformer has the shape of `pretrained_encoder`"),
    ):
        with pytest.raises(InputError, match=message):
            aam.AAMRegressor(**options, **wrong).fit(frame_of(study), study.metadata["age"])


@pytest.mark.parametrize("recipe", ["ensemble", "transformer"])
def test_covariates_are_columns_of_the_metadata_of_a_study(study, recipe, tmp_path):
    options = {"numeric_columns": ["years"], "categorical_columns": ("sex",), "recipe": recipe}
    study = replace(study, metadata=study.metadata.assign(years=study.metadata["age"] + 0.1))
    if recipe == "transformer":
        options |= {"model_options": TINY, "fit_options": TrainFitOptions(epochs=1)}
    else:
        options |= {"ensemble_options": QUICKER, "n_jobs": 1}
    model = aam.AAMRegressor(**options).fit(study, "age", groups="subject")
    assert model.fitted_.target.covariates.columns == ("sex", "years")
    model.save(tmp_path / "model")
    loaded = aam.AAMRegressor.load(tmp_path / "model")
    assert (loaded.numeric_columns, loaded.categorical_columns) == (("years",), ("sex",))
    moved = replace(study, metadata=study.metadata.assign(years=study.metadata["years"].to_numpy()[::-1]))
    np.testing.assert_allclose(loaded.predict(moved), model.predict(moved), rtol=1e-4)
    assert not np.allclose(loaded.predict(moved), loaded.predict(study), rtol=1e-6)
    with pytest.raises(InputError, match="`metadata` is missing: this model was trained with the columns sex, years"):
        loaded.predict(frame_of(study))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"numeric_columns": ("age",)}, "`numeric_columns=age`: this is y; leave it out"),
        ({"categorical_columns": ("subject",)}, "`categorical_columns=subject`: this is the group column; leave it out"),
        ({"numeric_columns": "bmi"}, "`numeric_columns=bmi`: must be a list of names of columns"),
        ({"categorical_columns": None}, "`categorical_columns=None`: must be a list of names of columns"),
        ({"numeric_columns": ("bmi",)}, "`numeric_columns`: the metadata has no column bmi; columns:"),
    ],
)
def test_what_cannot_be_a_covariate_is_named(study, columns, message):
    with pytest.raises(InputError, match=re.escape(message)):
        regressor(**columns).fit(study, "age", groups="subject")
    with pytest.raises(InputError, match="`numeric_columns`: there are no metadata that hold bmi"):
        regressor(numeric_columns=["bmi"]).fit(frame_of(study), np.arange(48.0))


def test_progress_is_shown_where_it_is_asked_for(study, capfd, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    fit_options = TrainFitOptions(epochs=1)
    transformer = {"recipe": "transformer", "model_options": TINY, "fit_options": fit_options}
    encoder = {"model_options": TINY, "fit_options": FitOptions(epochs=1)}
    shown = {}
    for verbose in (False, True):
        for estimator in (aam.AAMRegressor(**transformer, verbose=verbose), aam.AAMEncoder(**encoder, verbose=verbose)):
            estimator.fit(study, "age")
            shown[type(estimator).__name__, verbose] = "Epoch 1/1: 100 %" in "".join(capfd.readouterr())
    assert shown == {(kind, verbose): verbose for kind in ("AAMRegressor", "AAMEncoder") for verbose in (False, True)}


def test_the_command_line_says_the_same(community, tmp_path):
    data = {"table": community / "table.biom", "metadata": community / "metadata.tsv"}
    study = aam.read_study(**data)
    options = [
        f"--{name.replace('_', '-')}={getattr(QUICK, name)}" for name in ("network_steps", "network_min_epochs", "forest_trees")
    ]
    arguments = [word for name, path in data.items() for word in (f"--{name}", path)]
    trained = ["--metadata-column", "age", "--group-column", "subject", "--recipe", "ensemble", *options]
    run("train", *arguments, *trained, "--output-dir", tmp_path / "run")
    regressor().fit(study, "age", groups="subject").save(tmp_path / "saved")
    for folder in (tmp_path / "run", tmp_path / "saved"):
        output = tmp_path / f"{folder.name}.tsv"
        run("predict", "--model", folder, "--table", data["table"], "--output", output)
        written = pd.read_csv(output, sep="\t", index_col=0, float_precision="round_trip").iloc[:, 0]
        assert np.array_equal(written.to_numpy(), aam.load(folder).predict(study))
        assert np.array_equal(written.to_numpy(), aam.AAMRegressor.load(folder).predict(study))


def test_what_cannot_be_used_is_named(study, fitted, tmp_path):
    frame, ages = frame_of(study), study.metadata["age"]
    empty = replace(study, table=study.table.select_samples([]), metadata=study.metadata.iloc[:0])
    fitted.save(tmp_path / "model")
    wrong = [
        (lambda: aam.read_study(3), "`table`"),
        (lambda: aam.load(3), "`folder`"),
        (lambda: aam.AAMClassifier.load(tmp_path / "model"), "use AAMRegressor"),
        (lambda: aam.AAMEncoder.load(tmp_path / "model"), "has no encoder"),
        (lambda: regressor(sampling_depth=10).fit(frame / 7, ages), "only counts can be rarefied"),
        (lambda: regressor(sampling_depth=10**9).fit(frame, ages), "48 of 48 samples have fewer reads"),
        (lambda: regressor(sequences=["ACGT"]).fit(frame, ages), "`sequences`: there are 1, and X has 50 features"),
        (lambda: regressor(sequences={}).fit(frame, ages), "`sequences`: 50 of 50 features have none"),
        (lambda: regressor(sequences=5).fit(frame, ages), "`sequences`: must be a list of text, or a mapping"),
        (lambda: regressor(sequences="ACGT").fit(frame, ages), "`sequences`: must be a list of text, or a mapping"),
        (lambda: regressor(max_bp="a").fit(frame, ages), "`max_bp='a'`"),
        (lambda: regressor().fit(empty, "age"), "`X`: 0 samples: at least 2"),
        (lambda: regressor().fit(biom.Table(np.ones((1, 1)), ["ACGT" * 5], ["only"]), [1]), "`X`: 1 sample: at least 2"),
        (lambda: regressor().fit(frame.assign(age=1), ages), "1 of 51 features of X is not named by their sequences: age"),
        (lambda: regressor().fit(frame * 0, ages), "48 of 48 samples have no reads"),
        (lambda: regressor().fit(-frame, ages), "Negative values in data: sample S00000"),
        (lambda: regressor().fit(frame, "age"), "`y=age`: names a column"),
        (lambda: regressor().fit(study, "day"), "no column day"),
        (lambda: regressor().fit(study, ages[:-1]), "inconsistent numbers of samples"),
        (lambda: regressor().fit(study, "age", groups=[None] * 48), "`groups`: 48 of 48 samples have none"),
        (lambda: classifier().fit(study, np.ones(48)), "one class only"),
        (lambda: fitted.predict(frame.add_prefix("ASV ")), "the model reads sequences"),
        (lambda: fitted.predict_interval(study, 0.2), "`coverage=0.2`"),
        (lambda: fitted.predict_interval(study, "a"), "`coverage="),
        (lambda: fitted.predict_interval(study, np.nan), "`coverage="),
        (lambda: aam.AAMRegressor(recipe="transformer").fit(without_sequences(study), "age"), "a transformer reads sequences"),
    ]
    for use, message in wrong:
        with pytest.raises(ValueError, match=message.replace("(", r"\(")):
            use()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"recipe": "x"}, "`recipe=x`: must be ensemble or transformer"),
        ({"freeze_base": True}, "`recipe=ensemble`: takes no `freeze_base`;"),
        ({"model_options": np.ones(2), "fit_options": 1}, "`recipe=ensemble`: takes no `model_options`, no `fit_options`;"),
        ({"recipe": "transformer", "trees": False}, "`recipe=transformer`: takes no `trees`, no `ensemble_options`, no `n_jobs`;"),
        ({"target_transform": "x"}, "`target_transform=x`"),
        ({"ensemble_options": {}}, "`ensemble_options`: must be EnsembleOptions"),
        ({"ensemble_options": replace(QUICKER, trees=False)}, "`ensemble_options`: has trees=False; give `trees=False` to"),
        ({"trees": "no"}, "`trees=no`: must be True or False"),
        ({"freeze_base": "no"}, "`freeze_base=no`: must be True or False"),
        ({"verbose": 3}, "`verbose=3`: must be True or False"),
        ({"random_state": -1}, "`random_state=-1`"),
        ({"n_jobs": "x"}, "`n_jobs=x`: must be a whole number other than 0"),
        ({"n_jobs": 0}, "`n_jobs=0`: must be a whole number other than 0"),
        ({"sampling_depth": 10}, "`sampling_depth=10`: the study was read with"),
        ({"max_bp": "a"}, "`max_bp='a'`: must be a whole number"),
        ({"sequences": ["ACGT"]}, "`sequences`: a study has its own"),
    ],
)
def test_a_wrong_parameter_is_named(study, parameters, message):
    with pytest.raises(InputError, match=re.escape(message)):
        regressor(**parameters).fit(study, "age")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"unifrac_metric": "x"}, "`unifrac_metric='x'`"),
        ({"unifrac_metric": "generalized"}, "`unifrac_metric=generalized`: the study comes with distances (unweighted)"),
        ({"objectives": PretrainObjectives(penalty=0), "tree": "tree.nwk"}, "`tree` is of what is measured on a tree"),
        ({"objectives": PretrainObjectives(encoder_type=("jaccard",)), "unifrac_metric": "generalized"}, "`unifrac_metric` is of"),
        ({"objectives": PretrainObjectives(encoder_type=("jacard",))}, "`encoder_type=jacard`: must be one of unifrac, "),
        ({"epochs": "a"}, "`epochs='a'`: must be a whole number"),
        ({"objectives": 1}, "`objectives`: must be PretrainObjectives"),
        ({"verbose": "no"}, "`verbose=no`"),
        ({"tree": 3}, "`tree`: must be a path"),
        ({"groups_in_batch": "a"}, "`groups_in_batch='a'`: must be a whole number"),
        ({"groups_in_batch": 2}, "`groups_in_batch=2` needs groups"),
    ],
)
def test_a_wrong_parameter_of_the_encoder_is_named(study, parameters, message):
    with pytest.raises(InputError, match=re.escape(message)):
        aam.AAMEncoder(**parameters).fit(study)


@pytest.mark.slow
def test_the_blocks_of_the_page_run(tmp_path, monkeypatch):
    page = Path(__file__).parents[1] / "docs" / "python.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    runnable = [block for block in blocks if not block.startswith("# needs files")]
    assert len(runnable) > 5
    monkeypatch.chdir(tmp_path)
    exec("\n".join(runnable), {})
