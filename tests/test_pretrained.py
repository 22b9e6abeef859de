"""The program that fits the encoder that comes with AAM writes a model folder with its card, twice the same."""

from dataclasses import replace

import numpy as np
import pytest

from aam.data.simulate import simulate, write_simulation
from aam.options import FitOptions, ModelOptions
from aam.saved.load import load
from aam.study.reading import read_study
from benchmarks import pretrained

SMALL = replace(
    pretrained.LEARNER,
    model=ModelOptions(embedding_dim=16, attention_layers=0, clades=20),
    options=FitOptions(epochs=1, batch_size=16),
    groups_in_batch=2,
    show=False,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_simulation(simulate(0, n_samples=40, n_asvs=40, length=120, n_studies=4), folder)
    return folder


@pytest.fixture(scope="module")
def folder(corpus):
    scores = corpus / "scores.tsv"
    scores.write_text("question\tencoder\tridge\nage | years\t7.1\t8.2\n")
    for name in ("model", "again"):
        pretrained.write(pretrained.fit(corpus, SMALL), corpus / name, scores)
    return corpus / "model"


def test_two_runs_write_the_same_bytes(folder):
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "card.json", "config.json", "model.safetensors", "novelty.safetensors", "samples.txt"]
    for name in names:
        assert (folder / name).read_bytes() == (folder.parent / "again" / name).read_bytes(), name


def test_the_folder_loads_and_embeds(folder, corpus):
    study = read_study(corpus / "table.biom")
    fitted = load(folder)
    assert fitted.info.reads.max_bp == 100
    assert len(fitted.info.learned_from) == fitted.info.origin.table_samples == 40
    assert np.isfinite(fitted.embed(study)).all()


def test_the_card_has_sources_region_limits_and_scores(folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| question | encoder | ridge |\n| --- | --- | --- |\n| age \\| years | 7.1 | 8.2 |" in card
    for text in ("100 nucleotides after primer 515F", "CC BY-SA 3.0", "Reverse complements are refused", "Not for diagnosis"):
        assert text in card, text
    assert "/" + "work" not in card


def test_without_scores_the_card_says_so(tmp_path, corpus):
    pretrained.write(pretrained.fit(corpus, SMALL), tmp_path / "model", tmp_path / "absent.tsv")
    assert "## Scores\n\nnot stated\n" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
