"""What came out of a run, read from its folder: figures, sentences, pictures and models that may be sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aam.tracking.sent import copy_model
from aam.tracking.tracker import Conclusion

# Of metrics.json. The rest has values of metadata (by_class, warnings, facts), or was told step by step (history).
_FIGURES = (
    "held_out",
    "held_out_samples",
    "best_value",
    "best_epoch",
    "epochs",
    "encoder_types",
    "cross_fit_folds",
    "weights",
    "member_scores",
)
_OF_A_MODEL = (
    "mean",
    "sd_over_repeats",
    "gain_over_best_simple",
    "coverage",
    "interval_width",
    "classes_in_set",
    "quantile_coverage",
    "quantile_width",
)
_GAIN = "gain_over_best_simple"
# Pictures without a point or a name for each sample, group or class.
_PICTURES = ("loss.png", "learning_rate.png")


@contextmanager
def concluded(folder: Path) -> Iterator[Conclusion]:
    """What came out of the run in `folder`; the copies of its models are there until the end of `with`."""
    metrics = metrics_of(folder)
    with TemporaryDirectory() as place:
        yield Conclusion(
            figures=figures_of(metrics),
            folds=folds_of(metrics),
            texts=_texts(metrics),
            pictures=[folder / "plots" / name for name in _PICTURES if (folder / "plots" / name).is_file()],
            models={name: _copied(model, Path(place) / name) for name, model in models_of(folder).items()},
        )


def metrics_of(folder: Path) -> dict[str, Any]:
    """What metrics.json of a run holds; of an ensemble of several targets the scores of each, where all are there, else nothing.

    ValueError for what is no JSON object.
    """
    path, listed = folder / "metrics.json", folder / "targets.txt"
    if path.is_file():
        return read_object(path)
    names = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    paths = {name: folder / "targets" / name / "metrics.json" for name in names}
    if not paths or not all(place.is_file() for place in paths.values()):
        return {}
    return {"held_out": {name: read_object(place).get("held_out", {}) for name, place in paths.items()}}


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object. ValueError for anything else."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is no object")
    return found


def figures_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The figures of metrics.json that are of the whole run, by names like `held_out/mae`."""
    found = {name: metrics[name] for name in _FIGURES if name in metrics}
    for model, about in metrics.get("models", {}).items():
        kept = {name: about[name] for name in _OF_A_MODEL if name in about}
        gain = dict(zip(("", "_low", "_high"), kept.pop(_GAIN, ()), strict=False))
        found[model] = {**kept.pop("mean", {}), **kept, **{f"{_GAIN}{end}": value for end, value in gain.items()}}
    return dict(_flat(found))


def folds_of(metrics: Mapping[str, Any]) -> list[dict[str, float]]:
    """Scores of each model in each fold of an evaluation; folds have numbers, as their names may be those of groups."""
    scored = {model: about.get("scored", ()) for model, about in metrics.get("models", {}).items()}
    number = max(map(len, scored.values()), default=0)
    return [
        dict(_flat({f"fold/{model}": scores[place] for model, scores in scored.items() if place < len(scores)}))
        for place in range(number)
    ]


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{before}{name}", float(value)


def _texts(metrics: Mapping[str, Any]) -> dict[str, str]:
    if "verdict" in metrics:
        return {"verdict": metrics["verdict"]}
    if "held_out" not in metrics:
        return {}
    scores = ", ".join(f"{name} {value:.4g}" for name, value in _flat(metrics["held_out"]))
    number, part = metrics.get("held_out_samples"), metrics.get("held_out_part")
    return {"verdict": f"held-out samples: {scores}" if number is None else f"{number} held-out samples ({part}): {scores}"}


def models_of(folder: Path) -> dict[str, Path]:
    """Model folders of a run, by name: `model`, or of several targets `model-TARGET`."""
    found = {"model": folder / "model"}
    found |= {f"model-{place.parents[1].name}": place.parent for place in sorted(folder.glob("targets/*/model/config.json"))}
    return {name: place for name, place in found.items() if (place / "config.json").is_file()}


def _copied(model: Path, to: Path) -> Path:
    copy_model(model, to)
    return to
