"""A pre-norm transformer whose attention takes an additive bias per key.

The bias does both of what we ask of attention: a large negative value hides padding, and ``multiple * log(count)`` makes an ASV
weigh as if it stood there `count` times. It enters as more channels of queries (1) and keys (bias), so that the fused attention
kernels run without a mask and the bias still receives gradients.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from aam.compute import plan_of
from aam.models.recompute import Apply, Recomputed
from aam.options import AttnImplementation, ComputeOptions, ModelOptions

# What stands in where a kernel is not to be had: the efficient one has no CPU version, flash none of fp32 on a GPU.
_KERNELS = {
    "auto": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
    "flash": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
    "mem_efficient": [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.MATH],
}
# Far below any real logit, so that softmax gives exactly 0, and finite, so that a row of padding alone gives no NaN.
HIDDEN = -3e3
# Fused kernels want head widths in multiples of 8.
_BIAS_CHANNELS = 8


def hide_padding(mask: Tensor, bias: Tensor | None = None) -> Tensor:
    """Bias per key, float [N, T] or [N, H, T], that hides positions where `mask` (bool [N, T], True = real) is False."""
    if bias is None:
        return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, HIDDEN)
    return bias.masked_fill(~(mask if bias.dim() == mask.dim() else mask.unsqueeze(1)), HIDDEN)


class RotaryPositions(nn.Module):
    """Rotary position embedding (Su et al. 2021, arXiv 2104.09864) of neighbouring pairs of channels.

    Queries and keys are rotated side by side before they are split into heads: as one complex product over long rows it costs a
    third of what it costs head by head.
    """

    rotations: Tensor

    def __init__(self, width: int, heads: int, max_length: int) -> None:
        super().__init__()
        head_width = width // heads
        frequencies = 10_000.0 ** (-torch.arange(0, head_width, 2) / head_width)
        angles = (torch.arange(max_length)[:, None] * frequencies).repeat(1, 2 * heads)
        self.register_buffer("rotations", torch.stack((angles.cos(), angles.sin()), dim=-1), persistent=False)

    def forward(self, qk: Tensor) -> Tensor:
        """Queries and keys of all heads, [N, T, 2 D] -> the same, rotated by their positions 0 to T - 1."""
        pairs = qk if qk.dtype in (torch.float32, torch.float64) else qk.float()
        rotations = torch.view_as_complex(self.rotations[: qk.shape[1]])
        rotated = torch.view_as_complex(pairs.unflatten(-1, (-1, 2))) * rotations
        return torch.view_as_real(rotated).flatten(-2).to(qk.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, key_bias: Tensor | None, implementation: AttnImplementation) -> Tensor:
    """Softmax attention [N, H, T, d] with logits q.k / sqrt(d) + key_bias; `key_bias` is [N, T] or [N, H, T].

    `implementation` changes memory and speed only. A kernel that the device or the dtype lacks is replaced by the next best one.
    """
    if key_bias is not None and key_bias.dim() == 2:
        key_bias = key_bias.unsqueeze(1).expand(q.shape[:-1])
    if implementation == "math":
        return _attend_by_products(q, k, v, key_bias)
    scale, width = q.shape[-1] ** -0.5, q.shape[-1]
    if key_bias is not None:
        # An eighth of it in each of eight channels.
        bias = (key_bias / (scale * _BIAS_CHANNELS)).to(k.dtype).unsqueeze(-1)
        q = F.pad(q, (0, _BIAS_CHANNELS), value=1.0)
        k = torch.cat((k, bias.expand(*bias.shape[:-1], _BIAS_CHANNELS)), dim=-1)
        v = F.pad(v, (0, _BIAS_CHANNELS))
    if implementation == "sdpa":
        return F.scaled_dot_product_attention(q, k, v, scale=scale)[..., :width]
    with sdpa_kernel(_KERNELS[implementation], set_priority=True):
        return F.scaled_dot_product_attention(q, k, v, scale=scale)[..., :width]


def _attend_by_products(q: Tensor, k: Tensor, v: Tensor, key_bias: Tensor | None) -> Tensor:
    """The same with the weights [N, H, T, T] written out."""
    n, heads, length, width = q.shape
    q, k, v = (part.reshape(n * heads, length, width) for part in (q * width**-0.5, k, v))
    logits = q @ k.transpose(1, 2)
    if key_bias is not None:
        logits = logits + key_bias.reshape(n * heads, 1, length)
    return (logits.softmax(dim=-1).to(v.dtype) @ v).view(n, heads, length, width)


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, options: ModelOptions, compute: ComputeOptions) -> None:
        super().__init__()
        width = options.embedding_dim
        self.heads, self.compute = options.attention_heads, compute
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, rows: int, key_bias: Tensor | None, rotary: RotaryPositions | None) -> Tensor:
        """Positions of N `rows`, [N T, D] -> values that they attend to [N T, D], before the output layer."""
        width = x.shape[-1]
        qk, v = self.qkv(x).unflatten(0, (rows, -1)).split((2 * width, width), dim=-1)
        if rotary is not None:
            qk = rotary(qk)
        q, k = qk.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        # A copy, so that not all of qkv is kept for it.
        v = v.unflatten(-1, (self.heads, -1)).transpose(1, 2).contiguous()
        implementation = self.compute.attn_implementation
        if implementation == "auto" and q.dtype == torch.bfloat16 and plan_of(self.compute, q.device).products:
            # The backward pass of the fused kernel is five times slower where a CPU computes in 16 bits.
            implementation = "math"
        return attend(q, k, v, key_bias, implementation).transpose(1, 2).reshape(-1, width)


class TransformerLayer(nn.Module):
    """Pre-norm block: x + attention(norm(x)), then x + feed_forward(norm(x)).

    Without dropout: its noise adds to every distance between embeddings in training and is gone in inference.
    """

    def __init__(self, options: ModelOptions, compute: ComputeOptions) -> None:
        super().__init__()
        width = options.embedding_dim
        hidden = round(width * options.ffn_ratio)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(options, compute)
        self.ffn_norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.compute = compute

    def forward(self, x: Tensor, key_bias: Tensor | None, rotary: RotaryPositions | None) -> Tensor:
        """x [N, T, D], key_bias float [N, T] or [N, H, T] -> [N, T, D]."""
        # As one row of positions: what works on each by itself has fewer dimensions to put away.
        flat, rows = x.flatten(0, 1), x.shape[0]
        if not torch.is_grad_enabled() or torch.compiler.is_compiling() or not plan_of(self.compute, x.device).recompute:
            return self._forward(flat, rows, key_bias, rotary, lambda function, x: function(x)).view_as(x)
        again = Recomputed()
        with again.keeping():
            return self._forward(flat, rows, key_bias, rotary, again.of).view_as(x)

    def _forward(self, x: Tensor, rows: int, key_bias: Tensor | None, rotary: RotaryPositions | None, of: Apply) -> Tensor:
        attended = self.attention(of(self.attention_norm, x), rows, key_bias, rotary)
        with_attended = of(lambda attended: x + self.attention.out(attended), attended)
        return with_attended + self.narrow(of(F.gelu, of(self.widen, of(self.ffn_norm, with_attended))))
