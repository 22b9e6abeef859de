"""What an encoder is taught beside UniFrac: distances, quantities of samples, taxa of ASVs."""

import json
from contextlib import nullcontext
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import pdist
from torch.nn import functional as F

import aam
from aam.cli import main
from aam.data.dataset import Batch
from aam.errors import InputError
from aam.evaluation.recovery import scores_of_asvs
from aam.learners.pretraining import PretrainingLearner
from aam.models import SequenceEncoder
from aam.models.heads import Head
from aam.options import FitOptions, ModelOptions, PretrainObjectives, TreeOptions
from aam.saved.info import ModelInfo, parse_info
from aam.saved.transformer import FittedEncoder
from aam.study.matrices import study_of
from aam.training.objectives.distances import Distances
from aam.training.objectives.encoder_type import Encoded
from aam.training.objectives.label_free import self_supervised, self_supervised_losses
from aam.training.objectives.quantities import Quantity
from aam.training.objectives.taught import check_distances, taught_by
from aam.training.objectives.taxa import UNNAMED, Taxonomy
from aam.training.step import Step
from tests.support.commands import SMALL
from tests.support.commands import aam as run
from tests.support.encoders import make_batch

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
LINEAGES = (
    ("k__A", "p__A", "g__X"),
    ("k__A", "p__B", "g__X"),
    ("k__A", "p__B"),
    ("k__A",),
    ("k__A", "p__A", "g__Y"),
)


def test_ranks_of_one_taxon_are_left_out_and_a_genus_of_two_phyla_is_two():
    taxonomy = Taxonomy.of(LINEAGES)
    assert taxonomy.head.names == (("k__A;p__A", "k__A;p__B"), ("k__A;p__A;g__X", "k__A;p__A;g__Y", "k__A;p__B;g__X"))
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
        kind.scaled_to(step.own)
        for kind in (
            Distances(Head("near", own=True)),
            Distances(Head("far")),
            Quantity(Head("amount", 1)),
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
    with pytest.raises(InputError, match="`encoder_type=amount`: it is 3 in all of 6 training samples"):
        Quantity(Head("amount", 1)).scaled_to(step_with(amount=torch.full((6,), 3.0)).own)


def test_a_quantity_that_few_samples_have_is_scaled_to_more_than_the_first_of_them(community, tmp_path):
    study = aam.read_study(community / "table.biom")
    values = np.zeros(len(study))
    values[[45, 55]] = 7.0
    pd.Series(values, index=pd.Index(study.table.sample_ids, name="id"), name="v").to_csv(tmp_path / "rare.tsv", sep="\t")
    objectives = PretrainObjectives(encoder_type="vector", vector=tmp_path / "rare.tsv", nuc_penalty=0, count_penalty=0)
    # None of the first 32 of the 50 training samples has it.
    learner = PretrainingLearner(SHAPE, objectives, FitOptions(epochs=1), validation=np.arange(50, 60), show=False)
    (head,) = learner.fit(study, np.arange(60)).info.heads
    assert (head.shift, head.scale) == pytest.approx((values[:50].mean(), values[:50].std() / 0.1))
    # What training samples do not have at all cannot be learned.
    with pytest.raises(InputError, match="it is 0 in all of 45 training samples: nothing can be learned from it; leave it out"):
        replace(learner, validation=np.arange(45, 60)).fit(study, np.arange(60))


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


def written_ids(folder, ids, matrix):
    """A matrix and a vector of some samples, as options."""
    pd.DataFrame(matrix, ids, ids).to_csv(folder / "part.tsv", sep="\t")
    pd.Series(np.arange(len(ids)), index=pd.Index(ids, name="id"), name="v").to_csv(folder / "part_vector.tsv", sep="\t")
    return {"matrix": folder / "part.tsv", "vector": folder / "part_vector.tsv"}


@pytest.mark.parametrize(("name", "lacks"), [("matrix", "distances"), ("vector", "value")])
def test_samples_that_a_file_lacks_are_left_out_if_asked(community, files, tmp_path, name, lacks):
    ids = aam.read_study(community / "table.biom").table.sample_ids
    given = written_ids(tmp_path, ids[3:], files[1][3:, 3:])[name]
    command = ["pretrain", "--table", community / "table.biom", "--encoder-type", name, f"--{name}", given]
    command += [*SMALL, "--max-steps", 1, "--output-dir", tmp_path / "run"]
    said = run(*command, code=2).strip().splitlines()[-1]
    wrong = f"3 of 60 samples have no {lacks} in {given}: {', '.join(ids[:3])}"
    assert said == f"error: {wrong}; remove them, or pass --ignore-missing to leave them out"
    assert f"{wrong}; left out" in run(*command, "--ignore-missing")
    used = [line for part in ("train", "val") for line in (tmp_path / "run" / f"{part}_samples.txt").read_text().split()]
    assert sorted(used) == sorted(ids[3:])
    # In Python no option leaves them out.
    study = aam.read_study(community / "table.biom")
    objectives = PretrainObjectives(encoder_type=name, **{name: given})
    with pytest.raises(InputError, match=rf"3 of 60 samples have no {lacks} there: .*; remove them$"):
        taught_by(study, objectives)


def test_what_is_the_same_in_all_samples_is_refused_before_the_split_is_written(community, tmp_path):
    ids = aam.read_study(community / "table.biom").table.sample_ids
    given = written_ids(tmp_path, ids, 0.5 * (1 - np.eye(len(ids))))
    pd.Series(3, index=pd.Index(ids, name="id"), name="v").to_csv(given["vector"], sep="\t")
    for name, words in (("matrix", "all distances between the samples are 0.5: nothing"), ("vector", "it is 3 in all samples")):
        options = ["--encoder-type", name, f"--{name}", given[name], "--output-dir", tmp_path / name]
        said = run("pretrain", "--table", community / "table.biom", *options, code=2).strip().splitlines()[-1]
        assert said.startswith(f"error: --encoder-type {name}: {words}")
        assert {path.name for path in (tmp_path / name).iterdir()} == {"aam.log", "config.yaml", "inputs.json"}


def test_a_measure_that_is_the_same_in_all_samples_is_refused():
    same = study_of(np.full((12, 4), 3), ["ACGTACGTAC", "ACGTACGTCC", "ACGTACGTGC", "ACGTACGTTC"])
    for name, words in (("jaccard", "all distances between the samples are 0"), ("richness", "it is 4 in all samples")):
        with pytest.raises(InputError, match=f"`encoder_type={name}`: {words}"):
            taught_by(same, PretrainObjectives(encoder_type=name))


def test_a_taxonomy_of_other_asvs_is_refused_before_the_split_is_written(community, tmp_path):
    (tmp_path / "taxonomy.tsv").write_text("Feature ID\tTaxon\nother\tk__B; p__C\n")
    options = ["--encoder-type", "taxonomy", "--taxonomy", tmp_path / "taxonomy.tsv", "--output-dir", tmp_path / "run"]
    said = run("pretrain", "--table", community / "table.biom", *options, code=2)
    assert "60 of 60 ASVs are not in it" in said
    assert not (tmp_path / "run" / "train_samples.txt").exists()


@pytest.mark.parametrize(
    ("types", "options", "said"),
    [
        ("jaccard", {"tree": "tree.nwk"}, "`tree` is of what is measured on a tree, .*`encoder_type=jaccard`: leave it out"),
        ("jaccard", {"alpha": 0.3}, "`alpha` is of generalized UniFrac"),
        ("jaccard", {"unifrac_matrix": "d.h5"}, "`unifrac_matrix` is of `encoder_type=unifrac`, and"),
        (
            "faith_pd",
            {"tree": "tree.nwk", "unifrac_metric": "generalized"},
            "`unifrac_metric` is of `encoder_type=unifrac` on a tree",
        ),
        ("generalized", {"unifrac_metric": "weighted_normalized"}, "`unifrac_metric` is of"),
        ("unifrac", {"unifrac_matrix": "d.h5", "unifrac_metric": "generalized"}, "`unifrac_metric` is of"),
        ("unifrac", {"alpha": 0.3}, "`alpha` is of generalized UniFrac"),
        ("generalized,faith_pd", {"tree": "tree.nwk", "alpha": 0.3}, None),
        ("unifrac", {"unifrac_metric": "generalized", "alpha": 0.3}, None),
        ("unifrac,jaccard", {"unifrac_matrix": "d.h5"}, None),
        ("jaccard,taxonomy", {}, None),
    ],
)
def test_options_of_distances_that_nothing_uses_are_refused(types, options, said):
    objectives = PretrainObjectives(encoder_type=types, taxonomy="t.qza" if "taxonomy" in types else None)
    with nullcontext() if said is None else pytest.raises(InputError, match=said):
        check_distances(objectives, TreeOptions(**options))


def test_nothing_is_taught_of_types_without_a_weight():
    with pytest.raises(InputError, match="`encoder_type=jaccard` with `penalty=0`, the weight of all it teaches"):
        PretrainObjectives(encoder_type="jaccard", penalty=0)
    # Masked nucleotides alone.
    check_distances(PretrainObjectives(penalty=0), TreeOptions())
    with pytest.raises(InputError, match=r"`tree` is of what is measured on a tree, .*`penalty=0`"):
        check_distances(PretrainObjectives(penalty=0), TreeOptions(tree="tree.nwk"))


def test_the_trivial_taxon_is_that_of_the_training_samples():
    taxonomy = Taxonomy.of([("k", "p__A"), ("k", "p__A"), ("k", "p__B"), ("k", "p__C")])
    assert taxonomy.common.tolist() == [0]
    known = taxonomy.knowing(np.array([2]))
    assert known.common.tolist() == known.metrics().named.common.tolist() == [1]
    assert taxonomy.knowing(np.array([], dtype=np.int64)).common.tolist() == [0]


def test_taxa_are_scored_on_the_asvs_of_held_out_samples_and_on_those_that_are_unseen():
    sequences = ["ACGTACGTAA", "ACGTACGTCC", "ACGTACGTGG", "ACGTACGTTT"]
    study = study_of(np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]), sequences)
    taxonomy = Taxonomy.of([("k", "p__A"), ("k", "p__A"), ("k", "p__B"), ("k", "p__B")])
    encoder = SequenceEncoder(ModelOptions(embedding_dim=16, attention_heads=2), study.reads.max_bp, heads=(taxonomy.head,)).eval()
    torch.nn.init.zeros_(encoder.heads["taxonomy"].weight)
    encoder.heads["taxonomy"].bias.data = torch.tensor([0.0, 1.0])
    fitted = FittedEncoder(encoder=encoder, info=ModelInfo(ModelOptions(), study.reads, heads=(taxonomy.head,)))
    # It says p__B of all; training samples are of p__A mostly.
    found = scores_of_asvs(fitted, study, taxonomy, np.array([0, 1]), np.array([1, 2]))
    counted, unseen = {"held_out_asvs": 3, "unseen_asvs": 1}, {"unseen_accuracy": 1, "unseen_majority_accuracy": 0}
    held_out = {"held_out_accuracy": pytest.approx(2 / 3), "held_out_majority_accuracy": pytest.approx(1 / 3)}
    assert found == counted | held_out | unseen
    found = scores_of_asvs(fitted, study, taxonomy, np.array([0, 1]), np.array([0]))
    assert found == {"held_out_asvs": 2, "held_out_accuracy": 0, "held_out_majority_accuracy": 1, "unseen_asvs": 0}


def test_heads_of_earlier_builds_are_read():
    older = [
        {"name": "unifrac", "kind": "distances", "own": True, "shift": 0.0, "scale": 1.0, "taxa": []},
        {"name": "shannon", "kind": "quantity", "own": False, "shift": 2.0, "scale": 0.5, "taxa": []},
        {"name": "taxonomy", "kind": "taxonomy", "own": False, "shift": 0.0, "scale": 1.0, "taxa": [["a", "b"], ["c", "d", "e"]]},
    ]
    heads = (
        Head("unifrac", own=True),
        Head("shannon", 1, shift=2.0, scale=0.5),
        Head("taxonomy", 5, of_samples=False, names=(("a", "b"), ("c", "d", "e"))),
    )
    reads = study_of([[1]], ["ACGTACGTAA"]).reads
    config = json.loads(json.dumps(ModelInfo(ModelOptions(), reads, heads=heads).config()))
    assert parse_info(config, []).heads == heads
    assert parse_info(config | {"heads": older}, []).heads == heads


def test_a_quantity_has_no_distances(community, files, tmp_path):
    options = ["--encoder-type", "matrix,shannon", "--matrix", files[0] / "matrix.h5", *SMALL, "--max-steps", 1]
    said = run("pretrain", "--table", community / "table.biom", *options, "--output-dir", tmp_path / "run")
    assert "warning: Shannon diversity: no better on held-out samples than always predicting their mean: MSE" in said
    assert "Shannon diversity of 6 held-out samples (val)" in said
    command = ["embed", "--model", tmp_path / "run", "--table", community / "table.biom", "--output", tmp_path / "e.tsv"]
    said = run(*command, "--space", "shannon", "--distances", tmp_path / "d.tsv", code=2)
    assert said == "error: --distances with --space shannon: that is a number of each sample, and no distances; leave one out\n"
    assert not (tmp_path / "e.tsv").exists()
    run(*command, "--space", "matrix", "--distances", tmp_path / "d.tsv")
    assert (tmp_path / "d.tsv").exists()


def test_the_short_help_says_that_more_than_unifrac_can_be_taught(capsys):
    assert main(["pretrain", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--encoder-type" in said
    assert "writes the first of them. [default: unifrac]" in said


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
