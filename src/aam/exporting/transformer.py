"""A transformer or an encoder as one graph: tokens of ASVs, samples -> the prediction, the embedding."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from aam.data.sequences import Nucleotide
from aam.errors import InputError
from aam.exporting.nodes import OPSET
from aam.models import ASVEncoder, SequenceEncoder
from aam.models.heads import Head, first_space
from aam.models.words import LETTERS, Words
from aam.options import ComputeOptions
from aam.saved.transformer import FittedEncoder, FittedTransformer
from aam.study.targets import ClassTarget, Target

# Sizes of the example that the graph is traced with: none of them is 1, which would be taken for a constant, and no two are alike.
_ASVS, _LENGTH, _VECTORS, _SAMPLES, _PLACES = 5, 11, 3, 4, 7
# How the sizes of inputs and outputs that may differ are called.
_SIZES = {
    "tokens": ("asvs", "letters"),
    "vectors": ("vectors", None),
    "index": ("samples", "places"),
    "counts": ("samples", "places"),
    "design": ("samples", None),
    "asv_vectors": ("asvs", None),
}


class TransformerGraph(nn.Module):
    """What the graph computes. Each of `outputs` is its name with what it is made of: a head of the encoder (None: the embedding
    itself), or the target.
    """

    def __init__(self, fitted: FittedEncoder) -> None:
        super().__init__()
        model: Any = deepcopy(fitted.model).cpu().float().eval()
        for part in model.modules():
            # Products and softmax, which every runtime has.
            if isinstance(compute := getattr(part, "compute", None), ComputeOptions):
                part.compute = replace(compute, attn_implementation="math", mixed_precision="no")
        self.encoder: SequenceEncoder = model.base_model if fitted.info.target is not None else model
        self.head: nn.Module | None = model.head if isinstance(fitted, FittedTransformer) else None
        self.target = None if fitted.info.target is None else fitted.info.target.target
        self.spaces = _spaces(fitted)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `forward` gives."""
        if self.target is None:
            return (*self.spaces, "asv_vectors")
        return ("probabilities" if self.target.classes else "prediction", *self.spaces, "asv_vectors")

    def forward(self, tokens: Tensor, vectors: Tensor, index: Tensor, counts: Tensor, design: Tensor | None = None) -> list[Tensor]:
        """tokens uint8 [U, 1 + L]; vectors float32 [V, D] of more ASVs; index int64 [B, S] into these and then those of the tokens;
        counts float32 [B, S]; design float32 [B, K].
        """
        found = _vectors_of(self.encoder.asv_encoder, tokens.long())
        embedding = self.encoder.encode_group(torch.cat([vectors, found]), index, counts)
        spaces = [self._told(head, embedding) for head in self.spaces.values()]
        if self.head is None or self.target is None:
            return [*spaces, found]
        return [predicted(self.target, self.head(embedding, design).double()), *spaces, found]

    def _told(self, head: Head | None, embedding: Tensor) -> Tensor:
        """See `aam.models.inference.told_of`."""
        return embedding if head is None else self.encoder.heads.tell(head, embedding) * head.scale + head.shift


def predicted(target: Target, raw: Tensor) -> Tensor:
    """Outputs of a head float64 [B, O] -> numbers in original units [B], or class probabilities [B, K]: see `decode_outputs`."""
    with _Doubles():
        if isinstance(target, ClassTarget):
            return target.logits(raw).softmax(dim=1)
        said: Tensor = target.decode(target.said(raw))
        return said.squeeze(1)


class _Doubles(TorchFunctionMode):
    """Softplus of what onnxruntime computes of float64: of its own it has that of float32 alone."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.softplus:
            return _softplus(args[0])
        return -_softplus(-args[0]) if func is F.logsigmoid else func(*args, **(kwargs or {}))


def _softplus(x: Tensor) -> Tensor:
    return x.clamp(min=0) + (1 + (-x.abs()).exp()).log()


def _spaces(fitted: FittedEncoder) -> dict[str, Head | None]:
    """Embeddings by the name of the output: first what `embed` gives without a name of a space."""
    first = first_space(fitted.info.heads)
    others = {head.name: head for head in fitted.info.heads if head.of_samples and head is not first}
    return {"sample_embedding": first, **others}


def _vectors_of(encoder: ASVEncoder, tokens: Tensor) -> Tensor:
    """Tokens int64 [U, 1 + L] -> [U, D]."""
    real = tokens != Nucleotide.PAD
    vectors = encoder.pooling(encoder.positions(tokens, real), real)
    return vectors if encoder.words is None else encoder.words.beside(vectors, _mean_word(encoder.words, tokens))


def _mean_word(words: Words, tokens: Tensor) -> Tensor:
    """See `Words`: in operators that every runtime has, of sequences of any length."""
    letters = F.pad(tokens, (0, words.length))[:, 1:] - Nucleotide.A
    known = torch.where((letters >= 0) & (letters < LETTERS), letters, -(LETTERS**words.length))
    found = ((known.unfold(1, words.length, 1) * words.places.long()).sum(dim=-1) + 1).clamp(min=0)
    there = (found > 0).to(words.table.dtype).unsqueeze(-1)
    return (words.table[found] * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)


def transformer_model(fitted: FittedEncoder) -> Any:
    """The ONNX model of a transformer or an encoder, with the inputs and outputs of `TransformerGraph`.

    InputError for an encoder of clades.
    """
    if not isinstance(fitted.encoder, SequenceEncoder):
        raise InputError("`model`: its encoder is one of clades (`clades`), which has no graph yet")
    graph = TransformerGraph(fitted).eval()
    inputs = _example(fitted)
    dynamic = {name: {place: torch.export.Dim.DYNAMIC for place, size in enumerate(_SIZES[name]) if size} for name in inputs}
    with torch.no_grad(), _quiet():
        traced = torch.export.export(graph, (), inputs, dynamic_shapes=dynamic, strict=False)
        program = torch.onnx.export(
            traced,
            dynamo=True,
            input_names=list(inputs),
            output_names=list(graph.outputs),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _name_sizes(model)
    return model


def _example(fitted: FittedEncoder) -> dict[str, Tensor]:
    tokens = torch.full((_ASVS, 1 + _LENGTH), int(Nucleotide.A), dtype=torch.uint8)
    tokens[:, 0], tokens[1:, -1] = int(Nucleotide.START), int(Nucleotide.PAD)
    inputs = {
        "tokens": tokens,
        "vectors": torch.zeros(_VECTORS, fitted.info.options.embedding_dim),
        "index": torch.arange(_SAMPLES * _PLACES).view(_SAMPLES, _PLACES) % (_VECTORS + _ASVS),
        "counts": torch.ones(_SAMPLES, _PLACES),
    }
    columns = 0 if fitted.info.target is None else fitted.info.target.covariates.width
    return {**inputs, "design": torch.zeros(_SAMPLES, columns)} if columns else inputs


def _name_sizes(model: Any) -> None:
    """Call the sizes that may differ what they are, wherever they stand."""
    names = {}
    for value in model.graph.input:
        for size, name in zip(value.type.tensor_type.shape.dim, _SIZES[value.name], strict=True):
            if name:
                names[size.dim_param] = name
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param in names:
                size.dim_param = names[size.dim_param]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of itself."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    levels = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
