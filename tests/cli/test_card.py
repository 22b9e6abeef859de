"""``aam card``, and what the cards of runs say without it."""

import re
import shutil

import pytest

from aam.saved.load import load
from tests.support.commands import aam, community, pretrained, regressor  # noqa: F401 - fixtures

QUICK = ["--network-steps", 6, "--network-min-epochs", 1, "--forest-trees", 5, "--boosting-rounds", 5]


def sections(folder):
    text = (folder / "model" / "README.md").read_text(encoding="utf-8")
    return dict(section.split("\n\n", 1) for section in re.split(r"^## ", text, flags=re.M)[1:])


@pytest.fixture(scope="module")
def ensemble(community):  # noqa: F811
    """The folder of an ensemble without test samples."""
    data = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--metadata-column", "age"]
    aam("train", *data, *QUICK, "--test-fraction", 0, "--output-dir", community / "ensemble")
    return community / "ensemble"


def test_a_run_of_train_says_how_its_scores_were_had(regressor):  # noqa: F811
    origin, found = load(regressor).info.origin, sections(regressor)
    test = len((regressor / "test_samples.txt").read_text().split())
    train = (regressor / "train_samples.txt").read_text().split() + (regressor / "val_samples.txt").read_text().split()
    assert (origin.table_samples, origin.table_asvs, origin.held_out, origin.held_out_samples) == (60, 60, "test", test)
    assert (origin.group_column, origin.apart) == ("subject", True)
    assert 0 < origin.groups < 15
    # Of the pretrained encoder it started from.
    seen = origin.held_out_seen
    assert f"Scores are of {test} samples that training did not see" in found["Split protocol"]
    assert (f"had seen {seen}." in found["Split protocol"]) == bool(seen)
    assert set(train) <= set(load(regressor).info.learned_from)
    assert f"- Groups of training samples (subjects, studies): {origin.groups} by `subject`." in found["Training data"]


def test_a_run_of_pretrain_says_it_too(pretrained):  # noqa: F811
    origin, found = load(pretrained).info.origin, sections(pretrained)
    assert (origin.held_out, origin.group_column, origin.apart) == ("test", "subject", True)
    assert origin.groups > 0
    assert "Groups were kept whole: none is on both sides." in found["Split protocol"]
    assert "mse of the baseline (mean)" in found["Scores"]


def test_a_run_without_test_samples_and_groups_says_so(ensemble):
    found = sections(ensemble)["Split protocol"]
    assert found.strip() == (
        "No test samples: scores are of the 60 samples trained on, each predicted by members that did not see it. No groups were "
        "named: samples of one subject may be on both sides."
    )


def test_what_people_say_is_added_bit_by_bit(ensemble, tmp_path):
    said = aam("card", "--model", ensemble, "--license", "cc0-1.0", "--primers", "515F/806R")
    unsaid = "--training-data, --region, --split-protocol, --intended-use"
    assert said == f"wrote {ensemble / 'model' / 'README.md'}; not stated: {unsaid}\n"
    (tmp_path / "card.yaml").write_text("region: 16S V4\nintended_use: |\n  Tests.\n\n  No diagnosis.\n")
    aam("card", "--model", ensemble / "model", "--config", tmp_path / "card.yaml", "--title", "Age")
    text, found = (ensemble / "model" / "README.md").read_text(), sections(ensemble)
    assert text.startswith("---\nlicense: cc0-1.0\n")
    assert "\n# Age\n" in text
    assert found["Primers and region"].strip() == "- Primers: 515F/806R\n- Region: 16S V4"
    assert found["Intended use"].strip() == "Tests.\n\nNo diagnosis."


def test_a_run_that_goes_on_keeps_what_was_said(pretrained, community):  # noqa: F811
    shutil.copytree(pretrained, community / "longer")
    aam("card", "--model", community / "longer", "--region", "16S V4")
    options = (community / "longer" / "config.yaml").read_text()
    (community / "longer.yaml").write_text(re.sub("^(epochs|output_dir): .*\n", "", options, flags=re.M))
    aam("pretrain", "--config", community / "longer.yaml", "--epochs", 5, "--output-dir", community / "longer", "--resume")
    assert "- Region: 16S V4" in sections(community / "longer")["Primers and region"]
    (community / "longer" / "model" / "card.json").write_text("{")
    again = ["--config", community / "longer.yaml", "--epochs", 6, "--output-dir", community / "longer", "--resume"]
    assert "what was said of the model in" in aam("pretrain", *again)
    assert "- Region: not stated" in sections(community / "longer")["Primers and region"]


def test_what_is_no_model_or_says_nothing_is_one_line(ensemble, tmp_path):
    assert aam("card", "--model", tmp_path, "--region", "V4", code=2) == (
        f"error: --model {tmp_path}: no model here, config.json is missing; give the output folder of pretrain or train\n"
    )
    assert "--region is empty" in aam("card", "--model", ensemble, "--region", "", code=2)
    assert aam("card", "--region", "V4", code=2) == "error: --model needs a value\n"
