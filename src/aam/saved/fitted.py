"""What every fitted model can do, whatever fitted it, fresh or loaded."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aam.ensemble.novelty import Measured, Novelty
from aam.errors import InputError, counted, path_of
from aam.options import ExplainOptions
from aam.saved.info import ModelInfo, TargetInfo
from aam.scoring.intervals import COVERAGE, PERCENTS
from aam.study.new_samples import known_truth
from aam.study.study import Study
from aam.study.targets import RegressionTarget

if TYPE_CHECKING:
    from aam.explain.run import Explanation, Model

log = logging.getLogger(__name__)


class Fitted(ABC):
    """A fitted model: it predicts, gives prediction intervals and novelty, embeds where it can, and saves itself.

    info: everything known about it but its weights.
    """

    info: ModelInfo
    # What novelty is measured from, or what fits it when it is asked for: most folds of an evaluation do not need it.
    _novelty: Novelty | Callable[[], Novelty] | None = None
    # The sequences that were looked at last.
    _looked_at: tuple[str, ...] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_novelty": self.known, "_looked_at": None}

    @property
    def known(self) -> Novelty | None:
        """What novelty is measured from; None for a model that does not know."""
        if callable(self._novelty):
            self._novelty = self._novelty()
        return self._novelty

    @property
    def target(self) -> TargetInfo:
        """What it predicts. InputError for an encoder."""
        if self.info.target is None:
            raise InputError("an encoder, which predicts nothing: train on it (`pretrained_encoder`), or use embed")
        return self.info.target

    @property
    def reads_sequences(self) -> bool:
        """Whether it reads the sequences of ASVs; else it knows features by their IDs."""
        return True

    @abstractmethod
    def predict(self, study: Study, rows: np.ndarray | None = None) -> np.ndarray:
        """Numbers in original units [n], or class probabilities [n, K], of the samples `rows` of a study (default: all of them)."""

    def reseeded(self, seed: int) -> Fitted:
        """The same, whose samples are rarefied by another seed. InputError for a model that is not saved."""
        raise InputError("this model predicts from one draw of the reads")

    def require_draws(self, draws: int) -> None:
        """InputError where the reads of a sample cannot be drawn `draws` times, because the model reads all of them."""
        if not isinstance(draws, Integral) or isinstance(draws, bool) or draws < 1:
            raise InputError(f"`draws={draws}`: must be a whole number, at least 1")
        if draws > 1 and self.info.reads.sampling_depth is None:
            raise InputError(
                f"`draws={draws}`: the model reads all reads of a sample, so that all draws are alike; "
                "train with `sampling_depth`, or leave `draws` out"
            )

    def predict_draws(self, study: Study, draws: int, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Predict from several rarefactions of each sample to the sampling depth of the model.

        The first draw is that of `predict`; the others are of the seeds after the model's own, so that they can be repeated.

        Returns
        -------
        mean : ndarray
            Mean of the predictions: numbers in original units [n], or class probabilities [n, K].
        sd : ndarray
            Standard deviation over the draws [n], in the unit of the target; of classes, that of the probability of the class with
            the highest mean. 0 for one draw.

        Raises
        ------
        InputError
            For a model without a sampling depth, if there are several draws.

        """
        self.require_draws(draws)
        seeds = [(self.info.seed + draw) % 2**32 for draw in range(draws)]
        said = np.stack([(self.reseeded(seed) if seed != self.info.seed else self).predict(study, rows) for seed in seeds])
        mean, sd = said.mean(axis=0), said.std(axis=0, ddof=int(draws > 1))
        return mean, sd if mean.ndim == 1 else sd[np.arange(len(mean)), mean.argmax(axis=1)]

    def limit(self, coverage: float = COVERAGE) -> float:
        """Score that a sample of a new group stays below with probability `coverage`: an absolute error in the target's unit, or
        1 - the probability of the true class (see `aam.scoring.intervals`).

        InputError where too few groups were held out to know it, and for a coverage that is not from 0.5 to 0.99.
        """
        if not isinstance(coverage, Real) or not PERCENTS[0] <= 100 * coverage <= PERCENTS[-1] + 1e-9:
            raise InputError(f"`coverage={coverage}`: must be from 0.5 to 0.99")
        percent = math.ceil(100 * coverage - 1e-9)
        if str(percent) not in self.target.intervals:
            raise InputError(f"prediction intervals of {percent} % are not known: too few groups were held out to calibrate them")
        return self.target.intervals[str(percent)]

    def measure(self, study: Study) -> Measured | None:
        """A study's samples beside the training samples: how far their ASVs are, and how many reads and ASVs they have. None for a
        model that does not know.
        """
        return None if self.known is None else self.known.measure(study.read_as(self.info.reads), self.info.seed)

    def look_at(self, study: Study) -> None:
        """Compare a study's ASVs with those of the training samples, where they are known: a warning where most are of another
        region. InputError where most are reverse complements.
        """
        # What fits novelty is not called: it stands in for it where samples are of the training study.
        asvs = self._novelty.asvs if isinstance(self._novelty, Novelty) else None
        if asvs is None or asvs.region is None or study.sequences is None or study.sequences is self._looked_at:
            return
        number = counted(len(study.sequences), "ASV")
        unlike, turned = asvs.region.unlike(study.read_as(replace(study.reads, max_bp=self.info.reads.max_bp)))
        if turned > 0.5:
            raise InputError(
                f"the sequences look reverse-complemented: {turned:.0%} of {number} are like those that the "
                "model learned from only once they are turned round; give the reverse complement of each "
                "(seqkit seq -r -p makes them), as the ID or with `rep_seqs`"
            )
        if unlike > 0.5:
            log.warning(
                "%.0f %% of %s are of another region than those that the model learned from, or their first letter is another "
                "(a primer left in, or cut elsewhere), or they are much shorter: what it says of them is worth little; give "
                "sequences of the region in its card",
                100 * unlike,
                number,
            )
        # What is refused is refused again, and a warning is said once.
        self._looked_at = study.sequences

    def novelty(self, study: Study, rows: np.ndarray | None = None) -> np.ndarray | None:
        """How far the ASVs of each sample are from those of the training samples [n], or by how much it has too few reads or ASVs:
        above 1 the sample is out of distribution. None for a model that does not know.
        """
        measured = self.measure(study)
        found = None if measured is None else measured.novelty
        return found if found is None or rows is None else found[rows]

    def quantiles(self, study: Study, rows: np.ndarray | None = None) -> np.ndarray:
        """Quantiles of a number in original units [n, Q], at the levels of its target (`quantiles`), of the samples `rows`: they
        rise, and the median is the prediction. InputError for a model that was fitted without, or to too few groups.
        """
        found = self.banded(study, self.predict(study, rows), rows)
        if found is None:
            raise InputError("quantiles are not known: the model was fitted without `quantiles`, or to fewer groups than they need")
        return found

    def banded(self, study: Study, predicted: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray | None:
        """The same of samples whose predictions [n] are there, or their mean over draws; None where they are not known."""
        about = self.target
        if about.band is None or not isinstance(about.target, RegressionTarget):
            return None
        return about.target.within(about.band.around(predicted))

    def placed(self, study: Study, rows: np.ndarray | None, decoded: np.ndarray) -> np.ndarray:
        """Decoded predictions of the samples `rows` in the unit of their truth, where that differs by the levels of a column.
        InputError for a study without that.
        """
        target = self.target.target
        if not isinstance(target, RegressionTarget) or target.levels is None:
            return decoded
        labels = target.levels.of_study(study)
        return target.placed(decoded, labels if rows is None else labels[rows])

    def certainty(
        self, predicted: np.ndarray, measured: Measured | None, quantiles: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """How sure each prediction [n] of a study's samples is, by the names of columns: 90 % prediction intervals (lower, upper)
        or sets of classes (set), quantiles (q0.1; [n, Q], see `banded`), and the novelty (`Measured.columns`), as far as they are
        known.
        """
        columns: dict[str, np.ndarray] = {}
        if str(round(100 * COVERAGE)) in self.target.intervals:
            columns |= self.target.target.interval_table(predicted, self.limit())
        if quantiles is not None:
            columns |= self.target.target.quantile_table(quantiles)
        return columns if measured is None else columns | measured.columns()

    def embed(self, study: Study, rows: np.ndarray | None = None) -> np.ndarray:
        """Sample embeddings float32 [n, D]. InputError for a model that has none."""
        raise InputError(
            "an ensemble (what train fits by default) has no embeddings; train with `recipe=transformer`, or pretrain an encoder"
        )

    def embed_asvs(self, study: Study) -> np.ndarray:
        """ASV embeddings float32 [M, D]. InputError for a model that has none."""
        return self.embed(study)

    def reader(self, study: Study) -> Model:
        """The model on the ASVs of a study, for made-up counts of them: what explanations read. InputError for an encoder."""
        raise InputError("an encoder, which predicts nothing that could be explained: train on it (`pretrained_encoder`)")

    def explain(
        self,
        study: Study,
        samples: Collection[str] | None = None,
        *,
        show: bool = False,
        keep_in: str | Path | None = None,
        **options: Any,
    ) -> Explanation:
        """What the predictions of samples come from, and how far that is true of the model; ``aam explain`` calls it.

        Parameters
        ----------
        study : Study
            Samples and their ASVs; its metadata hold the group column and the confounder column, where they are named.
        samples : collection of str, optional
            IDs of the samples to explain. Default: all.
        show : bool
            Show progress on standard error.
        keep_in : path, optional
            Folder where what was found by deletion, gradients and permutation is kept: the same explanation, asked for again, goes
            on from there and does all else again.
        **options
            The fields of `aam.options.ExplainOptions`: `method`, `baseline`, `max_samples`, `tree`, `taxonomy`,
            `group_column`, `confounder_column`, `permutation`, `permutation_repeats`, `seed`.

        Returns
        -------
        Explanation
            `verdict` is its first sentence, `write(folder)` writes the page and the tables.

        Raises
        ------
        InputError
            For a sample that is not in the study, a file that cannot be used, a method that the model does not have, and a folder
            that holds another explanation.

        Examples
        --------
        >>> import aam
        >>> model = aam.load("ecam-day")  # doctest: +SKIP
        >>> model.explain(aam.read_study("table.biom"), max_samples=100).write("why")  # doctest: +SKIP

        """
        if getattr(self.target.target, "levels", None):
            raise InputError("`target_transform=zscore-within`: such a model is not explained, since its unit differs by level")
        # Statistics and pictures, which a model does not need to predict.
        from aam.explain.run import Asked, explain, rows_of

        study, chosen = study.read_as(self.info.reads), ExplainOptions(**options)
        reader, column, rows = self.reader(study), self.target.metadata_column, rows_of(study, samples)

        def shuffled(seed: int) -> Model:
            return self.shuffled(seed).reader(study)

        target, metadata = self.target.target, study.full_metadata
        truth = known_truth(metadata, study.table.sample_ids, column, target) if chosen.permutation else None
        known = self.info.learned_from
        places = self.target.covariates.places
        asked = Asked(reader, study, column, rows, self.novelty(study), shuffled, truth, target.measure, known, places)
        if keep_in is not None:
            asked = replace(asked, fingerprint=self.fingerprint(), keep_in=path_of("keep_in", keep_in))
        return explain(replace(asked, show=show), chosen)

    def shuffled(self, seed: int = 0) -> Fitted:
        """The same model with shuffled weights, in which nothing is left that was learned: what is said of the model must not be
        true of it. InputError for an encoder.
        """
        raise InputError("an encoder, which predicts nothing that could be explained: train on it (`pretrained_encoder`)")

    def fingerprint(self) -> str:
        """A hash of all that was learned. InputError for a model that cannot be explained."""
        raise InputError("an encoder, which predicts nothing that could be explained: train on it (`pretrained_encoder`)")

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Write the model folder, which `aam.load` and ``aam predict`` read. InputError for a model that cannot be saved."""
