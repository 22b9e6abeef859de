"""Members of an ensemble as nodes of a graph. Names of nodes stand for arrays of B samples with S places of ASVs each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aam.ensemble.kernels import LEAST, SPAN, KernelModel
from aam.ensemble.members import Arrays, KernelMember, LinearMember, Member, NetworkMember, TreesMember
from aam.errors import InputError
from aam.exporting.nodes import BOOL, DOUBLE, FLOAT, Nodes, cast
from aam.exporting.trees import trees_say
from aam.models.set_networks import COVARIATE_RATE, PRESENCE_RATE

# Below whatever a network says.
_LEAST = np.array(-1e30, dtype=np.float32)
_LAST, _SECOND = np.array([-1]), np.array([1])


@dataclass(frozen=True, eq=False)
class Seen:
    """What members see of samples, and the nodes that say it. vectors: float32 [U, W], of the ASVs; place: int64 [U], of each among
    the known ones, 0 for none; index: int64 [B, S] into both; there: bool [B, S]; share: float64 [B, S], of the sample's reads;
    design: float32 [B, K], of covariates, or None; known: how many ASVs are known.
    """

    add: Nodes
    vectors: str
    place: str
    index: str
    there: str
    share: str
    design: str | None
    known: int

    @cached_property
    def known_place(self) -> str:
        """Of each place [B, S], which of the known ASVs is there, from 1; 0 for none."""
        return self.add("Where", self.there, self.add("Gather", self.place, self.index), np.array(0))

    @cached_property
    def known_shares(self) -> str:
        """Shares of the known ASVs, float64 [B, known]."""
        add = self.add
        room = add("Expand", np.zeros((1, 1 + self.known)), add("Concat", self.samples, np.array([1 + self.known]), axis=0))
        found = add("ScatterElements", room, self.known_place, self.share, axis=1, reduction="add")
        return add("Slice", found, np.array([1]), np.array([1 + self.known]), np.array([1]))

    @cached_property
    def samples(self) -> str:
        """Their number, int64 [1]."""
        return self.add("Shape", self.index, start=0, end=1)

    @cached_property
    def size(self) -> str:
        """ASVs of each sample, float64 [B, 1]."""
        return self.add("ReduceSum", cast(self.add, self.there, DOUBLE), _SECOND)

    @cached_property
    def mean_vectors(self) -> str:
        """Mean vector of the ASVs of each sample, float64 [B, W]."""
        add = self.add
        asvs = add("Shape", self.vectors, start=0, end=1)
        room = add("Expand", np.zeros((1, 1)), add("Concat", self.samples, asvs, axis=0))
        present = add("ScatterElements", room, self.index, cast(add, self.there, DOUBLE), axis=1, reduction="add")
        return add("Div", add("MatMul", present, cast(add, self.vectors, DOUBLE)), add("Max", self.size, np.array(1.0)))

    @cached_property
    def log_share(self) -> str:
        """Natural log of the share, float32 [B, S, 1]; 0 where nothing is."""
        logs = cast(self.add, self.add("Log", self.add("Where", self.there, self.share, np.array(1.0))), FLOAT)
        return self.add("Unsqueeze", logs, _LAST)

    def with_design(self, x: str, code: int) -> str:
        """Columns [B, M] and the covariates behind them, all of a type."""
        return x if self.design is None else self.add("Concat", x, cast(self.add, self.design, code), axis=1)


def member_says(seen: Seen, member: Member) -> str:
    """What a member says, float64 [B, outputs]: training units, or class probabilities. InputError for one of version 0.1.0."""
    if isinstance(member, NetworkMember):
        return _probable(seen.add, *_network(seen, member.weights))
    if isinstance(member, KernelMember):
        return _probable(seen.add, _kernels(seen, member.model), len(member.model.shift))
    if isinstance(member, LinearMember):
        return _probable(seen.add, _linear(seen, member), len(member.model.shift))
    if isinstance(member, TreesMember):
        x = _kept(seen, cast(seen.add, seen.known_shares, FLOAT), member.kept)
        if member.power != 1.0:
            x = seen.add("Pow", x, np.array(member.power, dtype=np.float32))
        return trees_say(seen.add, member, seen.with_design(x, FLOAT))
    raise InputError("`model`: an ensemble of version 0.1.0, whose set networks are not exported; train it again")


def _probable(add: Nodes, said: str, outputs: int) -> str:
    return said if outputs == 1 else add("Softmax", said, axis=1)


def _kept(seen: Seen, columns: str, kept: np.ndarray) -> str:
    """Columns [B, kept] of the known ASVs."""
    return seen.add("Gather", columns, kept.astype(np.int64), axis=1)


def _linear(seen: Seen, member: LinearMember) -> str:
    """See `seen_by` and `LinearModel.predict`."""
    add, x = seen.add, _kept(seen, seen.known_shares, member.model.kept)
    if member.view == "presence":
        x = add("Sign", x)
    elif len(member.model.kept):
        there = add("Greater", x, np.array(0.0))
        smallest = add("ReduceMin", add("Where", there, x, np.array(np.inf)), _SECOND)
        # Of a sample without any of them, all are alike.
        smallest = add("Where", add("IsInf", smallest), np.array(1.0), smallest)
        logs = add("Log", add("Where", there, x, add("Mul", smallest, np.array(0.5))))
        x = add("Sub", logs, add("ReduceMean", logs, _SECOND))
    # Rounded as the model was fitted to it.
    x = cast(add, seen.with_design(cast(add, x, FLOAT), FLOAT), DOUBLE)
    return add("Add", add("MatMul", x, member.model.weights), member.model.shift)


def _kernels(seen: Seen, model: KernelModel) -> str:
    """See `KernelInputs` and `KernelModel.predict`."""
    add, shares = seen.add, seen.known_shares
    there = add("Greater", shares, np.array(0.0))
    logs = add("Log", add("Where", there, shares, np.array(1.0)))
    above = add("Max", add("Add", logs, np.array(LEAST)), np.array(0.0))
    abundance = add("Where", there, add("Div", above, np.array(SPAN)), np.array(0.0))
    said = add("MatMul", cast(add, there, DOUBLE), model.by_presence)
    said = add("Add", add("Add", said, add("MatMul", abundance, model.by_abundance)), model.shift)
    if len(model.landmarks):
        place = add("Div", add("Sub", seen.mean_vectors, model.place_mean), model.place_spread)
        squares = add("ReduceSum", add("Mul", place, place), _SECOND)
        products = add("MatMul", place, np.ascontiguousarray(-2 * model.landmarks.T))
        squares = add("Add", add("Add", squares, (model.landmarks**2).sum(axis=1)), products)
        distance = add("Max", squares, np.array(0.0))
        near = add("Exp", add("Mul", distance, np.array(-1 / (max(model.landmarks.shape[1], 1) * float(model.reach)))))
        said = add("Add", said, add("MatMul", near, model.by_place))
    if seen.design is not None:
        said = add("Add", said, add("MatMul", cast(add, seen.design, DOUBLE), model.by_design))
    return said


def _network(seen: Seen, weights: Arrays) -> tuple[str, int]:
    """See `SetNetworks`: one of them, on samples that are padded to the same number of places; and the number of its outputs."""
    add, own = seen.add, {name: value[0].astype(np.float32) for name, value in weights.items()}
    width, heads = own["identity"].shape[1], own["score.weight"].shape[1]

    def linear(x: str, name: str) -> str:
        return add("Add", add("MatMul", x, own[f"{name}.weight"]), own[f"{name}.bias"][0])

    def norm(x: str, name: str) -> str:
        return add("LayerNormalization", x, own[f"{name}.weight"][0], own[f"{name}.bias"][0])

    def of_known(name: str, place: str) -> str:
        table = own[name].copy()
        table[0] = 0
        return add("Gather", table, place)

    distinct = add("Add", linear(seen.vectors, "project"), of_known("identity", seen.place))
    share, there = seen.log_share, add("Unsqueeze", seen.there, _LAST)
    x = add("Add", add("Gather", distinct, seen.index), linear(add("Gelu", linear(share, "abundance_widen")), "abundance"))
    # The norms in front of these maps differ by scale and shift alone, which are put into the maps.
    maps = [("norm", "value"), ("norm", "score"), ("max_norm", "max_value")]
    weight = np.hstack([own[f"{norm}.weight"].T * own[f"{name}.weight"] for norm, name in maps])
    bias = np.hstack([own[f"{name}.bias"] + own[f"{norm}.bias"] @ own[f"{name}.weight"] for norm, name in maps])[0]
    plain = add("LayerNormalization", x, np.ones(width, dtype=np.float32), np.zeros(width, dtype=np.float32))
    values, scores, candidates = add.split(add("Add", add("MatMul", plain, weight), bias), (width, heads, width))
    scores = add("Where", there, add("Add", scores, add("Mul", share, own["abundance_multiple"])), _LEAST)
    raised = add("Exp", add("Sub", scores, add("ReduceMax", scores, _SECOND)))
    attention = add("Where", there, raised, np.array(0, dtype=np.float32))
    by_head = add("Reshape", values, np.array([0, 0, heads, -1]))
    sums = add("ReduceSum", add("Mul", by_head, add("Unsqueeze", attention, _LAST)), _SECOND, keepdims=0)
    total = add("Max", add("ReduceSum", attention, _SECOND, keepdims=0), np.array(1e-30, dtype=np.float32))
    average = add("Reshape", add("Div", sums, add("Unsqueeze", total, _LAST)), np.array([0, width]))
    largest = add("ReduceMax", add("Where", there, candidates, _LEAST), _SECOND, keepdims=0)
    largest = add("Where", cast(add, seen.size, BOOL), largest, np.array(0, dtype=np.float32))
    richness = cast(add, add("Log", add("Max", seen.size, np.array(1.0))), FLOAT)
    pooled = add("Add", linear(average, "pooled"), linear(norm(largest, "largest_norm"), "largest"))
    hidden = linear(norm(add("Add", pooled, linear(richness, "richness")), "head_norm"), "head_widen")
    if seen.design is not None:
        hidden = add("Add", hidden, add("MatMul", seen.design, own["covariates"] * np.float32(COVARIATE_RATE)))
    said = linear(add("Gelu", hidden), "head")
    if "presence" in own:
        each = of_known("presence", seen.known_place)
        scale = np.float32(PRESENCE_RATE) / np.sqrt(own["typical_size"])
        said = add("Add", said, add("Mul", add("ReduceSum", each, _SECOND, keepdims=0), scale))
    return cast(add, said, DOUBLE), own["head.weight"].shape[1]
