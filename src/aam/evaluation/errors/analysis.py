"""Where a model is wrong, and for whom: all looks, labels that may be wrong, and what is named, worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from aam.errors import counted
from aam.evaluation.compare import Outcome
from aam.evaluation.errors.confused import Confused, confused_levels
from aam.evaluation.errors.held_out import HeldOut
from aam.evaluation.errors.labels import WrongLabels, nearest_to, said_of, truths_of, wrong_labels
from aam.evaluation.errors.looks import FEW_UNITS, Look, looks_at
from aam.evaluation.errors.missed import missed_by_all, said_by_all
from aam.evaluation.errors.mixture import Mixture
from aam.evaluation.errors.promises import Promise, promises_of
from aam.evaluation.errors.strata import label_of, strata_of
from aam.scoring.intervals import COVERAGE

# Levels whose calibration is shown.
_PROMISES = 6


@dataclass(frozen=True)
class Named:
    """What is more than chance: the sentence for the reader, and how likely chance would do it, of all looks together."""

    sentence: str
    p: float


@dataclass(frozen=True, eq=False)
class ErrorAnalysis:
    """model: whose errors these are; models: that the labels were held against; missed: places of the held-out samples that all of
    these get wrong.
    """

    outcome: Outcome
    model: str
    models: tuple[str, ...]
    held: HeldOut
    looks: tuple[Look, ...]
    labels: WrongLabels
    confused: tuple[Confused, ...]
    promises: tuple[Promise, ...]
    missed: tuple[int, ...]

    @classmethod
    def of(cls, outcome: Outcome, model: str, models: Sequence[str]) -> ErrorAnalysis:
        """Of a model, beside all `models` that learned something."""
        by_model = {name: HeldOut.of(outcome, name) for name in dict.fromkeys([model, *models])}
        mixtures = {name: Mixture.of(one) for name, one in by_model.items()}
        held = by_model[model]
        strata = strata_of(outcome, held.rows)
        looks = looks_at(held, strata, mixtures[model].likely)
        # Where a level of many groups is predicted badly, a bad prediction says nothing of the label.
        bad = {(look.column, look.level) for look in looks if look.named and look.what != "bias" and look.units >= FEW_UNITS}
        among = ~np.any(
            [np.zeros(len(held.rows), dtype=bool), *(one.members for one in strata if (one.column, one.level) in bad)], axis=0
        )
        labels = wrong_labels(by_model, model, mixtures, among)
        confused, promises = confused_levels(outcome, held), promises_of(held, strata_of(outcome, held.rows, each=True), _PROMISES)
        missed = missed_by_all(by_model, model)
        return cls(outcome, model, tuple(models), held, tuple(looks), labels, tuple(confused), tuple(promises), missed)

    @cached_property
    def named(self) -> list[Named]:
        """What the reader should know, the least like chance first: each level once."""
        found: dict[tuple[str, str], list[Look]] = {}
        for look in self.looks:
            if look.named:
                found.setdefault((look.column, look.level), []).append(look)
        said = [Named(self._sentence(looks), looks[0].corrected) for looks in found.values()]
        if self.labels.named:
            said.append(Named(self._about_labels(), self.labels.p))
        return sorted(said, key=lambda one: one.p)

    def _sentence(self, looks: Sequence[Look]) -> str:
        first = looks[0]
        whose = counted(first.samples, "sample") + (f" of {counted(first.units, 'group')}" if first.units < first.samples else "")
        return f"{label_of(first.column, first.level)} ({whose}): " + "; ".join(map(self._about, looks)) + "."

    def _about(self, look: Look) -> str:
        between = f"{_short(look.difference)}, 95 % interval {_short(look.low)} to {_short(look.high)}"
        if look.what == "coverage":
            inside, outside = (f"{100 * share:.0f} %" for share in (look.inside, look.outside))
            kind = "sets" if self.held.of_classes else "intervals"
            return f"their {100 * COVERAGE:.0f} % {kind} hold the truth of {inside}, those of the others of {outside}"
        if look.what == "labels":
            inside, outside = (f"{100 * share:.0f} %" for share in (look.inside, look.outside))
            return f"{inside} of their labels look like another sample's, {outside} of those of the others"
        if look.what == "error":
            what = "less probability for the true class" if self.held.of_classes else "larger errors"
            return f"{what}: {_short(look.inside)} on average, against {_short(look.outside)} (difference {between})"
        way = "low" if look.difference < 0 else "high"
        what = f"the probability of {self.outcome.problem.target.classes[1]} is" if self.held.of_classes else "predictions are"
        return f"{what} too {way}, compared with the others (by {between})"

    def _about_labels(self) -> str:
        number = len(self.labels.suspects)
        verb = "has a label" if number == 1 else "have labels"
        return (
            f"{counted(number, 'sample')} {verb} that every model finds unlikely, and that would fit another sample (about "
            f"{100 * self.labels.share:.1f} % of all labels look so): look them up before anything else."
        )

    def table(self) -> pd.DataFrame:
        """All looks, as errors.tsv holds them."""
        columns = list(Look.__dataclass_fields__)
        rows = [{**asdict(look), "named": look.named} for look in self.looks]
        return pd.DataFrame(rows, columns=[*columns, "named"]).rename(columns={"corrected": "p_of_all_looks"})

    def suspects(self) -> pd.DataFrame:
        """Samples whose label may be wrong, the likeliest first: truth, what each model predicts, nearest training samples."""
        rows = []
        for suspect in self.labels.suspects:
            said = said_of(self.outcome, self._judges, int(self.held.rows[suspect.place]))
            rows.append(self._case(suspect.place, {"likelihood": f"{suspect.likelihood:.3f}", **said}))
        return pd.DataFrame(rows)

    def cases(self, places: Sequence[int]) -> pd.DataFrame:
        """The same in short of some held-out samples, by their places: what the model predicts, and what all do."""
        rows = []
        for place in places:
            row = int(self.held.rows[place])
            said = said_of(self.outcome, [self.model], row)
            together = {f"all {len(self._judges)} models": said_by_all(self.outcome, self._judges, row)}
            rows.append(self._case(place, {**said, **together}))
        return pd.DataFrame(rows)

    @property
    def _judges(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([self.model, *self.models]))

    def _case(self, place: int, said: Mapping[str, str]) -> dict[str, str]:
        ids, row = self.outcome.problem.study.ids, int(self.held.rows[place])
        nearest = nearest_to(self.outcome, row)
        near = zip(ids(np.array(nearest)), truths_of(self.outcome, nearest), strict=True)
        about = {"sample": ids(np.array([row]))[0], "label": truths_of(self.outcome, [row])[0]}
        return {**about, **said, "nearest training samples": ", ".join(f"{name} ({truth})" for name, truth in near)}


def _short(value: float) -> str:
    return f"{value:.3g}"
