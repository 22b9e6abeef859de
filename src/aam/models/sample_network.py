"""The set network of version 0.1.0: fixed ASV vectors and the identities of known ASVs -> the target, by the sample level alone."""

from torch import Tensor, nn

from aam.models.sequence_encoder import SampleLevel
from aam.options import ModelOptions


class SampleNetwork(SampleLevel):
    """Attend over the set of ASVs of each sample, pool it, predict: [B, outputs].

    An ASV is the projection of its vector plus, where it is known, an embedding of its own that starts at zero: what its sequence
    says stays the rule, its identity is the exception to it.
    """

    def __init__(self, options: ModelOptions, vector_width: int, known: int, outputs: int) -> None:
        super().__init__(options)
        width = options.embedding_dim
        self.project = nn.Linear(vector_width, width)
        self.identity = nn.Embedding(known + 1, width, padding_idx=0)
        nn.init.zeros_(self.identity.weight)
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(options.dropout), nn.Linear(width, outputs)
        )

    def forward(self, vectors: Tensor, identity: Tensor, asv_index: Tensor, counts: Tensor) -> Tensor:
        """vectors [U, W] and identity int64 [U] (0 = not known) of distinct ASVs, asv_index int64 [B, S], counts [B, S]."""
        return self.head(self.encode_samples(self.project(vectors) + self.identity(identity), asv_index, counts))
