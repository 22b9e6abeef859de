import tracemalloc

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn import metrics as sklearn_metrics

from aam.scoring.classes import class_scores
from aam.scoring.streamed import (
    ClassMetrics,
    NucleotideMetrics,
    PairedMetrics,
    Reservoir,
    restore_running,
    running_state,
    spearman,
)


def test_paired_metrics_equal_scikit_learn_over_uneven_batches():
    rng = np.random.default_rng(0)
    true = rng.normal(50, 10, 101)
    predicted = true + rng.normal(0, 5, 101)
    metric = PairedMetrics()
    for part in np.array_split(np.arange(101), [1, 7, 60]):
        metric.update(torch.from_numpy(predicted[part]), torch.from_numpy(true[part]))
    values = metric.compute()
    assert values["mae"].item() == pytest.approx(sklearn_metrics.mean_absolute_error(true, predicted))
    assert values["rmse"].item() == pytest.approx(sklearn_metrics.root_mean_squared_error(true, predicted))
    assert values["r2"].item() == pytest.approx(sklearn_metrics.r2_score(true, predicted))
    assert values["mean_mse"].item() == pytest.approx(true.var())
    assert values["stress"].item() == pytest.approx(np.sqrt(((true - predicted) ** 2).sum() / (true**2).sum()))


def test_the_reservoir_is_bounded_uniform_and_holds_true_points():
    reservoir = Reservoir(size=500)
    for start in range(0, 100_000, 1_000):
        values = torch.arange(start, start + 1_000, dtype=torch.float32)
        reservoir.update(values, -values)
    points = reservoir.compute()
    assert points.shape == (500, 2)
    assert torch.equal(points[:, 0], -points[:, 1])
    assert points[:, 0].unique().numel() == 500
    assert abs(points[:, 0].mean().item() - 50_000) < 5_000


def test_memory_does_not_grow_with_the_samples():
    def peak(batches):
        reservoir, paired = Reservoir(), PairedMetrics()
        tracemalloc.start()
        for _ in range(batches):
            values = torch.rand(64)
            reservoir.update(values, values)
            paired.update(values, values)
        held = sum(t.element_size() * t.numel() for t in (reservoir.keys, reservoir.points, paired.sums))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held, peak

    few_held, few_peak = peak(30)
    many_held, many_peak = peak(3_000)
    assert many_held == few_held
    assert many_peak < 2 * few_peak + 100_000


def test_spearman():
    points = torch.rand(50, 2)
    assert spearman(points).item() == pytest.approx(spearmanr(points[:, 0], points[:, 1]).statistic)
    assert spearman(points[:2]).isnan()
    assert spearman(torch.ones(10, 2)).isnan()


def test_nucleotide_metrics():
    majority = torch.tensor([0, 2, 1])
    metric = NucleotideMetrics(majority)
    logits = torch.eye(4)[[2, 1, 3]] * 5
    metric.update(logits, torch.tensor([2, 1, 0]), torch.tensor([1, 2, 2]))
    values = metric.compute()
    assert values["accuracy"].item() == pytest.approx(2 / 3)
    assert values["majority_accuracy"].item() == pytest.approx(2 / 3)


def softmax_of(logits):
    return softmax(logits.astype(np.float64), axis=1)


def streamed(logits, true, parts=5, **options):
    metric = ClassMetrics(softmax_of, **options)
    for part in np.array_split(np.arange(len(true)), parts):
        metric.update(torch.from_numpy(logits[part]).float(), torch.from_numpy(true[part]))
    return metric


@pytest.mark.parametrize("lacking", [(), (2,), (0, 2), (0, 1, 2)])
def test_the_metrics_of_an_epoch_are_the_scores_of_the_same_samples(lacking):
    """Also where samples lack some classes, and once more after a reset."""
    rng = np.random.default_rng(0)
    true = rng.choice(np.setdiff1d(np.arange(4), lacking), 200)
    logits = (rng.normal(0, 1, (200, 4)) + np.eye(4)[true]).astype(np.float32)
    expected = class_scores(true, softmax_of(logits), true)
    metric = streamed(logits, true)
    found = {name: float(value) for name, value in metric.compute().items()}
    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-6, nan_ok=True)
    metric.reset()
    metric.update(torch.from_numpy(logits), torch.from_numpy(true))
    assert float(metric.compute()["f1"]) == pytest.approx(expected["f1"])


def test_a_class_that_no_sample_has_does_not_count_as_an_auc_of_0():
    """The AUCs of the two classes that there are, 0.5 and 0.25, have the mean 0.375; with a 0 for the third it was 0.25."""
    probabilities = np.array([[0.3, 0.2, 0.5], [0.1, 0.4, 0.5], [0.2, 0.1, 0.7], [0.2, 0.3, 0.5]])
    true = np.array([0, 0, 1, 1])
    assert class_scores(true, probabilities, true)["auc"] == pytest.approx(0.375)
    assert float(streamed(np.log(probabilities), true).compute()["auc"]) == pytest.approx(0.375)


def test_of_many_samples_some_are_scored():
    true = np.repeat([0, 1], 5_000)
    metric = streamed(np.eye(2)[true] + np.random.default_rng(0).normal(0, 1, (10_000, 2)), true, parts=100, size=4_000)
    assert len(metric.rows[0]) == len(metric.keys[0]) == 4_000
    assert float(metric.compute()["auc"]) == pytest.approx(0.841, abs=0.02)


def test_an_epoch_that_is_not_over_goes_on_with_what_it_saw():
    rng = np.random.default_rng(0)
    true, logits = rng.integers(0, 3, 60), rng.normal(0, 1, (60, 3)).astype(np.float32)
    module, other = (
        torch.nn.ModuleDict({"a": streamed(logits[:40], true[:40])}),
        torch.nn.ModuleDict({"a": ClassMetrics(softmax_of)}),
    )
    restore_running(other, running_state(module))
    other["a"].update(torch.from_numpy(logits[40:]), torch.from_numpy(true[40:]))
    assert float(other["a"].compute()["auc"]) == pytest.approx(class_scores(true, softmax_of(logits), true)["auc"])


def test_a_model_that_diverged_has_no_scores():
    metric = streamed(np.full((4, 2), np.nan), np.array([0, 1, 0, 1]))
    assert all(value.isnan() for value in metric.compute().values())
