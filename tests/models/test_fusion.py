"""How covariates enter the head: by the formula of the paper, and that models without a gate are as they were."""

import torch

from aam.models.fusion import Concatenation, GatedUnit
from aam.models.sequence_predictor import CovariateShape, TargetHead
from aam.options import ModelOptions

OPTIONS = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)


def test_a_gated_unit_is_that_of_the_paper():
    """Arevalo et al. 2017, section 3.1: h_v = tanh(W_v x_v), h_t = tanh(W_t x_t), z = sigmoid(W_z [x_v, x_t])."""
    unit, microbes, others = GatedUnit(4, 3), torch.randn(5, 4), torch.randn(5, 3)
    h_v, h_t = torch.tanh(microbes @ unit.of_embedding.weight.T), torch.tanh(others @ unit.of_beside.weight.T)
    z = torch.sigmoid(torch.cat([microbes, others], dim=1) @ unit.gate.weight.T)
    torch.testing.assert_close(unit(microbes, others), z * h_v + (1 - z) * h_t)


def test_side_by_side():
    microbes, others = torch.randn(5, 4), torch.randn(5, 3)
    assert torch.equal(Concatenation(4, 3)(microbes, others), torch.cat([microbes, others], dim=1))


def test_levels_are_looked_up_and_no_level_is_zero():
    head = TargetHead(OPTIONS, 1, CovariateShape((3, 2), 1)).eval()
    embedding = torch.randn(2, 16)
    design = torch.tensor([[0.0, 1, 0, 0, 1, 0.5], [0, 0, 0, 0, 0, -2.0]])
    first, second = (part.weight for part in head.categoricals)
    known, unknown = torch.cat([first[2], second[2]]), torch.zeros(16)
    beside = torch.column_stack([torch.stack([known, unknown]), torch.tensor([0.5, -2.0])])
    torch.testing.assert_close(head(embedding, design), head.mlp(torch.cat([head.norm(embedding), beside], dim=1)))


def test_a_head_without_covariates_has_no_parts_for_them():
    names = set(TargetHead(OPTIONS, 1, CovariateShape()).state_dict())
    assert not [name for name in names if name.startswith(("fusion", "categoricals"))]
