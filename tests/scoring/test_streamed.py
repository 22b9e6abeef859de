import tracemalloc

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn import metrics as sklearn_metrics

from aam.scoring.streamed import ClassMetrics, NucleotideMetrics, PairedMetrics, Reservoir, spearman


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


def test_class_metrics_equal_scikit_learn_and_reset():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 200)
    logits = rng.normal(0, 1, (200, 3)) + 1.5 * np.eye(3)[true]
    metric = ClassMetrics(3)
    for round_ in range(2):  # the second time after a reset
        for part in np.array_split(np.arange(200), 5):
            metric.update(torch.from_numpy(logits[part]).float(), torch.from_numpy(true[part]))
        values = metric.compute()
        assert values["accuracy"].item() == pytest.approx(sklearn_metrics.accuracy_score(true, logits.argmax(1)), abs=1e-6), round_
        balanced = sklearn_metrics.balanced_accuracy_score(true, logits.argmax(1))
        assert values["balanced_accuracy"].item() == pytest.approx(balanced, abs=1e-6)
        probabilities = torch.from_numpy(logits).softmax(1).numpy()
        auc = sklearn_metrics.roc_auc_score(true, probabilities, multi_class="ovr")
        assert values["auc"].item() == pytest.approx(auc, abs=0.01)
        metric.reset()
