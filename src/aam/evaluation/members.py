"""What the members of an ensemble say in each fold: kept, weighed, and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam import page
from aam.disk.writing import whole
from aam.ensemble.ensemble import Judged, said_by
from aam.ensemble.members import MEMBERS, MemberName
from aam.ensemble.weights import Weighing
from aam.errors import counted
from aam.evaluation.compare import Outcome, mean_score
from aam.options import MEMBER_LABELS
from aam.saved.ensemble import FittedEnsemble
from aam.scoring.measures import Measure
from aam.study.study import Study
from aam.study.targets import Target


@dataclass(frozen=True, eq=False)
class MembersInFold:
    """judged: what members say of training samples that they did not learn from; said: of the held-out samples, in training units
    [n] or as class probabilities [n, K]; target: fitted to the training samples.
    """

    judged: Judged
    said: dict[MemberName, np.ndarray]
    target: Target

    @classmethod
    def of(cls, fitted: FittedEnsemble, study: Study, rows: np.ndarray) -> MembersInFold:
        """Of a fresh ensemble, and held-out samples `rows`."""
        assert fitted.members is not None  # it is fresh
        members = fitted.members
        return cls(members.judged, said_by(members.fitted.members, fitted.see(study), rows), fitted.target.target)

    def predict(self, names: Sequence[MemberName]) -> np.ndarray:
        """What an ensemble of some of the members predicts for the held-out samples, in original units or as probabilities."""
        return self.target.decode(self.judged.of(names).combine(self.target)[0].of(self.said))

    def weigh(self, names: Sequence[MemberName]) -> Weighing:
        """How much each of some of the members counts, and why."""
        return self.judged.of(names).combine(self.target)[1]

    def save(self, path: Path) -> None:
        """Write a file of NumPy's, without code."""
        arrays = {"truth": self.judged.truth, "units": self.judged.units}
        arrays |= {f"judged.{name}": part for name, part in self.judged.said.items()}
        arrays |= {f"said.{name}": part for name, part in self.said.items()}
        with whole(path) as new, new.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path, target: Target) -> MembersInFold:
        """Read what `save` wrote; target: fitted to the training samples of the fold."""
        with np.load(path, allow_pickle=False) as found:
            judged, said = (
                {name: found[f"{part}.{name}"] for name in MEMBERS if f"{part}.{name}" in found} for part in ("judged", "said")
            )
            return cls(Judged(found["truth"], judged, found["units"]), said, target)


@dataclass(frozen=True)
class MemberInEvaluation:
    """A member over all folds: how much it counts in each, how far it is behind the best one there (see `Weighing`), and its own
    score on held-out samples; told: whether members told the classes apart at all, in each.
    """

    name: MemberName
    weights: tuple[float, ...]
    behind: tuple[float, ...]
    score: float
    told: tuple[bool, ...] = ()

    @property
    def weight(self) -> float:
        """Mean weight."""
        return float(np.mean(self.weights))


def summarise_members(outcome: Outcome, members: Sequence[MembersInFold], names: Sequence[MemberName]) -> list[MemberInEvaluation]:
    """Each of the members `names`, those that count most first; members: of each fold of the outcome."""
    weighings = [fold.weigh(names) for fold in members]
    found = []
    for name in names:
        if not all(name in fold.said and name in weighing.weights for fold, weighing in zip(members, weighings, strict=True)):
            continue
        alone = Outcome(outcome.problem, outcome.folds, {name: [_alone(fold, name) for fold in members]})
        weights, behind = (tuple(getattr(weighing, of)[name] for weighing in weighings) for of in ("weights", "behind"))
        told = tuple(weighing.told for weighing in weighings)
        found.append(MemberInEvaluation(name, weights, behind, mean_score(alone, name), told))
    return sorted(found, key=lambda member: -member.weight)


def _alone(fold: MembersInFold, name: MemberName) -> np.ndarray:
    """What a member predicts by itself, in original units or as probabilities, which add up to 1 but for rounding."""
    said = fold.target.decode(fold.said[name])
    return said if said.ndim == 1 else said / said.sum(axis=1, keepdims=True)


def members_table(members: Sequence[MemberInEvaluation], measure: Measure) -> str:
    """As HTML: a row for each member, and a sentence on why they count as they do."""
    rows = [
        [
            MEMBER_LABELS[member.name],
            f"{100 * member.weight:.0f} %",
            f"{100 * min(member.weights):.0f} to {100 * max(member.weights):.0f} %",
            f"{member.score:#.3g}",
            f"{np.mean(member.behind):.1f}",
        ]
        for member in members
    ]
    lacking = (
        "" if sum(member.weight for member in members) > _WHOLE else " Members that some folds lack are left out of this table."
    )
    header = ["member", "mean weight", "weights in the folds", f"{measure.label} by itself", "standard errors behind the best"]
    silent = members[0].told.count(False)
    shares = f" In {counted(silent, 'fold')} nothing told the classes apart, and their shares are said instead." if silent else ""
    return page.table(header, rows, [False] * len(rows)) + page.note(f"{_why(members)} {_HOW}{lacking}{shares}")


# What weights add up to, but for rounding.
_WHOLE = 1 - 1e-6
_HOW = (
    "The weights of a fold come from its training samples only: each member predicts groups that it did not learn from, and is "
    "compared with the best member on the same resampled groups. Members that these groups cannot tell from the best one count "
    "alike; one that is clearly behind counts little or nothing."
)


def _why(members: Sequence[MemberInEvaluation]) -> str:
    first, last = members[0], members[-1]
    text = f"Most weight: {MEMBER_LABELS[first.name]} ({100 * first.weight:.0f} %)"
    if last.weight > 0.5 * first.weight:
        return f"{text}; no member has less than half of that: these groups do not tell which one is best."
    few = [member for member in members if member.weight <= 0.5 * first.weight]
    told = ", ".join(
        f"{MEMBER_LABELS[member.name]} ({100 * member.weight:.0f} %, {np.mean(member.behind):.1f} standard errors behind)"
        for member in few
    )
    return f"{text}; less than half of that: {told}."
