"""What a transformer attends to: ASVs of a sample, nucleotides of an ASV; and how well that tells which ASVs matter.

Attention is no explanation by itself (Jain & Wallace 2019, arXiv 1902.10186): where it looks is not what changes a prediction. So
it is shown with its rank correlation with what taking ASVs out does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.stats import spearmanr
from torch import Tensor, nn

from aam.data.sequences import Nucleotide
from aam.errors import counted
from aam.explain.attributions import Attributions
from aam.explain.gated import Sample, encoder_of
from aam.models.asv_encoder import ASVEncoder
from aam.models.pooling import AttentionPooling
from aam.models.transformer import RotaryPositions, TransformerLayer
from aam.progress import track

# Samples of fewer ASVs tell nothing about ranks.
_LEAST_ASVS = 3


@dataclass(frozen=True, eq=False)
class Attention:
    """Attention over n places: ASVs of a sample in the order of its columns, or START and the nucleotides of an ASV.

    layers: float32 [layers, heads, n, n], each row what a place attends to, adding up to 1; pooling: float32 [heads, n], with which
    the places are averaged at the end; columns: int64 [n], of the table (none for nucleotides).
    """

    layers: np.ndarray
    pooling: np.ndarray
    columns: np.ndarray

    @property
    def rollout(self) -> np.ndarray:
        """How much of each place gets where through all layers, [n, n]: products of the mean over heads of each layer, half of it
        the place itself for the connection that leaves the layer out (Abnar & Zuidema 2020, arXiv 2005.00928).
        """
        number = self.layers.shape[-1]
        found = np.eye(number)
        for layer in self.layers:
            found = (0.5 * layer.mean(axis=0).astype(np.float64) + 0.5 * np.eye(number)) @ found
        return found

    @property
    def score(self) -> np.ndarray:
        """How much of each place gets into the average at the end, [n], adding up to 1."""
        return self.pooling.mean(axis=0).astype(np.float64) @ self.rollout


@torch.no_grad()
def of_sample(model: object, vectors: np.ndarray, counts: sparse.csr_array, row: int) -> Attention:
    """Attention between the ASVs of a sample, a row of counts CSR [N, M] as the model reads them; vectors: float32 [M, D], what
    its encoder makes of the ASVs. InputError for a model without attention.
    """
    encoder = encoder_of(model)
    device = encoder.device
    sample, level = Sample.of(counts, row, device), encoder.sample_encoder
    columns = sample.columns.cpu().numpy()
    embedded = level.abundance_embedding(sample.log_share.unsqueeze(-1))
    x = (torch.tensor(vectors[columns], device=device) + embedded).unsqueeze(0)
    found = []
    for layer, multiple in zip(level.layers, level.abundance_multiple, strict=True):
        bias = (multiple[:, None] * sample.log_share).unsqueeze(0)
        found.append(layer_weights(layer, x, bias, None)[0])
        x = layer(x, bias, None)
    pooled = pooling_weights(encoder.pooling, x, (encoder.abundance_multiple[:, None] * sample.log_share).unsqueeze(0))[0]
    return Attention(torch.stack(found).cpu().numpy(), pooled.cpu().numpy(), columns)


@torch.no_grad()
def of_asv(model: object, tokens: np.ndarray) -> Attention:
    """Attention between the nucleotides of an ASV, tokens uint8 [1 + L]; the first place is START, padding is left out. InputError
    for a model without attention.
    """
    encoder: ASVEncoder = encoder_of(model).asv_encoder
    device = encoder.token_embedding.weight.device
    real = torch.tensor(tokens[tokens != Nucleotide.PAD], device=device).unsqueeze(0)
    x = encoder.token_embedding(real.int()) + encoder.context(real)
    if encoder.position_embedding is not None:
        x = x + encoder.position_embedding[: real.shape[1]]
    found = []
    for layer in encoder.layers:
        found.append(layer_weights(layer, x, None, encoder.rotary)[0])
        x = layer(x, None, encoder.rotary)
    pooled = pooling_weights(encoder.pooling, x, None)[0]
    return Attention(torch.stack(found).cpu().numpy(), pooled.cpu().numpy(), np.zeros(0, dtype=np.int64))


def layer_weights(layer: nn.Module, x: Tensor, key_bias: Tensor | None, rotary: RotaryPositions | None) -> Tensor:
    """The weights [N, H, T, T] with which a layer attends, given what enters it [N, T, D]: its kernels never hold them."""
    assert isinstance(layer, TransformerLayer)
    attention, width = layer.attention, x.shape[-1]
    qk = attention.qkv(layer.attention_norm(x))[..., : 2 * width]
    if rotary is not None:
        qk = rotary(qk)
    q, k = qk.unflatten(-1, (2, attention.heads, -1)).permute(2, 0, 3, 1, 4)
    logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    return (logits if key_bias is None else logits + key_bias.unsqueeze(2)).softmax(dim=-1)


def pooling_weights(pooling: AttentionPooling, x: Tensor, key_bias: Tensor | None) -> Tensor:
    """The weights [N, H, T] with which places [N, T, D] are averaged."""
    scores = pooling.score(pooling.norm(x)).transpose(1, 2)
    return (scores if key_bias is None else scores + key_bias).softmax(dim=-1)


@dataclass(frozen=True)
class Faithfulness:
    """How well one account of ASVs ranks them as deletion does: the mean over samples of Spearman's correlation within each."""

    correlation: float
    samples: int

    def sentence(self, what: str) -> str:
        """In words."""
        if not self.samples:
            return f"{what} cannot be compared with deletion: no sample has {_LEAST_ASVS} ASVs with different values"
        found = f"Spearman {self.correlation:.2f} within samples, mean of {counted(self.samples, 'sample')}"
        return f"{what} ranks ASVs as deletion does with {found} (1 = the same order, 0 = no relation)"


def faithfulness(scores: np.ndarray, deletion: Attributions) -> Faithfulness:
    """Of scores [K] of the same occurrences as those of the deletion, whose absolute values (summed over outputs) are compared."""
    size, found = np.abs(deletion.value).sum(axis=1), []
    for number in range(len(deletion.samples)):
        here = deletion.sample == number
        if here.sum() >= _LEAST_ASVS and np.ptp(size[here]) > 0 and np.ptp(scores[here]) > 0:
            found.append(float(spearmanr(scores[here], size[here]).statistic))
    return Faithfulness(float(np.mean(found)) if found else float("nan"), len(found))


def scores_of(
    model: object, vectors: np.ndarray, counts: sparse.csr_array, deletion: Attributions, *, show: str = ""
) -> np.ndarray:
    """How much attention the ASV of each occurrence of a deletion of single ASVs gets in its sample, [K]."""
    found = np.zeros(len(deletion.sample))
    rows = track(deletion.samples, show, len(deletion.samples))
    for number, row in enumerate(rows):
        attention = of_sample(model, vectors, counts, int(row))
        score = np.zeros(counts.shape[1])
        score[attention.columns] = attention.score
        here = deletion.sample == number
        found[here] = score[deletion.features.asvs.indices[deletion.features.asvs.indptr[deletion.feature[here]]]]
    return found
