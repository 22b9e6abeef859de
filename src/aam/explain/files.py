"""Explanations as files that other tools read: QIIME 2, EMPress, EMPeror, iTOL, NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from aam.disk.qza import BIPLOT, IMPORTANCE, whole_or_artifact, write_table
from aam.disk.writing import whole, write_text, write_tsv
from aam.explain.attended import Attended, write_attention
from aam.explain.attributions import Attributions, Importance, Kind
from aam.explain.nucleotides import LETTERS
from aam.explain.ordination import biplot
from aam.explain.permutation import PermutationImportance
from aam.explain.story import DIRECTIONS, Story
from aam.explain.summary import direction_of, ranked

# Of what raises, lowers, or acts either way.
COLOURS = {1: "#d55e00", -1: "#0072b2", 0: "#8b97a6"}
# Of files on clades and taxa; those on ASVs have the plain names.
_SUFFIX: Mapping[Kind, str] = {"asv": "", "clade": "_clades", "taxon": "_taxa"}
_PERMUTED: Mapping[Kind, str] = {**_SUFFIX, "covariate": "_covariates"}
WRITTEN = (
    "explain.html",
    "nucleotides.tsv",
    "importance_attention.tsv",
    "attributions_attention.tsv",
    "attention.npz",
    "kept",
    "empress.tsv",
    "itol_bars.txt",
    "itol_colours.txt",
    "ordination.txt",
    "ordination.qza",
    *(f"importance{suffix}{ending}" for suffix in _SUFFIX.values() for ending in (".tsv", ".qza")),
    *(f"permutation{suffix}.tsv" for suffix in _PERMUTED.values()),
    *(f"attributions{suffix}{ending}" for suffix in _SUFFIX.values() for ending in (".tsv", ".npz")),
)


def write_files(story: Story, folder: Path) -> None:
    """Write all tables of an explanation; each is whole or absent.

    importance.tsv, and importance.qza, the same for QIIME 2 (FeatureData[Importance]); attributions.tsv, and attributions.npz with
    the same as arrays; permutation.tsv; these of clades and taxa, too; permutation_covariates.tsv; nucleotides.tsv; empress.tsv:
    feature metadata; itol_bars.txt and itol_colours.txt: datasets of iTOL; ordination.txt: a biplot as scikit-bio writes it, and
    ordination.qza, the same for QIIME 2; importance_attention.tsv, attributions_attention.tsv, attention.npz (`write_attention`):
    where attention was asked for.
    """
    for attributions, importance in zip(story.attributions, story.importances, strict=True):
        suffix = _SUFFIX[importance.features.kind]
        for ending in (".tsv", ".qza"):
            write_table(folder / f"importance{suffix}{ending}", importance_table(importance), IMPORTANCE, "%.6g")
        write_tsv(folder / f"attributions{suffix}.tsv", attribution_table(story, attributions), index=False, float_format="%.6g")
        _write_arrays(story, attributions, folder / f"attributions{suffix}.npz")
    for permuted in story.permutations:
        write_tsv(folder / f"permutation{_PERMUTED[permuted.features.kind]}.tsv", permutation_table(permuted), float_format="%.6g")
    of_asvs = story.importances[0]
    write_tsv(folder / "empress.tsv", empress_table(story, of_asvs), float_format="%.6g")
    write_text(folder / "itol_bars.txt", itol_bars(story, of_asvs))
    write_text(folder / "itol_colours.txt", itol_colours(story, of_asvs))
    if story.nucleotides:
        write_tsv(folder / "nucleotides.tsv", nucleotide_table(story), index=False, float_format="%.6g")
    if story.attention is not None:
        _write_attention(story, story.attention, folder)
    if (found := biplot(story)) is not None:
        for ending in (".txt", ".qza"):
            with whole_or_artifact(folder / f"ordination{ending}", BIPLOT) as new:
                found.write(str(new))


def _write_attention(story: Story, found: Attended, folder: Path) -> None:
    importance, attributions = importance_table(found.importance), attribution_table(story, found.attributions)
    write_tsv(folder / "importance_attention.tsv", importance, float_format="%.6g")
    write_tsv(folder / "attributions_attention.tsv", attributions, index=False, float_format="%.6g")
    write_attention(found, story.sample_ids, story.asv_ids, folder / "attention.npz")


def importance_table(importance: Importance) -> pd.DataFrame:
    """A row for each feature that occurs, those that matter most first; numbers only, as QIIME 2 wants them.

    importance: how far the changes are apart over all samples (`Importance.spread`), with its range over members; mean and
    mean_absolute: over samples that have it, with the 95 % interval of the latter; agreement: share of them whose change has the
    sign of the mean. Several outputs have columns of their own; `importance` is then their sum.
    """
    order, several = ranked(importance), len(importance.output_names) > 1
    columns: dict[str, np.ndarray] = {}
    if several:
        columns["importance"] = importance.spread.sum(axis=1)
    for k, name in enumerate(importance.output_names):
        of = f" {name}" if several else ""
        columns |= {
            f"importance{of}": importance.spread[:, k],
            f"importance_low{of}": importance.members_low[:, k],
            f"importance_high{of}": importance.members_high[:, k],
            f"mean{of}": importance.mean[:, k],
            f"mean_absolute{of}": importance.mean_absolute[:, k],
            f"mean_absolute_low{of}": importance.low[:, k],
            f"mean_absolute_high{of}": importance.high[:, k],
            f"agreement{of}": importance.agreement[:, k],
        }
    columns["samples"] = importance.samples
    # What is not known cannot be empty: the reader of QIIME 2 takes numbers only. An unknown interval is from 0 to the value.
    index = pd.Index([importance.features.ids[row] for row in order], name="id")
    frame = pd.DataFrame({name: values[order] for name, values in columns.items()}, index=index)
    for of in [f" {name}" for name in importance.output_names] if several else [""]:
        for value in ("importance", "mean_absolute"):
            high = f"{value}_high{of}"
            if frame[high].notna().any():
                frame[high] = frame[high].fillna(frame[f"{value}{of}"])
    return frame.dropna(axis="columns", how="all").fillna(0.0)


def permutation_table(found: PermutationImportance) -> pd.DataFrame:
    """A row for each feature, those that the score owes most first: how much worse it is without, with its 95 % interval."""
    columns = {"loss": found.loss, "low": found.low, "high": found.high}
    frame = pd.DataFrame(columns, index=pd.Index(found.features.ids, name="id"))
    return frame.sort_values("loss", ascending=False, kind="stable")


def attribution_table(story: Story, attributions: Attributions) -> pd.DataFrame:
    """A row for each feature in each sample (and each output, where there are several)."""
    samples, features = np.array(story.sample_ids, dtype=object), np.array(attributions.features.ids, dtype=object)
    parts = []
    for k, name in enumerate(attributions.output_names):
        columns: dict[str, object] = {"sample": samples[attributions.sample], "feature": features[attributions.feature]}
        if len(attributions.output_names) > 1:
            columns["output"] = name
        columns |= {"value": attributions.value[:, k], "low": attributions.low[:, k], "high": attributions.high[:, k]}
        parts.append(pd.DataFrame({**columns, "method": attributions.method}))
    return pd.concat(parts)


def _write_arrays(story: Story, attributions: Attributions, path: Path) -> None:
    """The same as arrays; names are text, so that nothing in the file is executed when it is read (`allow_pickle=False`)."""
    arrays = {
        "samples": np.array(story.sample_ids),
        "features": np.array(attributions.features.ids),
        "outputs": np.array(attributions.output_names),
        **{name: getattr(attributions, name) for name in ("sample", "feature", "value", "low", "high", "predicted")},
    }
    with whole(path) as new, new.open("wb") as file:
        np.savez_compressed(file, **arrays)


def nucleotide_table(story: Story) -> pd.DataFrame:
    """A row for each nucleotide of the ASVs that were looked into, positions from 1; value: what it adds, by
    `method` (see `NucleotideEffects`); to_A ... to_T: change by each substitution.
    """
    parts = []
    for found in story.nucleotides:
        columns = {
            "feature": story.asv_ids[found.asv],
            "position": np.arange(1, len(found.letters) + 1),
            "nucleotide": list(found.letters),
            "value": found.by_position,
            "method": found.method,
        }
        parts.append(pd.DataFrame(columns | {f"to_{base}": found.substitutions[:, k] for k, base in enumerate(LETTERS)}))
    return pd.concat(parts)


def empress_table(story: Story, importance: Importance) -> pd.DataFrame:
    """Feature metadata of EMPress: importance, sign (`direction_of` the output on which the feature acts most), and taxonomy, if
    known.
    """
    order = ranked(importance)
    ids = [importance.features.ids[row] for row in order]
    columns: dict[str, object] = {
        "importance": importance.spread.sum(axis=1)[order],
        "sign": [DIRECTIONS[way] for way in direction_of(importance)[order].tolist()],
    }
    if len(importance.output_names) > 1:
        columns["output"] = [importance.output_names[k] for k in importance.spread.argmax(axis=1)[order]]
    if story.taxonomy:
        columns["taxonomy"] = [story.taxonomy.get(feature, "") for feature in ids]
    return pd.DataFrame(columns, index=pd.Index(ids, name="Feature ID"))


def itol_bars(story: Story, importance: Importance) -> str:
    """A dataset of iTOL: a bar for each ASV, as long as its importance."""
    rows = [f"{importance.features.ids[row]}\t{importance.spread[row].sum():.6g}" for row in ranked(importance)]
    return "\n".join(["DATASET_SIMPLEBAR", *_itol_head(f"importance for {story.column}", "#666666"), "DATA", *rows, ""])


def itol_colours(story: Story, importance: Importance) -> str:
    """A dataset of iTOL: a colour for each ASV, by whether it raises or lowers the prediction, or acts either way."""
    order = ranked(importance)
    ways = direction_of(importance)[order].tolist()
    rows = [f"{importance.features.ids[row]}\t{COLOURS[way]}\t{DIRECTIONS[way]}" for row, way in zip(order, ways, strict=True)]
    named = [way for way in COLOURS if way or way in ways]
    legend = [
        "\t".join(["LEGEND_TITLE", _cell(story.column)]),
        "\t".join(["LEGEND_SHAPES", *("1" for _ in named)]),
        "\t".join(["LEGEND_COLORS", *(COLOURS[way] for way in named)]),
        "\t".join(["LEGEND_LABELS", *(DIRECTIONS[way] for way in named)]),
    ]
    return "\n".join(["DATASET_COLORSTRIP", *_itol_head(f"direction for {story.column}", COLOURS[1]), *legend, "DATA", *rows, ""])


def _itol_head(label: str, colour: str) -> list[str]:
    return ["SEPARATOR TAB", f"DATASET_LABEL\t{_cell(label)}", f"COLOR\t{colour}"]


def _cell(text: str) -> str:
    return " ".join(text.split())
