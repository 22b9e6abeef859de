"""Fitted models as explanations read them: samples with any counts of the ASVs of one study."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from aam.data.dataset import SampleDataset
from aam.data.table import FeatureTable
from aam.ensemble.catalogue import SeenTable
from aam.ensemble.ensemble import Ensemble, said_by
from aam.explain.attributions import Said
from aam.explain.gradients import Gradients, of_ensemble, of_transformer
from aam.explain.links import Outputs, of_model
from aam.explain.nucleotides import EnsembleSequences, Sequences, TransformerSequences
from aam.explain.scale import of_predictions, output_names, unit_of
from aam.models import SequencePredictor
from aam.models.inference import TableSamples, embed_with, predict_embedded
from aam.options import ExplainBaseline, ReadOptions
from aam.saved.info import TargetInfo


@dataclass(frozen=True, eq=False)
class _OfStudy:
    """What every reader knows: counts of a study as the model reads them, CSR [N, M], and what it predicts."""

    counts: sparse.csr_array
    target: TargetInfo

    @property
    def output_names(self) -> tuple[str, ...]:
        return output_names(self.target.metadata_column, self.target.target)

    @property
    def unit(self) -> str:
        return unit_of(self.target.metadata_column, self.target.target)

    @property
    def outputs(self) -> Outputs:
        """What gradients and effects of nucleotides are of."""
        return Outputs.of(self.target.target, self.target.metadata_column)


@dataclass(frozen=True, eq=False)
class EnsembleReader(_OfStudy):
    """An ensemble. What a member says is taken as if it were the whole ensemble, calibrated as that is: so where the mean of
    members counts, it is the ensemble's prediction, exactly for numbers that are learned on their own scale and for two classes.
    """

    ensemble: Ensemble
    seen: SeenTable

    @property
    def known(self) -> np.ndarray:
        return self.seen.identity > 0

    @property
    def design(self) -> np.ndarray | None:
        """What it reads of the covariates, float32 [N, K], or None."""
        return self.seen.design

    def with_design(self, design: np.ndarray) -> EnsembleReader:
        """The same, of other covariates."""
        return replace(self, seen=replace(self.seen, design=design))

    def read(self, counts: sparse.csr_array, rows: np.ndarray) -> Said:
        """See `Reader`."""
        combination = self.ensemble.combination
        weights = {name: weight for name, weight in combination.weights.items() if weight > 0}
        design = self.seen.design
        table = replace(self.seen, counts=counts, design=None if design is None else design[rows])
        counted = {name: self.ensemble.members[name] for name in weights}
        said = said_by(counted, table, np.arange(counts.shape[0]), combination.calibrations)
        alone = [replace(combination, weights={name: 1.0}).of(said) for name in weights]
        decode = self.target.target.decode
        outputs, *members = (of_predictions(decode(part)) for part in (combination.of(said), *alone))
        return Said(outputs, np.stack(members), np.array(list(weights.values())))

    def gradients(self, rows: np.ndarray, ids: tuple[str, ...], baseline: ExplainBaseline = "empty", show: str = "") -> Gradients:
        """Attributions by gradients of some samples of the study, whose M ASVs are called `ids`."""
        return of_ensemble(self.ensemble, self.seen, rows, self.outputs, ids, baseline, show)

    def sequences(self) -> Sequences | None:
        """The same model, to be asked about other nucleotides; None where it reads none."""
        return None if self.ensemble.catalogue.by_id else EnsembleSequences(self.ensemble, self.seen, self.outputs)


@dataclass(frozen=True, eq=False)
class TransformerReader(_OfStudy):
    """A transformer, of which only the sample level is run.

    vectors: of the ASVs [M, D], on the model's device; design: of the covariates that it reads, float32 [N, K], or None.
    """

    predictor: SequencePredictor
    vectors: Tensor
    design: np.ndarray | None
    batch_size: int

    @property
    def known(self) -> np.ndarray:
        # It reads sequences alone, of all ASVs alike.
        return np.ones(self.counts.shape[1], dtype=bool)

    def read(self, counts: sparse.csr_array, rows: np.ndarray) -> Said:
        """See `Reader`."""
        names = [tuple(map(str, range(size))) for size in counts.shape]
        # Drawn already, where the model rarefies.
        dataset = SampleDataset(FeatureTable(counts, *names), ReadOptions(), 0)
        # The sample level reads no nucleotides.
        samples = TableSamples(dataset, np.ones((counts.shape[1], 1), dtype=np.uint8), np.arange(counts.shape[0]), show=False)
        embedded = embed_with(self.predictor.base_model, self.vectors, samples, self.batch_size)
        said = predict_embedded(self.predictor, embedded, None if self.design is None else self.design[rows])
        target = self.target.target
        outputs = of_model(target)(torch.from_numpy(said.astype(np.float64))).numpy()
        return Said(outputs, outputs[None], np.ones(1))

    def gradients(self, rows: np.ndarray, ids: tuple[str, ...], baseline: ExplainBaseline = "empty", show: str = "") -> Gradients:
        """See `EnsembleReader.gradients`."""
        return of_transformer(self.sequences(), rows, ids, baseline, show)

    def with_design(self, design: np.ndarray) -> TransformerReader:
        """See `EnsembleReader.with_design`."""
        return replace(self, design=design)

    def sequences(self) -> TransformerSequences:
        """See `EnsembleReader.sequences`."""
        return TransformerSequences(self.predictor, self.vectors.cpu().numpy(), self.counts, self.outputs, self.design)
