"""What an encoder is taught beside UniFrac: distances, quantities of samples, taxa of ASVs."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import pdist
from torch.nn import functional as F

import aam
from aam.data.dataset import Batch
from aam.errors import InputError
from aam.models import SequenceEncoder
from aam.models.heads import Head
from aam.options import ModelOptions, PretrainObjectives
from aam.training.objectives.distances import Distances
from aam.training.objectives.encoder_type import Encoded
from aam.training.objectives.label_free import self_supervised, self_supervised_losses
from aam.training.objectives.quantities import Quantity
from aam.training.objectives.taxa import UNNAMED, Taxonomy
from aam.training.step import Step
from tests.support.commands import SMALL
from tests.support.commands import aam as run
from tests.support.encoders import make_batch

LINEAGES = (
    ("k__A", "p__A", "g__X"),
    ("k__A", "p__B", "g__X"),
    ("k__A", "p__B"),
    ("k__A",),
    ("k__A", "p__A", "g__Y"),
)


def test_ranks_of_one_taxon_are_left_out_and_a_genus_of_two_phyla_is_two():
    taxonomy = Taxonomy.of(LINEAGES)
    assert taxonomy.head.taxa == (("k__A;p__A", "k__A;p__B"), ("k__A;p__A;g__X", "k__A;p__A;g__Y", "k__A;p__B;g__X"))
    assert taxonomy.codes.tolist() == [[0, 0], [1, 2], [1, UNNAMED], [UNNAMED, UNNAMED], [0, 1]]


def test_a_taxonomy_of_one_taxon_is_refused():
    with pytest.raises(InputError, match="names all ASVs alike"):
        Taxonomy.of([("k__A",), ("k__A",)])


def test_taxa_have_the_cross_entropy_of_the_ranks_that_are_named():
    taxonomy = Taxonomy.of(LINEAGES)
    torch.manual_seed(0)
    encoder = SequenceEncoder(ModelOptions(embedding_dim=16, attention_heads=2), 8, heads=(taxonomy.head,))
    tokens, index, counts = make_batch(0, 5, 3, 4, mixed_lengths=False)
    step = Step.alone(Batch(tokens, torch.tensor([4, 2, 0, 1, 3]), index, counts, torch.arange(3)))
    vectors = torch.randn(5, 16)
    told = taxonomy.tell(encoder, Encoded(vectors, None), step)
    logits = encoder.heads["taxonomy"](vectors)
    codes = taxonomy.codes[step.own.asv_columns]
    named = [
        F.cross_entropy(logits[asv, slice(*bounds)], codes[asv, rank])
        for rank, bounds in enumerate(((0, 2), (2, 5)))
        for asv in range(5)
        if codes[asv, rank] != UNNAMED
    ]
    torch.testing.assert_close(told.loss, torch.stack(named).mean())
    scores = taxonomy.metrics()
    scores.update(told)
    right = (told.told == codes)[codes != UNNAMED].float().mean()
    assert float(scores.streamed.compute()["accuracy"]) == pytest.approx(float(right))


def step_with(**measured):
    tokens, index, counts = make_batch(0, 9, 6, 5, mixed_lengths=True)
    return Step.alone(Batch(tokens, torch.arange(9), index, counts.float(), torch.arange(6), measured=measured))


def test_each_type_has_a_loss_and_gradients_that_reach_its_head():
    points = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    far, near = 40 * torch.cdist(points, points), torch.cdist(points, points).clamp(max=1)
    step = step_with(near=near, far=far, amount=torch.arange(6.0) * 100)
    lineages = [("k", f"p{number % 3}") for number in range(9)]
    types = [
        kind.fitted_to(step.own)
        for kind in (
            Distances(Head("near", own=True)),
            Distances(Head("far")),
            Quantity(Head("amount", "quantity")),
            Taxonomy.of(lineages),
        )
    ]
    scales = {kind.name: kind.head.scale for kind in types}
    assert scales["near"] == 1
    assert scales["far"] == pytest.approx(float(far.sum() / 30) / 0.6)
    assert scales["amount"] == pytest.approx(10 * np.std(np.arange(6) * 100))
    encoder = SequenceEncoder(ModelOptions(embedding_dim=16, attention_heads=2), 12, heads=tuple(kind.head for kind in types))
    assert set(encoder.heads) == {"far", "amount", "taxonomy"}
    outcome = self_supervised(encoder, step, PretrainObjectives(nuc_penalty=0), types)
    losses = self_supervised_losses(outcome, step)
    assert list(losses) == ["near", "far", "amount", "taxonomy"]
    # A space of its own begins as that of the embeddings.
    torch.testing.assert_close(outcome.told["far"].predicted, outcome.told["near"].predicted)
    torch.testing.assert_close(outcome.told["far"].true, far[*torch.triu_indices(6, 6, 1)] / scales["far"])
    sum(losses.values()).backward()
    for name, head in encoder.heads.items():
        assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters()), name


def test_a_quantity_that_is_the_same_everywhere_is_refused():
    with pytest.raises(InputError, match="`encoder_type=amount`: it is 3 in 6 samples"):
        Quantity(Head("amount", "quantity")).fitted_to(step_with(amount=torch.full((6,), 3.0)).own)


@pytest.fixture(scope="module")
def files(community, tmp_path_factory):
    """A matrix far above 1, a quantity and a taxonomy of the community."""
    folder = tmp_path_factory.mktemp("taught")
    study = aam.read_study(community / "table.biom")
    counts = study.counts.toarray()
    logs = np.log1p(counts)
    ids, features = study.table.sample_ids, study.table.feature_ids
    matrix = np.linalg.norm(logs[:, None] - logs, axis=2)
    with h5py.File(folder / "matrix.h5", "w") as handle:
        handle["order"], handle["matrix"] = np.array(ids, dtype="S"), matrix
    pd.Series((counts > 0).sum(axis=1), index=pd.Index(ids, name="sample-id"), name="asvs").to_csv(folder / "asvs.tsv", sep="\t")
    last = {name: sequence[-1] for name, sequence in zip(features, study.sequences, strict=True)}
    taxa = [f"k__B; p__{'purine' if last[name] in 'AG' else 'pyrimidine'}; g__" for name in features]
    pd.DataFrame({"Feature ID": features, "Taxon": taxa}).to_csv(folder / "taxonomy.tsv", sep="\t", index=False)
    return folder, matrix


def test_four_types_at_once_are_told_of_held_out_samples_and_kept(community, files, tmp_path):
    folder, matrix = files
    tables = ["--table", community / "table.biom", "--tree", community / "tree.nwk"]
    given = ["--matrix", folder / "matrix.h5", "--vector", folder / "asvs.tsv", "--taxonomy", folder / "taxonomy.tsv"]
    types = ["--encoder-type", "matrix,unifrac=2,vector,taxonomy=0.1"]
    options = [*SMALL, "--epochs", 25, "--patience", 25, "--no-cache", "--output-dir", tmp_path / "run"]
    run("pretrain", *tables, *types, *given, *options)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    scores = metrics["encoder_types"]
    assert list(scores) == ["matrix", "unifrac", "vector", "taxonomy"]
    assert metrics["held_out"] == scores["matrix"]
    for name in ("matrix", "unifrac", "vector"):
        assert scores[name]["spearman"] > 0.5, name
        assert (tmp_path / "run" / "plots" / f"{name}.png").is_file()
    history = metrics["history"]
    assert history[-1]["val/taxonomy_accuracy"] > history[-1]["val/taxonomy_majority_accuracy"] + 0.1
    model = aam.load(tmp_path / "run")
    assert model.spaces == ("matrix", "unifrac", "vector")
    study = aam.read_study(community / "table.biom")
    upper = np.triu_indices(len(study), 1)
    for space in (None, "matrix"):
        told = pdist(model.embed(study, space=space))
        # In the matrix's own unit.
        assert np.abs(told - matrix[upper]).mean() < 0.5 * np.abs(matrix[upper] - matrix[upper].mean()).mean() + 1
    quantity = model.embed(study, space="vector")[:, 0]
    assert abs(quantity.mean() - (study.counts > 0).sum(axis=1).mean()) < 3
    run("embed", "--model", tmp_path / "run", *tables[:2], "--space", "unifrac", "--output", tmp_path / "unifrac.tsv")
    written = pd.read_csv(tmp_path / "unifrac.tsv", sep="\t", index_col=0).to_numpy()
    np.testing.assert_allclose(written, model.embed(study, space="unifrac"), atol=1e-4)
    said = run("embed", "--model", tmp_path / "run", *tables[:2], "--space", "depth", "--output", tmp_path / "d.tsv", code=2)
    assert said == "error: --space depth: this encoder has matrix, unifrac, vector\n"


def test_what_starts_from_such_an_encoder_has_its_weights_and_none_of_its_heads(community, files, tmp_path):
    folder, _ = files
    tables = ["--table", community / "table.biom"]
    types = ["--encoder-type", "vector", "--vector", folder / "asvs.tsv", "--nuc-penalty", 0]
    run("pretrain", *tables, *types, *SMALL, "--epochs", 2, "--no-cache", "--output-dir", tmp_path / "encoder")
    assert aam.load(tmp_path / "encoder").info.space is None
    goal = ["--metadata", community / "metadata.tsv", "--metadata-column", "age", "--recipe", "transformer"]
    start = ["--pretrained-encoder", tmp_path / "encoder", "--freeze-base", "--epochs", 1]
    run("train", *tables, *goal, *start, "--no-cache", "--output-dir", tmp_path / "trained")
    before, after = (aam.load(tmp_path / name).encoder for name in ("encoder", "trained"))
    assert not after.heads
    assert before.heads
    for name, value in after.state_dict().items():
        torch.testing.assert_close(value, before.state_dict()[name], msg=name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--encoder-type", "unifracs"], "error: --encoder-type unifracs: must be one of unifrac, "),
        (["--encoder-type", "unifrac,unifrac"], "error: --encoder-type unifrac,unifrac: name one or more, each once"),
        (["--encoder-type", "unifrac=x"], "error: --encoder-type unifrac=x: the weight is no number"),
        (["--encoder-type", "unifrac=-1"], "error: --encoder-type unifrac=-1: must be of a weight above 0"),
        (["--encoder-type", "taxonomy"], "error: --taxonomy and --encoder-type taxonomy need each other"),
        (["--vector", "asvs.tsv"], "error: --vector and --encoder-type vector need each other"),
    ],
)
def test_types_that_cannot_be_taught_are_one_line(community, files, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(files[0])
    output = ["--output-dir", tmp_path / "out", "--epochs", 1]
    assert run("pretrain", "--table", community / "table.biom", *arguments, *output, code=2).startswith(said)
    assert not (tmp_path / "out" / "model").exists()
