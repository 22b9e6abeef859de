"""How training samples are changed at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from aam.errors import InputError
from aam.options.checks import Options

AugmentName = Literal["rarefy", "dropout", "contaminate", "errors", "reverse", "trim", "phylomix", "cutmix", "mixup"]
# An augmentation, and the most that it may do.
Step = tuple[AugmentName, float]
# By name: what is taken where no strength is given, and what is allowed.
STRENGTHS: Mapping[AugmentName, tuple[float, float]] = {
    "rarefy": (0.5, 0.99),
    "dropout": (0.3, 0.99),
    "contaminate": (0.05, 1.0),
    "errors": (0.01, 0.1),
    "reverse": (0.5, 1.0),
    "trim": (0.3, 0.9),
    "phylomix": (0.5, 1.0),
    "cutmix": (0.5, 1.0),
    "mixup": (0.5, 1.0),
}
CHANGE_SEQUENCES: tuple[AugmentName, ...] = ("errors", "reverse", "trim")
MIX_SAMPLES: tuple[AugmentName, ...] = ("phylomix", "cutmix", "mixup")
AUTO = "auto"
# What `auto` compares with training samples as they are.
CANDIDATES: tuple[str, ...] = ("rarefy", "contaminate", "mixup")


@dataclass(frozen=True, kw_only=True)
class AugmentOptions(Options):
    augment: str | None = None
    """Change training samples at random: NAME[=STRENGTH],... of rarefy, dropout (of ASVs), contaminate, errors (of nucleotides),
    reverse (complement), trim, phylomix, cutmix, mixup; or auto: what inner folds say helps, if anything. Default: not at all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # What is wrong is said when options are made.
        self.steps  # noqa: B018

    @property
    def is_auto(self) -> bool:
        """Whether it is to be chosen."""
        return self.augment == AUTO

    @property
    def steps(self) -> tuple[Step, ...]:
        """Augmentations with their strengths; none for `auto`, which is not known yet. InputError for what is no such thing."""
        if self.augment is None or self.is_auto:
            return ()
        found: dict[AugmentName, float] = {}
        for part in self.augment.split(","):
            name, strength = _step(part.strip(), self.augment)
            if name in found:
                raise InputError(f"`augment={self.augment}`: {name} is there twice")
            found[name] = strength
        return tuple(found.items())


def _step(part: str, whole: str) -> Step:
    name, _, given = part.partition("=")
    if name not in get_args(AugmentName):
        alone = f"; {AUTO} stands alone" if name == AUTO else ""
        raise InputError(f"`augment={whole}`: {name or 'nothing'} is not one of {', '.join(get_args(AugmentName))}{alone}")
    known: AugmentName = name  # type: ignore[assignment]
    usual, most = STRENGTHS[known]
    try:
        strength = float(given) if "=" in part else usual
    except ValueError:
        strength = float("nan")
    if not 0 < strength <= most:
        raise InputError(f"`augment={whole}`: the strength of {name} must be a number above 0, and {most:g} at most")
    return known, strength


def check_augment(
    options: AugmentOptions, *, sequences: bool, tree: bool, several: bool = False, frozen: bool = False, planned: bool = False
) -> None:
    """InputError for an augmentation that a fit cannot have: there are features with sequences, and a tree, or not; it is a
    transformer of several targets; its base is frozen; its memory is planned.
    """
    if options.augment is None:
        return
    if frozen:
        raise InputError("`augment` with `freeze_base`: a frozen encoder runs once, on the samples as they are; leave one out")
    names = dict(options.steps)
    if several and (options.is_auto or any(name in names for name in MIX_SAMPLES)):
        what = "is chosen by one target" if options.is_auto else "mixes samples of which one may lack a value"
        raise InputError(f"`augment={options.augment}` {what}: not for several targets of a transformer; leave it out")
    if planned:
        raise InputError("`augment` with `max_memory_gb` or `auto_batch_size`: these plan for unchanged samples; leave one out")
    changed = [name for name in CHANGE_SEQUENCES if name in names]
    if changed and not sequences:
        raise InputError(f"`augment={changed[0]}` changes sequences, and these features have none; leave it out")
    if "phylomix" in names and not tree:
        advice = "take cutmix or mixup, or a run that reads one (evaluate; a transformer whose `penalty` is above 0)"
        raise InputError(f"`augment=phylomix` needs a tree, and this run has none: {advice}")
