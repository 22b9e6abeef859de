"""The models, nucleotides -> ASVs -> samples -> predictions."""

from aam.models.asv_encoder import ASVEncoder
from aam.models.sample_network import SampleNetwork
from aam.models.sample_sequence_encoder import SampleSequenceEncoder
from aam.models.sequence_encoder import SequenceEncoder
from aam.models.sequence_predictor import SequencePredictor

__all__ = ["ASVEncoder", "SampleNetwork", "SampleSequenceEncoder", "SequenceEncoder", "SequencePredictor"]
