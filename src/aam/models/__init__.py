"""The models, nucleotides -> ASVs -> samples -> predictions."""

from aam.models.asv_encoder import ASVEncoder
from aam.models.encoder import Encoder
from aam.models.kinds import make_encoder
from aam.models.sample_network import SampleNetwork
from aam.models.sample_sequence_encoder import SampleSequenceEncoder
from aam.models.sequence_encoder import SequenceEncoder
from aam.models.sequence_predictor import SequencePredictor

__all__ = [
    "ASVEncoder",
    "Encoder",
    "SampleNetwork",
    "SampleSequenceEncoder",
    "SequenceEncoder",
    "SequencePredictor",
    "make_encoder",
]
