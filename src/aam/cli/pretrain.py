"""``aam pretrain``: learn from a table without labels."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from aam.cli.usage import check_together
from aam.errors import InputError
from aam.options import (
    BestMetric,
    CacheOptions,
    ConfigFile,
    FitOptions,
    ModelOptions,
    OutputOptions,
    PretrainObjectives,
    PretrainSampleOptions,
    ReadOptions,
    TableOptions,
    TrainComputeOptions,
    TreeOptions,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from aam.data.dataset import SampleDataset
    from aam.models import SequenceEncoder
    from aam.study.study import Study

log = logging.getLogger(__name__)

# Held-out samples of which all pairs are scored; more add nothing to a correlation and cost their square.
_SCORED_SAMPLES = 1_000
_SHOWN_PAIRS = 5_000
# Of those, samples of two blocks that are compared at a time.
_COMPARED_SAMPLES = 100
# What --best-metric may be; the first is its default.
DISTANCE_METRICS: tuple[BestMetric, ...] = ("unifrac_mse", "unifrac_spearman", "loss")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PretrainConfig(ConfigFile):
    data: TableOptions
    reads: ReadOptions = ReadOptions()
    distances: TreeOptions = TreeOptions()
    samples: PretrainSampleOptions = PretrainSampleOptions()
    model: ModelOptions = ModelOptions()
    objectives: PretrainObjectives = PretrainObjectives()
    fit: FitOptions = FitOptions()
    compute: TrainComputeOptions = TrainComputeOptions()
    output: OutputOptions
    caching: CacheOptions = CacheOptions()

    def __post_init__(self) -> None:
        check_together(self.data, self.compute, self.fit)
        weights = self.objectives
        if weights.penalty == weights.nuc_penalty == weights.count_penalty == 0:
            raise InputError("--penalty, --nuc-penalty and --count-penalty are all 0: there is nothing to learn")


def pretrain(config: PretrainConfig) -> None:
    """Learn from a table without labels: UniFrac between samples, and masked nucleotides.

    The output folder serves train (--pretrained-encoder) and embed.
    """
    import numpy as np

    from aam.cli.run.folder import start_run
    from aam.cli.run.results import score_table, write_metrics
    from aam.compute import check_compute
    from aam.disk.cache import Cache
    from aam.learners.transformer import fit_encoder
    from aam.saved.folder import ModelInfo, save_model
    from aam.study.study import read_distances_of, read_study, write_split
    from aam.training.fit import check_fit, monitor_of

    learns_distances = config.objectives.penalty > 0
    monitor = monitor_of(config.fit.best_metric, DISTANCE_METRICS if learns_distances else ("loss",))
    check_compute(config.compute)
    folder = start_run(config)
    cache = Cache.of(config.caching)
    study = read_study(config.data, config.reads, config.samples)
    split = study.split(config.samples, config.fit.seed)
    check_fit(config.fit, split, learns_distances)
    distance = read_distances_of(study, config.distances, folder, config.output.resume, cache) if learns_distances else None
    write_split(study, split, folder, config.output.resume)
    fitted = fit_encoder(study, split, distance, config, folder, monitor)
    fitted.plan.log_peak()

    part, held_out = split.held_out
    encoder, dataset = fitted.encoder, fitted.dataset
    scores = {} if distance is None else score_distances(encoder, distance, study, dataset, held_out, folder)
    learned_from = study.ids(np.concatenate([split.train, split.val]))
    save_model(folder / "model", encoder, ModelInfo(config.model, config.reads, metric_name(config), None, learned_from, scores))
    write_metrics(folder, fitted.result, {"held_out_part": part, "held_out_samples": len(held_out), "held_out": scores})
    if scores:
        log.info("%s", score_table(f"UniFrac of {len(held_out)} held-out samples ({part})", scores))
    log.info("wrote %s", folder)


def metric_name(config: PretrainConfig) -> str | None:
    """What the embedding's distances are, None when they were not trained."""
    if config.objectives.penalty == 0:
        return None
    return "precomputed" if config.distances.unifrac_matrix else config.distances.unifrac_metric


def distances_of(distance: nn.Module, dataset: SampleDataset, study: Study, rows: np.ndarray) -> Tensor:
    """Distances float [rows, rows], some samples against some others at a time: of many, most nodes are of few."""
    import torch

    from aam.data.dataset import Collate

    collate = Collate(study.asv_tokens)
    blocks = torch.arange(len(rows)).split(_COMPARED_SAMPLES)
    found = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for number, first in enumerate(blocks):
        for second in blocks[number:]:
            both = torch.cat([first, second]).unique()
            batch = collate([dataset[0, int(rows[place])] for place in both])
            found[both[:, None], both] = distance(batch.columns, batch.counts, batch.sample_index).double()
    return found


def score_distances(
    encoder: SequenceEncoder, distance: nn.Module, study: Study, dataset: SampleDataset, rows: np.ndarray, folder: Path
) -> dict[str, float]:
    """Score all pairs of the held-out samples (of a thousand, when there are more), with a plot."""
    import numpy as np
    import torch

    from aam.compute import default_device
    from aam.models.inference import TableSamples, embed_samples
    from aam.scoring.plots import save, scatter
    from aam.scoring.scores import distance_scores
    from aam.training.objectives.unifrac import sample_pairs

    if len(rows) > _SCORED_SAMPLES:
        rows = np.sort(np.random.default_rng(dataset.seed).choice(rows, _SCORED_SAMPLES, replace=False))
    embeddings = torch.from_numpy(embed_samples(encoder.to(default_device()), TableSamples(dataset, study.asv_tokens, rows), 64))
    pairs = sample_pairs(embeddings, distances_of(distance.cpu(), dataset, study, rows))
    predicted, true = pairs.predicted.numpy(), pairs.true.numpy()
    shown = np.random.default_rng(0).permutation(len(true))[:_SHOWN_PAIRS]
    figure = scatter(
        np.stack([predicted, true], axis=1)[shown], "UniFrac", "distance between embeddings", "pairs of held-out samples"
    )
    save(figure, folder / "plots" / "unifrac.png")
    return distance_scores(predicted, true)
