"""Which options belong to which recipe, and which ones the help shows first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from aam.cli.options import names_of
from aam.cli.spelling import flag
from aam.errors import InputError, first_few
from aam.options import (
    CacheOptions,
    EncoderOptions,
    EnsembleOptions,
    EvaluateFitOptions,
    FoldPretrainOptions,
    ModelOptions,
    TrainComputeOptions,
    TrainFitOptions,
    TrainObjectives,
    TreeOptions,
)

Recipe = Literal["ensemble", "transformer"]

_TRAINED = names_of(ModelOptions, TrainObjectives, TrainComputeOptions) | {
    "val_fraction",
    "loss_type",
    "asymmetry",
    "class_order",
    "rarefy_each_epoch",
}
OF_ENSEMBLE = names_of(EnsembleOptions) | {"jobs"}
OF_TRANSFORMER = (
    _TRAINED
    | names_of(EncoderOptions, TrainFitOptions, TreeOptions, CacheOptions)
    | {"fusion", "stream", "val_samples", "target_weights"}
) - {"seed"}
# In an evaluation a tree is for nearest neighbours too, and the cache for the tree; several devices are refused whatever is fitted.
OF_EVALUATED_TRANSFORMERS = (_TRAINED | {"fusion"} | names_of(EvaluateFitOptions, FoldPretrainOptions)) - {"seed", "devices"}

_READ = ("table", "rep_seqs", "metadata", "metadata_column", "classifier", "group_column", "where")
# What the help shows of each command; --help-all shows the rest. A command that is not here shows all it has.
SHOWN: Mapping[str, Sequence[str]] = {
    "train": (
        *_READ, "ignore_missing", "sampling_depth", "test_fraction", "recipe", "trees", "augment", "seed", "output_dir",
        "overwrite",
    ),
    "tune": (
        *_READ, "ignore_missing", "test_fraction", "recipe", "space", "trials", "timeout", "jobs", "storage", "seed", "output_dir",
        "resume",
    ),
    "train transformer": (
        *_READ, "recipe", "pretrained_encoder", "freeze_base", "epochs", "batch_size", "lr", "output_dir", "resume",
    ),
    "pretrain": (
        "table", "rep_seqs", "tree", "metadata", "group_column", "encoder_type", "unifrac_metric", "test_fraction",
        "embedding_dim", "attention_layers", "epochs", "batch_size", "lr", "devices", "output_dir", "resume",
    ),
    "evaluate": (
        *_READ, "tree", "folds", "repeats", "test_table", "confounder_column", "only_baselines", "transformers", "robustness",
        "output_dir",
    ),
}  # fmt: skip


def unused_by(recipe: Recipe) -> frozenset[str]:
    """Options of the other recipe."""
    return OF_TRANSFORMER if recipe == "ensemble" else OF_ENSEMBLE


def shown_by_help(words: Sequence[str]) -> Collection[str] | None:
    """Flags that the help asked for by a command line shows; None for all of them."""
    command = next((word for word in words if not word.startswith("-")), "")
    if "--help-all" in words or command not in SHOWN:
        return None
    transformer = f"{command} transformer"
    chosen = transformer if transformer in SHOWN and _value(words, "--recipe") == "transformer" else command
    return {flag(name) for name in SHOWN[chosen]}


def refuse_unused(command: str, given: Mapping[str, Sequence[str]]) -> None:
    """Refuse options that the run would not use; given: the words of each option, by name, from command line and config file."""
    if command in ("train", "tune"):
        recipe = (given.get("recipe") or ("ensemble",))[-1]
        other = "transformer" if recipe == "ensemble" else "ensemble"
        if recipe in ("ensemble", "transformer"):
            # `devices=1` runs alone, whatever is fitted; more are refused with the recipe's other options.
            unused = unused_by("ensemble" if recipe == "ensemble" else "transformer") - ({"devices"} if _is_one(given) else set())
            _refuse(given, unused, f"`recipe={other}`")
    elif command == "evaluate":
        if not _is_on(given, "transformers"):
            _refuse(given, OF_EVALUATED_TRANSFORMERS, "`transformers`")
        if _is_on(given, "only_baselines"):
            _refuse(given, OF_ENSEMBLE, "AAM, which `only_baselines` leaves out")


def _refuse(given: Iterable[str], unused: Collection[str], belongs: str) -> None:
    if wrong := [name for name in given if name in unused]:
        names = first_few([f"`{name}`" for name in wrong])
        verb, what = ("belongs", "it") if len(wrong) == 1 else ("belong", "them")
        raise InputError(f"{names} {verb} to {belongs}: leave {what} out, or ask for that")


def _is_on(given: Mapping[str, Sequence[str]], name: str) -> bool:
    return name in given and given[name][-1].lower() not in ("no", "false", "0")


def _is_one(given: Mapping[str, Sequence[str]]) -> bool:
    return given.get("devices", ["1"])[-1] == "1"


def _value(words: Sequence[str], option: str) -> str | None:
    for place, word in enumerate(words):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option and place + 1 < len(words):
            return words[place + 1]
    return None
