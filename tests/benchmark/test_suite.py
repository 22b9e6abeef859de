"""Suites as YAML: what they hold, and that what is wrong is said with the file and the key."""

import numpy as np
import pytest
import yaml

from aam.benchmark.estimators import Estimator
from aam.benchmark.models import KNOWN, USUAL
from aam.benchmark.suite import read_suite
from aam.data.simulate import simulate, write_simulation
from aam.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    write_simulation(simulate(0, n_samples=30, n_asvs=40, length=40), folder / "a table")
    return folder


QUESTION = {"table": "a table/table.biom", "metadata": "a table/metadata.tsv", "metadata_column": "age"}


def written(folder, **content):
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({"questions": {"old or young": QUESTION}, **content}), encoding="utf-8")
    return path


def make(kind):
    """An estimator for each kind of target."""
    from sklearn.dummy import DummyClassifier, DummyRegressor

    return DummyRegressor() if kind == "regression" else DummyClassifier()


def test_a_suite_has_questions_and_models(folder):
    suite = read_suite(
        written(
            folder,
            title="Ages",
            defaults={"ignore_missing": True, "folds": 3},
            models=["trivial", "random forest"],
            shares=[1, 0.25],
            seed=7,
            ensemble={"forest_trees": 20},
            transformer={"embedding_dim": 16, "epochs": 2, "lr": "1e-3"},
            questions={"old or young": QUESTION, "twice": {**QUESTION, "folds": 4, "metadata": ["a table/metadata.tsv"]}},
        )
    )
    first, second = suite.questions.values()
    assert first.data.table == folder / "a table" / "table.biom"
    assert first.samples.metadata == second.samples.metadata == (folder / "a table" / "metadata.tsv",)
    assert (first.folding.folds, second.folding.folds) == (3, 4)
    assert first.data.ignore_missing
    assert suite.models == ("trivial", "random forest")
    assert suite.shares == (0.25, 1.0)
    assert (suite.seed, suite.ensemble.forest_trees) == (7, 20)
    assert (suite.transformer[0].embedding_dim, suite.transformer[2].epochs, suite.transformer[2].lr) == (16, 2, 0.001)
    assert read_suite(written(folder)).models == USUAL


def test_paths_may_be_of_another_folder(folder, tmp_path):
    path = written(tmp_path)
    with pytest.raises(InputError, match=r"questions: old or young: `table=.*table\.biom`"):
        read_suite(path)
    assert read_suite(path, folder).questions["old or young"].data.table == folder / "a table" / "table.biom"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"modles": []}, "modles: is unknown; near it: models"),
        ({"models": "random forest"}, "models: must be a list of names"),
        ({"models": ["random forrest", "trivial"]}, "models: random forrest: is unknown; near it: random forest"),
        ({"models": ["trivial", "trivial"]}, "models: trivial: is named twice"),
        ({"models": ["trivial"]}, "models: name two or more"),
        ({"shares": [0.5, 2]}, "shares: must be numbers above 0 and up to 1"),
        ({"shares": ["half"]}, "shares: must be numbers"),
        ({"seed": -1}, "seed: `seed=-1`: must be from 0"),
        ({"seed": "one"}, "seed: must be a whole number, not 'one'"),
        ({"title": 3}, "title: must be text, not 3"),
        ({"questions": {}}, "questions: is empty"),
        ({"questions": ["a"]}, "questions: must hold `name: value` lines"),
        ({"questions": {"q": None}}, "questions: q: must hold `name: value` lines, not None"),
        ({"questions": {"q": {"metadata_column": "age"}}}, "questions: q: table: is missing"),
        ({"questions": {"q": {"table": QUESTION["table"], "metadata_column": "age"}}}, "questions: q: `metadata` is missing"),
        ({"questions": {"q": {**QUESTION, "colour": 1}}}, "questions: q: colour: is unknown"),
        ({"questions": {"q": {**QUESTION, "classifier": "yes please"}}}, "q: `classifier='yes please'`: must be True or False"),
        ({"questions": {"q": {**QUESTION, "folds": 1}}}, "q: `folds=1`: must be at least 2"),
        ({"questions": {"q": {**QUESTION, "sampling_depth": "deep"}}}, "q: `sampling_depth='deep'`: must be a whole number"),
        ({"questions": {"q": {**QUESTION, "tree": "none.nwk"}}}, "q: `tree=.*none.nwk`"),
        ({"questions": {"q": {**QUESTION, "stream": True}}}, "q: stream: is not for a benchmark"),
        ({"questions": {"q": {**QUESTION, "loss_type": "quantile"}}}, "q: loss_type: is of transformers, and none is"),
        ({"questions": {"q": {**QUESTION, "leave_one_group_out": True}}}, "`leave_one_group_out` needs `group_column`"),
        ({"ensemble": {"forest_trees": "many"}}, "ensemble: `forest_trees='many'`: must be a whole number"),
        ({"transformer": {"forest_trees": 3}}, "transformer: forest_trees: is unknown"),
        ({"estimators": {"e": 3}}, "estimators: e: must be an import path, or have `make`"),
        ({"estimators": {"e": {"make": ["x"]}}}, "e: make: must be an import path, or one for each of"),
        ({"estimators": {"e": "nowhere.Model"}}, "e: make: nowhere.Model: cannot be imported: No module named 'nowhere'"),
        ({"estimators": {"e": "sklearn.svm.SVX"}}, "e: make: sklearn.svm.SVX: cannot be imported"),
        (
            {"estimators": {"e": "installed"}},
            "e: make: installed: is no import path, and no entry point of the group aam.baselines",
        ),
        ({"estimators": {"e": "math.pi"}}, "e: make: math.pi: makes nothing"),
        ({"estimators": {"e": "pathlib.PurePath"}}, "e: make: pathlib.PurePath: makes a .*, which is no estimator"),
        ({"estimators": {"e": {"make": "sklearn.svm.SVR", "options": {"D": 1}}}}, "make: sklearn.svm.SVR: TypeError: .*'D'"),
        ({"estimators": {"e": {"make": "sklearn.svm.SVR", "features": "log"}}}, "features: must be one of shares, presence, clr"),
        ({"estimators": {"e": "sklearn.svm.LinearSVC"}}, "sklearn.svm.LinearSVC: has no predict_proba"),
        ({"estimators": {"e": "sklearn.cluster.KMeans"}}, "sklearn.cluster.KMeans: is no regressor and no classifier"),
        ({"estimators": {"random forest": "sklearn.svm.SVR"}}, "estimators: random forest: is the name of a model"),
    ],
)
def test_what_is_wrong_is_said_with_the_file_and_the_key(folder, content, said):
    path = written(folder, **content)
    with pytest.raises(InputError, match=said) as caught:
        read_suite(path)
    assert str(caught.value).startswith(f"`suite={path}`: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_suite_is_refused(tmp_path):
    path = tmp_path / "suite.yaml"
    for text, said in (("a: [", "cannot be read as YAML"), ("just text", "has no key `questions`"), ("", "has no key `questions`")):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            read_suite(path)
    with pytest.raises(InputError, match="suite="):
        read_suite(tmp_path / "none.yaml")


def test_an_estimator_is_of_one_kind_or_of_both():
    assert set(Estimator.of("e", "sklearn.linear_model.Ridge", "").make) == {"regression"}
    assert set(Estimator.of("e", "sklearn.linear_model:LogisticRegression", "").make) == {"classification"}
    both = Estimator.of("e", f"{__name__}.make", "")
    assert {type(both.made(kind, 0)).__name__ for kind in both.make} == {"DummyRegressor", "DummyClassifier"}
    assert Estimator.of("e", "sklearn.ensemble.RandomForestRegressor", "").made("regression", 5).random_state == 5


def test_an_installed_package_offers_estimators(tmp_path, monkeypatch):
    info = tmp_path / "others-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[aam.baselines]\ntheirs = {__name__}:make\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(Estimator.of("e", "theirs", "").make) == {"regression", "classification"}
    with pytest.raises(InputError, match=r"installed are theirs"):
        Estimator.of("e", "thiers", "")


def test_usual_models_are_known():
    assert len(set(KNOWN)) == len(KNOWN)
    assert set(USUAL) < set(KNOWN)
    assert np.isin(["trivial", "AAM ensemble"], USUAL).all()
