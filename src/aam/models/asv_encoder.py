"""Nucleotides -> one vector per distinct ASV."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aam.compute import plan_of
from aam.data.sequences import Nucleotide
from aam.models.chunks import Chunked, ChunkedLoss, run_chunks, run_losses, sharded
from aam.models.masking import NO_LETTER, HiddenNucleotides
from aam.models.pooling import AttentionPooling
from aam.models.sampled import Sampled, run_sampled
from aam.models.transformer import RotaryPositions, TransformerLayer, hide_padding
from aam.models.words import Words
from aam.options import ComputeOptions, ModelOptions

# The nucleotide head tells four letters apart: A, C, G, T.
KNOWN_NUCLEOTIDES = 4
# Of fewer ASVs than this all gradients are computed.
_FEWEST_WITH_GRADIENTS = 32


def with_gradients(asvs: int, share: float) -> int:
    """Of so many ASVs gradients are computed where a `share` of them is asked for."""
    return asvs if share == 1 else min(asvs, max(_FEWEST_WITH_GRADIENTS, round(share * asvs)))


class NucleotideContext(nn.Module):
    """What surrounds each position: the three letters before it, the letter and the three after it, tokens -> [U, T, D].

    Words of seven letters are what alignment-free sequence comparison counts; from single letters the layers would first have to
    discover them. Two look-ups of words of three stand for a convolution, at a fraction of its cost.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        words = len(Nucleotide) ** 3
        self.before, self.after = nn.Embedding(words, width), nn.Embedding(words, width)
        self.centre = nn.Embedding(len(Nucleotide), width)

    def forward(self, tokens: Tensor) -> Tensor:
        letters = F.pad(tokens.int(), (3, 3), value=Nucleotide.PAD)
        base = len(Nucleotide)
        words = (letters[:, :-2] * base + letters[:, 1:-1]) * base + letters[:, 2:]
        return F.gelu(self.before(words[:, :-4]) + self.centre(tokens.int()) + self.after(words[:, 4:]))


class ASVEncoder(nn.Module):
    """Encode each distinct ASV once: tokens [U, 1 + L] -> [U, D].

    `max_bp` is the longest sequence; a chunk of ASVs is encoded at a time. With `gradient_checkpointing` the
    backward pass computes a chunk's activations again.

    Examples
    --------
    >>> import aam, torch
    >>> from aam.data.sequences import tokenize
    >>> from aam.options import ComputeOptions, ModelOptions
    >>> encoder = aam.ASVEncoder(ModelOptions(embedding_dim=8, attention_heads=2), max_bp=8, compute=ComputeOptions())
    >>> tokens = torch.from_numpy(tokenize(["ACGTACGT", "ACGGACG"], ["asv1", "asv2"], max_bp=8))
    >>> tokens.shape, encoder(tokens).shape
    (torch.Size([2, 9]), torch.Size([2, 8]))

    """

    def __init__(self, options: ModelOptions, max_bp: int, compute: ComputeOptions) -> None:
        super().__init__()
        width, heads = options.embedding_dim, options.attention_heads
        self.options, self.compute = options, compute
        self.gradient_checkpointing = False
        # Share of the ASVs whose gradients are computed in training, None: as the device's plan has it.
        self.gradients_of: float | None = 1.0
        self.token_embedding = nn.Embedding(len(Nucleotide), width, padding_idx=Nucleotide.PAD)
        rotary = options.position_encoding == "rotary"
        self.rotary = RotaryPositions(width, heads, 1 + max_bp) if rotary else None
        # As large as the tokens', so that the first layers already tell the same letter at two positions apart.
        self.position_embedding = None if rotary else nn.Parameter(torch.randn(1 + max_bp, width))
        self.context = NucleotideContext(width)
        self.layers = nn.ModuleList(TransformerLayer(options, compute) for _ in range(options.attention_layers))
        self.pooling = AttentionPooling(width, heads)
        self.words = Words(options.word_length, width) if options.word_length else None
        self.nucleotide_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, KNOWN_NUCLEOTIDES))

    def forward(self, asv_tokens: Tensor, equal_lengths: bool | None = None) -> Tensor:
        """Whole, unmasked sequences uint8 [U, 1 + L] -> [U, D]; equal_lengths: whether none is padded, where that is known."""
        return self._with_words(self._from_layers(asv_tokens, equal_lengths), asv_tokens)

    def _with_words(self, vectors: Tensor, asv_tokens: Tensor) -> Tensor:
        return vectors if self.words is None else self.words.beside(vectors, self.words(asv_tokens))

    def _from_layers(self, asv_tokens: Tensor, equal_lengths: bool | None = None) -> Tensor:
        """Vectors [U, D] without the part of words, in chunks."""
        encode = partial(self._vectors, equal_lengths=equal_lengths)
        number = self._with_gradients(asv_tokens)
        if number < len(asv_tokens):
            sampled = Sampled(encode, self._at_once(asv_tokens), number, self.gradient_checkpointing)
            return run_sampled(sampled, asv_tokens, self._all_but(self.nucleotide_head, self.words))
        work = Chunked(encode, self._chunks(asv_tokens), self.gradient_checkpointing)
        return run_chunks(work, (), self._all_but(self.nucleotide_head, self.words))

    @torch.no_grad()
    def calibrate(self, asv_tokens: Tensor, known: Tensor) -> None:
        """Scale and shift the output layer so that the vectors of these ASVs have mean 0 and standard deviation 1 in each channel.
        Words are those of the sequences `known`.

        Once, before training: at first the pooled vectors of all ASVs are nearly the same one, and what tells them apart would be
        lost beside it. Data-dependent initialisation (Kingma & Dhariwal 2018, arXiv 1807.03039).
        """
        vectors = self._from_layers(asv_tokens)
        deviation = vectors.std(dim=0, correction=0)
        scale = torch.where(deviation > 1e-6, 1 / deviation, 1.0)
        self.pooling.out.bias.sub_(vectors.mean(dim=0)).mul_(scale)
        self.pooling.out.weight.mul_(scale.unsqueeze(1))
        if self.words is not None:
            self.words.calibrate(known)

    def masked_nucleotides(self, hidden: HiddenNucleotides, equal_lengths: bool | None = None) -> tuple[Tensor, Tensor]:
        """Predict the hidden nucleotides, which the model does not see.

        Their cross-entropy, summed, in nats; and, without gradients, logits over A, C, G, T [U K, 4], row by row.
        """
        loss = partial(self._masked_loss, equal_lengths=equal_lengths)
        work = ChunkedLoss(loss, self._chunks(hidden.tokens, hidden.places, hidden.letters))
        return run_losses(work, self._all_but(self.pooling, self.words))

    def with_masked(
        self, asv_tokens: Tensor, hidden: HiddenNucleotides, equal_lengths: bool | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`forward` and `masked_nucleotides`, in one pass where all of it is one chunk."""
        at_once = len(asv_tokens) + len(hidden.tokens) <= self._at_once(asv_tokens)
        # Ranks that share the layers call them as often, whatever each has.
        apart = self.gradient_checkpointing or self._with_gradients(asv_tokens) < len(asv_tokens)
        if apart or not at_once or sharded(list(self.parameters())):
            # First, before anything is kept for the backward pass: of this nothing is.
            loss, logits = self.masked_nucleotides(hidden, equal_lengths)
            return self(asv_tokens, equal_lengths), loss, logits
        # The hidden ones may be another rank's, and longer.
        if across := hidden.tokens.shape[1] - asv_tokens.shape[1]:
            asv_tokens = F.pad(asv_tokens, (0, across), value=Nucleotide.PAD)
        x, real = self._encode(torch.cat([asv_tokens, hidden.tokens]), equal_lengths)
        whole, masked = x.split((len(asv_tokens), len(hidden.tokens)))
        loss, logits = self._loss(masked, hidden.places, hidden.letters)
        pooled = self.pooling(whole, None if real is None else real[: len(asv_tokens)])
        return self._with_words(pooled, asv_tokens), loss, logits.detach()

    def _all_but(self, *unused: nn.Module | None) -> list[nn.Parameter]:
        """Only parameters that have a part in an output: an engine of several ranks waits for the gradient of each."""
        left_out = {id(parameter) for part in unused if part is not None for parameter in part.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in left_out]

    def _with_gradients(self, tokens: Tensor) -> int:
        """Of so many ASVs, all or a part, gradients are computed."""
        share = plan_of(self.compute, tokens.device).gradients_of if self.gradients_of is None else self.gradients_of
        if share == 1 or not self.training or not torch.is_grad_enabled() or sharded(list(self.parameters())):
            return len(tokens)
        return with_gradients(len(tokens), share)

    def _at_once(self, tokens: Tensor) -> int:
        plan = plan_of(self.compute, tokens.device)
        return plan.asvs_at_once(tokens.shape[1], self.options.embedding_dim, self.gradient_checkpointing)

    def _chunks(self, *inputs: Tensor) -> list[tuple[Tensor, ...]]:
        size = self._at_once(inputs[0])
        if len(inputs[0]) <= size:
            return [inputs]
        return list(zip(*(part.split(size) for part in inputs), strict=True))

    def _vectors(self, tokens: Tensor, equal_lengths: bool | None) -> Tensor:
        return self.pooling(*self._encode(tokens, equal_lengths))

    def _masked_loss(self, tokens: Tensor, places: Tensor, letters: Tensor, equal_lengths: bool | None) -> tuple[Tensor, Tensor]:
        return self._loss(self._encode(tokens, equal_lengths)[0], places, letters)

    def _loss(self, x: Tensor, places: Tensor, letters: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.arange(len(x), device=x.device).unsqueeze(1) * x.shape[1]
        logits = self.nucleotide_head(x.flatten(0, 1).index_select(0, (rows + places).flatten()))
        # In full precision; in double where the model is.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return F.cross_entropy(logits, letters.flatten(), ignore_index=NO_LETTER, reduction="sum"), logits

    def _encode(self, tokens: Tensor, equal_lengths: bool | None) -> tuple[Tensor, Tensor | None]:
        """Tokens [U, T] -> [U, T, D], and which positions are real, bool [U, T], None for all."""
        real = None if equal_lengths else tokens != Nucleotide.PAD
        # Sequences of one length need no mask, and the fused attention is faster without. A GPU would be waited for to know.
        if real is not None and (equal_lengths is None or not tokens.is_cuda) and bool(real.all()):
            real = None
        return self.positions(tokens, real), real

    def positions(self, tokens: Tensor, real: Tensor | None) -> Tensor:
        """Tokens [U, T], of which `real` (bool [U, T], None for all) are no padding -> [U, T, D]."""
        key_bias = None if real is None else hide_padding(real)
        x = self.token_embedding(tokens.int()) + self.context(tokens)
        if self.position_embedding is not None:
            x = x + self.position_embedding[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, key_bias, self.rotary)
        return x
