"""The section of the page on robustness: what was done, a picture, and a table."""

from __future__ import annotations

from collections.abc import Sequence

from aam import page
from aam.evaluation import pictures
from aam.evaluation.robustness import FOREST, Fall
from aam.scoring.measures import Measure

_ABOUT = (
    "Held-out samples of the first repeat, made worse on purpose, and predicted by the models of their folds. Reads left "
    "out: drawn without replacement. ASVs left out: each with this probability. Contamination: reads of a training sample "
    "drop in, as a share of the sample's own. Nucleotide errors: each nucleotide is read as another with this probability, "
    "the same for all reads of an ASV. Reverse complement: all sequences are turned round; a model that knows ASVs by their "
    "identity knows none of them. Change: gain over the score of the same samples as they are, below 0 where it is worse, "
    "with its 95 % interval. robustness.tsv holds these figures."
)


def robustness_section(falls: Sequence[Fall], measure: Measure) -> str:
    """HTML of the scores at each level."""
    names = list(dict.fromkeys(fall.perturbation for fall in falls))
    graded = [name for name in names if sum(fall.perturbation == name for fall in falls) > 2 * len({fall.model for fall in falls})]
    drawn = [
        pictures.svg(pictures.fall(name, [one for one in falls if one.perturbation == name], measure, FOREST), f"score by {name}")
        for name in graded
    ]
    rows = [
        [
            fall.perturbation,
            f"{100 * fall.level:g} %",
            fall.model,
            f"{fall.score:#.3g}".rstrip("."),
            f"{measure.signed(fall.change)} ({measure.between(fall.change_low, fall.change_high)})" if fall.level else "-",
        ]
        for fall in falls
    ]
    rows.sort(key=lambda row: names.index(row[0]))
    header = ["perturbation", "level", "model", measure.label, "change (95 % interval)"]
    table = page.table(header, rows, [row[2] != FOREST for row in rows])
    return "\n".join([page.side_by_side(drawn), page.note(_ABOUT), table])
