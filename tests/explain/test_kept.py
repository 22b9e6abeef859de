"""An explanation goes on from what is kept of the same one, and of no other."""

from dataclasses import replace

import numpy as np
import pytest

from aam.errors import InputError
from aam.explain.deletion import by_deletion
from aam.explain.features import asvs
from aam.explain.kept import Kept
from aam.explain.permutation import Held, by_permutation
from aam.explain.summary import ranked
from aam.learners.ensemble import EnsembleLearner
from aam.learners.transformer import TransformerLearner
from aam.options import ModelOptions, TargetOptions, TrainFitOptions
from aam.scoring.measures import MAE
from aam.study.problem import pose
from tests.explain.test_deletion import Sums, sums
from tests.support.explained import OPTIONS
from tests.support.studies import problem_in, simulated_study

TRUTH = {"permutation": True, "max_samples": 20}


@pytest.fixture(scope="module")
def fitted():
    study = simulated_study(n_samples=36, n_asvs=30)
    return study, EnsembleLearner(OPTIONS, jobs=1).fit(pose(study, TargetOptions(metadata_column="age")), study.rows)


def arrays_in(folder):
    return {path.stem: dict(np.load(path, allow_pickle=False)) for path in folder.glob("*.npz")}


def test_what_is_kept_is_not_computed_again(fitted, tmp_path):
    study, model = fitted
    first = model.explain(study, keep_in=tmp_path / "kept", **TRUTH)
    parts = arrays_in(tmp_path / "kept")
    assert set(parts) == {f"{what}-{kind}" for what in ("deletion", "permutation") for kind in ("asv", "clade")}
    again = model.explain(study, keep_in=tmp_path / "kept", **TRUTH)
    for one, other in zip(first.attributions, again.attributions, strict=True):
        for name in ("value", "low", "high", "sample", "feature", "predicted"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert (one.method, one.unit, one.output_names) == (other.method, other.unit, other.output_names)
    assert first.verdict == again.verdict
    # What was interrupted before its end is computed; what is there is taken as it is.
    (tmp_path / "kept" / "deletion-clade.npz").unlink()
    changed = parts["deletion-asv"] | {"value": 2 * parts["deletion-asv"]["value"]}
    np.savez(tmp_path / "kept" / "deletion-asv.npz", **changed)
    loss = parts["permutation-asv"] | {"loss": parts["permutation-asv"]["loss"] + 1}
    np.savez(tmp_path / "kept" / "permutation-asv.npz", **loss)
    resumed = model.explain(study, keep_in=tmp_path / "kept", **TRUTH)
    np.testing.assert_array_equal(resumed.attributions[0].value, 2 * first.attributions[0].value)
    np.testing.assert_array_equal(resumed.attributions[1].value, first.attributions[1].value)
    np.testing.assert_array_equal(resumed.permutations[0].loss, first.permutations[0].loss + 1)


def test_the_features_that_matter_most_are_permuted_and_no_others(fitted, tmp_path, monkeypatch):
    study, model = fitted
    monkeypatch.setattr("aam.explain.run._PERMUTED", 7)
    first, again = (model.explain(study, keep_in=tmp_path, **TRUTH) for _ in range(2))
    for importance, one, other in zip(first.importances, first.permutations, again.permutations, strict=True):
        assert one.features.ids == other.features.ids
        assert set(one.features.ids) == {importance.features.ids[row] for row in ranked(importance)[:7]}
        columns = [importance.features.ids.index(name) for name in one.features.ids]
        assert (one.features.asvs != importance.features.asvs[columns]).nnz == 0
        np.testing.assert_array_equal(one.loss, other.loss)
        assert len(one.loss) == 7


class Stopped(Sums):
    """A model that is stopped after so many made-up samples."""

    last = np.inf

    def read(self, counts, rows):
        if self.asked > self.last:
            raise KeyboardInterrupt
        return super().read(counts, rows)


def deletion(kept, reader, kind):
    return kept.attributions(kind, lambda begun: by_deletion(reader, kind, np.arange(60), begun=begun)).value


def permutation(kept, reader, kind):
    held, rows = Held(np.arange(60), np.random.default_rng(0).normal(size=60)), np.arange(12)
    return kept.permutation(kind, rows, MAE, lambda begun: by_permutation(reader, kind, held, MAE, begun=begun)).loss


@pytest.mark.parametrize("compute", [deletion, permutation])
def test_what_is_begun_goes_on(compute, tmp_path, monkeypatch):
    monkeypatch.setattr("aam.explain.begun._SECONDS", 0)
    monkeypatch.setattr("aam.explain.made_up._ASVS_AT_ONCE", 100)
    monkeypatch.setattr("aam.explain.made_up.allotted_threads", lambda: 1)
    counts = sums(n=60).counts.toarray()
    numbers, kind, kept = np.random.default_rng(0).normal(size=12), asvs("abcdefghijkl"), Kept(tmp_path / "kept", "key")
    unbroken, stopped, goes_on = (Stopped(counts, numbers) for _ in range(3))
    wanted = compute(Kept(None, ""), unbroken, kind)
    stopped.last = 0.7 * unbroken.asked
    with pytest.raises(KeyboardInterrupt):
        compute(kept, stopped, kind)
    (begun,) = kept.folder.glob("*.npz")
    assert begun.stem.endswith("-begun")
    with pytest.raises(InputError, match="another model"):
        Kept(kept.folder, "other").check()
    np.testing.assert_array_equal(compute(kept, goes_on, kind), wanted)
    # The samples as they are are read again.
    assert goes_on.asked < 0.4 * unbroken.asked + 60
    assert not begun.exists()
    np.testing.assert_array_equal(compute(kept, None, kind), wanted)


def test_gradients_are_kept_with_all_that_is_known_of_them(fitted, tmp_path):
    pytest.importorskip("captum")
    study, model = fitted
    first, again = (model.explain(study, keep_in=tmp_path, method="gradients", max_samples=6) for _ in range(2))
    assert (tmp_path / "gradients.npz").is_file()
    np.testing.assert_array_equal(first.attributions[0].value, again.attributions[0].value)
    assert first.warnings == again.warnings
    reader, features = model.reader(study), first.attributions[0].features
    found = reader.gradients(np.arange(3), study.table.feature_ids)
    kept = Kept(tmp_path / "other", "key")
    for _ in range(2):
        loaded = kept.gradients(features, lambda: found)
        assert (loaded.explained, loaded.baseline, loaded.middle) == (found.explained, found.baseline, found.middle)
        np.testing.assert_array_equal(loaded.complete, found.complete)


@pytest.mark.parametrize("more", [{"seed": 1}, {"max_samples": 5}, {"group_column": "subject"}])
def test_another_explanation_is_refused(fitted, tmp_path, more):
    study, model = fitted
    model.explain(study, keep_in=tmp_path, max_samples=6)
    with pytest.raises(InputError, match=r"`resume`: .* is of another model, other data or options"):
        model.explain(study, keep_in=tmp_path, **({"max_samples": 6} | more))


def test_another_model_and_other_counts_are_refused(fitted, tmp_path):
    study, model = fitted
    model.explain(study, keep_in=tmp_path, max_samples=6)
    counts = study.table.counts.copy()
    counts.data[0] += 1
    other = replace(study, table=replace(study.table, counts=counts))
    for some, read in ((model.shuffled(), study), (model, other)):
        with pytest.raises(InputError, match="another model"):
            some.explain(read, keep_in=tmp_path, max_samples=6)


def test_what_cannot_be_computed_leaves_nothing(fitted, tmp_path):
    study, model = fitted
    forest = {name: float(name == "forest") for name in model.ensemble.members}
    combination = replace(model.ensemble.combination, weights=forest)
    trees = replace(model, ensemble=replace(model.ensemble, combination=combination))
    with pytest.raises(InputError, match="no member that counts in this ensemble has gradients"):
        trees.explain(study, keep_in=tmp_path / "kept", method="gradients")
    assert not (tmp_path / "kept").exists()


def transformer_of(problem):
    shape = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
    return TransformerLearner(shape, options=TrainFitOptions(epochs=1, batch_size=8)).fit(problem, problem.study.rows)


def test_other_metadata_are_refused_where_the_model_reads_them(tmp_path):
    study = simulated_study(n_samples=24, n_asvs=20)
    model = transformer_of(pose(study, TargetOptions(metadata_column="age", categorical_columns=("sex",))))
    model.explain(study, keep_in=tmp_path)
    one = study.metadata.index == study.table.sample_ids[5]
    sexes = study.metadata["sex"]
    changed = study.metadata.assign(sex=sexes.where(~one, next(sex for sex in sexes if sex != sexes[one].item())))
    with pytest.raises(InputError, match="is of another model, other data"):
        model.explain(replace(study, metadata=changed), keep_in=tmp_path)
    # What it does not read may be another.
    model.explain(replace(study, metadata=study.metadata.assign(age=0.0)), keep_in=tmp_path)


def test_a_transformer_is_known_by_its_weights():
    study = simulated_study(n_samples=24, n_asvs=20)
    model = transformer_of(problem_in(study))
    assert model.fingerprint() == replace(model).fingerprint() != model.shuffled().fingerprint()
