"""What a transformer attends to in the explained samples, beside what taking ASVs out does to its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aam.disk.writing import whole
from aam.errors import InputError
from aam.explain.attention import Attention, Faithfulness, faithfulness, of_asv, of_sample, scores_of
from aam.explain.attributions import Attributions, Importance
from aam.explain.faithfulness import NamedFirst
from aam.explain.nucleotides import Sequences, TransformerSequences
from aam.explain.summary import summarise

# Samples whose attention is kept by head and layer, evenly among those that are explained; and numbers of it that are kept.
_KEPT, _NUMBERS = 20, 2**23


@dataclass(frozen=True, eq=False)
class Attended:
    """attributions: as those of single ASVs by deletion, with the share of attention that each gets in its sample (rollout), which
    has no sign; importance: the same over samples; faithful: how far it ranks ASVs as deletion does; moved: what taking out those
    attended most does, or None; places: int64 [m], among the explained samples, and the attention in them; asvs: int64 [a], columns
    of the table, and the attention in their nucleotides.
    """

    attributions: Attributions
    importance: Importance
    faithful: Faithfulness
    moved: NamedFirst | None
    places: np.ndarray
    samples: tuple[Attention, ...]
    asvs: np.ndarray
    nucleotides: tuple[Attention, ...]


def require_attention(sequences: Sequences | None) -> TransformerSequences:
    """InputError for a model that is no transformer."""
    if not isinstance(sequences, TransformerSequences):
        raise InputError(
            "`method=attention`: an ensemble has no attention; explain it by deletion or gradients, or train with "
            "`recipe=transformer`"
        )
    return sequences


def attended_in(
    model: TransformerSequences,
    deletion: Attributions,
    asvs: np.ndarray,
    tokens: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    seed: int = 0,
    show: str = "",
) -> Attended:
    """Attention in the samples of a deletion of single ASVs, and in the nucleotides of some ASVs (columns of the table) with tokens
    uint8 [M, 1 + L]; groups and seed: as for `summarise`. `moved` is left to who can read predictions.
    """
    scores = scores_of(model.model, model.vectors, model.counts, deletion, show=show)
    value, unknown = scores[:, None], np.full((len(scores), 1), np.nan)
    attributions = replace(
        deletion,
        method="attention",
        output_names=("attention",),
        unit="share of attention",
        value=value,
        low=unknown,
        high=unknown,
    )
    samples = _some(model, deletion.samples)
    nucleotides = tuple(of_asv(model.model, tokens[asv]) for asv in asvs)
    faithful = faithfulness(scores, deletion)
    kept = np.array(list(samples)), tuple(samples.values())
    return Attended(attributions, summarise(attributions, groups, seed=seed), faithful, None, *kept, asvs, nucleotides)


def _some(model: TransformerSequences, rows: np.ndarray) -> dict[int, Attention]:
    """Attention in some of the samples, by their place: evenly among them, as long as there is room, in one at least."""
    found: dict[int, Attention] = {}
    held = 0
    for place in np.unique(np.linspace(0, len(rows) - 1, min(_KEPT, len(rows))).round().astype(int)).tolist():
        one = of_sample(model.model, model.vectors, model.counts, int(rows[place]))
        held += one.layers.size
        if found and held > _NUMBERS:
            break
        found[place] = one
    return found


def write_attention(attended: Attended, sample_ids: Sequence[str], asv_ids: Sequence[str], path: Path) -> None:
    """Write attention by head and layer into a file .npz of plain arrays, which `read_attention` reads.

    samples, asvs: ids; and of each of these two kinds (`samples_...`, `asvs_...`): places int64, how many each has, n_i; layers
    float32, of one after the other [layers, heads, n_i, n_i], flat; pooling float32, of one after the other [heads, n_i], flat.
    features: ids of the ASVs in the samples, one sample after the other. shape: int64 [2, 2], layers and heads of either kind.
    """
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *(found.columns for found in attended.samples)])
    arrays: dict[str, np.ndarray] = {
        "samples": np.array([sample_ids[place] for place in attended.places], dtype=np.str_),
        "asvs": np.array([asv_ids[column] for column in attended.asvs], dtype=np.str_),
        "features": np.array([asv_ids[column] for column in columns], dtype=np.str_),
        "shape": np.array([_shape(attended.samples), _shape(attended.nucleotides)]),
        **_flat("samples", attended.samples),
        **_flat("asvs", attended.nucleotides),
    }
    with whole(path) as new, new.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _shape(several: Sequence[Attention]) -> tuple[int, ...]:
    return several[0].layers.shape[:2] if several else (0, 0)


def _flat(kind: str, several: Sequence[Attention]) -> dict[str, np.ndarray]:
    nothing = np.zeros(0, dtype=np.float32)
    return {
        f"{kind}_places": np.array([found.pooling.shape[1] for found in several], dtype=np.int64),
        f"{kind}_layers": np.concatenate([nothing, *(found.layers.ravel() for found in several)]),
        f"{kind}_pooling": np.concatenate([nothing, *(found.pooling.ravel() for found in several)]),
    }


def read_attention(path: str | Path) -> tuple[dict[str, tuple[Attention, tuple[str, ...]]], dict[str, Attention]]:
    """What `write_attention` wrote: the attention in each sample with the ids of its ASVs, by the sample's id; and in the
    nucleotides of ASVs (the first place is START), by their id. `columns` of a sample are those of `features` in the file.
    """
    with np.load(path, allow_pickle=False) as arrays:
        found = dict(arrays)
    in_samples, in_asvs = (_several(found, kind, found["shape"][k]) for k, kind in enumerate(("samples", "asvs")))
    features = found["features"]
    samples = {
        name: (one, tuple(features[one.columns].tolist())) for name, one in zip(found["samples"].tolist(), in_samples, strict=True)
    }
    without = (replace(one, columns=np.zeros(0, dtype=np.int64)) for one in in_asvs)
    return samples, dict(zip(found["asvs"].tolist(), without, strict=True))


def _several(arrays: dict[str, np.ndarray], kind: str, shape: np.ndarray) -> list[Attention]:
    (layers, heads), sizes = shape.tolist(), arrays[f"{kind}_places"]
    weights = np.split(arrays[f"{kind}_layers"], np.cumsum(layers * heads * sizes**2)[:-1])
    pooling = np.split(arrays[f"{kind}_pooling"], np.cumsum(heads * sizes)[:-1])
    ends = np.cumsum(sizes)
    return [
        Attention(weight.reshape(layers, heads, n, n), pooled.reshape(heads, n), np.arange(end - n, end))
        for weight, pooled, n, end in zip(weights, pooling, sizes.tolist(), ends.tolist(), strict=False)
    ]
