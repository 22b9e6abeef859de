"""Which ASVs carry the predictions of held-out samples: each is explained by the ensemble of the fold that holds it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from aam import page
from aam.errors import InputError
from aam.evaluation.kept import KeptFolds
from aam.explain.attributions import Reader, Said
from aam.explain.gradients import Gradients
from aam.explain.nucleotides import Sequences
from aam.explain.run import Asked, Explanation, Model, explain
from aam.explain.story import ranked
from aam.options import ExplainBaseline, ExplainOptions
from aam.saved.fitted import Fitted
from aam.saved.load import load
from aam.study.folds import Fold
from aam.study.problem import Problem

# ASVs that the report of the evaluation names; the page of the explanation names more.
_NAMED = 10


@dataclass(frozen=True, eq=False)
class FoldsReader:
    """The models of several folds as one, of the samples that they hold out. readers: one for each fold, of the same study; of:
    int64 [N], the fold that holds out each sample of the study, -1 where none does.

    What its members say is not told apart: other members may count in each fold.
    """

    readers: Sequence[Model]
    of: np.ndarray

    @property
    def counts(self) -> sparse.csr_array:
        return self.readers[0].counts

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.readers[0].output_names

    @property
    def unit(self) -> str:
        return self.readers[0].unit

    @property
    def known(self) -> np.ndarray:
        """ASVs that the model of some fold knows."""
        return np.logical_or.reduce([reader.known for reader in self.readers])

    @property
    def design(self) -> np.ndarray | None:
        """None: each fold has scaled covariates by itself."""

    def with_design(self, design: np.ndarray) -> Reader:
        raise InputError("covariates of the models of folds are scaled in each fold: they are not permuted together")

    def read(self, counts: sparse.csr_array, rows: np.ndarray) -> Said:
        """See `Reader`; ValueError for samples that no fold holds out."""
        fold = self.of[rows]
        if (fold < 0).any():
            raise ValueError("samples that no fold holds out")
        outputs = np.empty((len(rows), len(self.output_names)))
        for place in np.unique(fold).tolist():
            some = np.flatnonzero(fold == place)
            outputs[some] = self.readers[place].read(counts[some], rows[some]).outputs
        return Said(outputs, outputs[None], np.ones(1))

    def gradients(self, rows: np.ndarray, ids: tuple[str, ...], baseline: ExplainBaseline = "empty", show: str = "") -> Gradients:
        raise InputError("the models of folds are explained by deletion alone (`method=deletion`)")

    def sequences(self) -> Sequences | None:
        """None: an ASV has other nucleotides that matter in each fold."""
        return None


def explain_folds(problem: Problem, folds: Sequence[Fold], kept: KeptFolds, options: ExplainOptions) -> Explanation:
    """Explain the held-out samples of the first repeat, by the models of its folds, which are kept."""
    study = problem.study
    first = [fold for fold in folds if fold.repeat == 0]
    models = [load(kept.model(fold)) for fold in first]
    of, novelty = np.full(len(problem), -1), np.full(len(problem), np.nan)
    for place, (fold, model) in enumerate(zip(first, models, strict=True)):
        of[fold.test] = place
        if (measured := model.novelty(study, fold.test)) is not None:
            novelty[fold.test] = measured

    def reader(fitted: Sequence[Fitted]) -> FoldsReader:
        return FoldsReader([model.reader(study) for model in fitted], of)

    def shuffled(seed: int) -> FoldsReader:
        return reader([model.shuffled(seed) for model in models])

    rows = np.flatnonzero(of >= 0)
    return explain(Asked(reader(models), study, problem.column, rows, novelty, shuffled, show=True), options)


def explained_section(explanation: Explanation) -> str:
    """As HTML: the verdict, the ASVs that matter most, and where more of it is."""
    importance = explanation.importances[0]
    main = importance.spread.argmax(axis=1)
    several = len(importance.output_names) > 1
    rows = [
        [
            explanation.name(importance.features, row),
            f"{importance.spread[row].sum():.3g}",
            f"{importance.mean[row, main[row]]:+.3g}" + (f" ({importance.output_names[main[row]]})" if several else ""),
            f"{100 * importance.agreement[row, main[row]]:.0f} %",
            f"{importance.samples[row]:,}",
        ]
        for row in ranked(importance)[:_NAMED].tolist()
    ]
    unit = explanation.attributions[0].unit
    header = [explanation.noun, f"importance ({unit})", "mean change by it", "of the same sign", "samples that have it"]
    how = (
        "Each held-out sample of the first repeat is explained by the ensemble of the fold that holds it out: each ASV is taken "
        "out of it in turn. Importance: how far the changes of the prediction are apart over these "
        "samples (mean absolute deviation, 0 where a sample does not have the ASV)."
    )
    where = '<p><a href="explain.html">explain.html</a> says more; importance.tsv and attributions.tsv hold the figures.</p>'
    table = page.table(header, rows, [False] * len(rows))
    return "\n".join([page.bullets([explanation.verdict]), table, page.note(how), where])
