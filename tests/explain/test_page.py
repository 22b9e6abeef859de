"""explain.html: sentences and figures that are those of the explanation, a page that stands alone and is whole."""

import re
from dataclasses import replace
from hashlib import md5
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy import sparse

from aam.distances.cut import depths
from aam.explain import drawing as draw
from aam.explain import pictures
from aam.explain.agreement import Agreement
from aam.explain.attributions import Features
from aam.explain.cautions import alike, cautions_of
from aam.explain.logo_picture import logo
from aam.explain.page import explanation_page, verdict_of
from aam.explain.story import Compared, short_id, shown
from aam.explain.summary import ranked
from aam.scoring.resampling import Estimate
from tests.explain.stories import attributions_of, by_gradients, importance_of, story_of, taxa_of

EMPTY = {"meta", "br", "link", "path", "rect"}


class Reading(HTMLParser):
    """Fails where an element is not closed; keeps words, addresses and labels of pictures."""

    def __init__(self, page):
        super().__init__()
        self.open, self.words, self.addresses, self.pictures = [], [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        about = dict(attrs)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        self.pictures += [about["aria-label"]] if tag == "svg" else []
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


@pytest.fixture(scope="module")
def story():
    return story_of()


@pytest.fixture(scope="module")
def read(story):
    return Reading(explanation_page(story))


def test_the_page_is_whole_and_needs_no_other(read):
    assert read.addresses == []
    for heading in (
        "ASVs",
        "One sample's account",
        "Is it true of the model?",
        "In the nucleotides",
        "Is it what the model learned?",
    ):
        assert heading in read.words


def test_no_number_is_missing(story, read):
    assert not re.search(r"\bnan\b|\binf\b|None", read.text)
    assert "nan" not in "".join(re.findall(r"<svg.*?</svg>", explanation_page(story), re.S))


def test_what_users_wrote_is_text(read):
    assert "made <up>" in read.text


def test_the_verdict_tells_what_was_measured(story):
    said = verdict_of(story)
    first = story.importances[0].features.ids[ranked(story.importances[0])[0]]
    assert "3.14 times as far as taking out as many others of like abundance (95 % interval 2.41 to 3.92, 24 samples; " in said
    assert "with 49 % of the reads, others 30 %" in said
    assert "that the list over all samples names first, 2.2 (95 % interval 1.7 to 2.8) times" in said
    assert short_id(first) in said
    assert "not be tested" in verdict_of(replace(story, named_first=None))


def test_it_is_said_where_those_named_first_hold_more_reads(story, read):
    more = "No others hold as many reads"
    assert more in read.text
    even = replace(story, named_first=replace(story.named_first, other_reads=story.named_first.reads))
    assert more not in explanation_page(even)


def test_the_table_is_in_the_order_of_importance(story):
    importance = story.importances[0]
    table = re.search(r"<tbody>(.*?)</tbody>", explanation_page(story), re.S)[1]
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in table.split("</tr>")[:-1]]
    for k, row in enumerate(ranked(importance, 0)[:5]):
        assert cells[k][0] == str(k + 1)
        assert f'title="{importance.features.ids[row]}"' in cells[k][1]
        assert ("raises" in cells[k][2]) == (importance.mean[row, 0] >= 0)
        assert cells[k][6] == str(importance.samples[row])


def test_no_direction_is_named_where_samples_do_not_agree(story):
    importance = story.importances[0]
    first = int(ranked(importance, 0)[0])
    agreement = importance.agreement.copy()
    agreement[first] = 0.29
    mixed = replace(story, importances=(replace(importance, agreement=agreement),))
    assert f"{short_id(importance.features.ids[first])} (moves it either way)" in verdict_of(mixed)
    row = re.search(r"<tbody><tr.*?</tr>", explanation_page(mixed))[0]
    assert "either way" in row
    assert "raises" not in row
    assert "lowers" not in row
    assert "either way" not in re.search(r"<tbody>.*?</tbody>", explanation_page(story))[0]
    bars = [re.findall(r'<rect [^>]*class="(\w+)"', pictures.tree(told, 0)) for told in (story, mixed)]
    assert [kinds.count("base") for kinds in bars] == [0, 1]


def test_outputs_and_kinds_of_features_have_sections(story):
    several = Reading(explanation_page(story_of(outputs=("log-odds of a", "log-odds of b", "log-odds of c"))))
    assert {"ASVs: log-odds of a", "ASVs: log-odds of b", "ASVs: log-odds of c"} <= set(several.words)
    found, importance = taxa_of(story)
    both = replace(story, attributions=(*story.attributions, found), importances=(*story.importances, importance))
    assert {"Taxa, taken out as a whole", "Blautia", "Dorea"} <= set(Reading(explanation_page(both)).words)


def test_a_page_of_little_is_whole_too():
    bare = {"named_first": None, "curves": None, "compared": (), "nucleotides": (), "phylogeny": None}
    read = Reading(explanation_page(story_of(sequences=False, n_samples=3, **bare)))
    assert "features" in read.words
    assert "In the nucleotides" not in read.words


def test_an_account_adds_up_to_the_prediction(story):
    """The ends of the bars, in pixels, are the average, then each sum, then the prediction."""
    counts = story.counts.toarray()
    counts[0] += 1
    counts = sparse.csr_array(counts)
    found = attributions_of(counts, story.asv_ids)
    story = replace(story, counts=counts, attributions=(found,))
    # Of all ASVs, so that some are summed up, and of few.
    for sample in (0, 5):
        picture = pictures.account(story, sample, 0)
        bars = [(float(x), float(width)) for x, width in re.findall(r'<rect x="([-\d.]+)" y="[^"]*" width="([\d.]+)"', picture)]
        first, *steps, last = bars
        at, own = first[0] + first[1] / 2, last[0] + last[1] / 2
        for left, width in steps:
            assert min(abs(at - left), abs(at - left - width)) < 1
            at = left + width if abs(at - left) < abs(at - left - width) else left
        assert abs(at - own) < 1
        values = np.abs(found.value[found.sample == sample, 0])
        assert draw.number(values.max()) in picture


@pytest.mark.parametrize(("baseline", "said"), [("empty", "an empty sample"), ("average", "the average of these samples")])
def test_by_gradients_the_page_says_what_they_go_out_from(story, baseline, said):
    text = Reading(explanation_page(by_gradients(story, baseline))).text
    assert f"its part of the difference of the prediction to what is said of {said}" in text
    assert f"From what is said of {said} to the prediction of one sample" in text
    assert f"what is said of {said}: 40" in text
    assert f"baseline {said} weight explained 100 %" in re.sub(r"\s+", " ", text)
    for untrue in ("a sample without", "average prediction of these samples", "can stand for another, taking out", "grey bar"):
        assert untrue not in text


def test_members_without_gradients_have_a_bar_of_their_own(story):
    """It leads from what the others add up to, to the prediction of the whole model."""
    told = by_gradients(story, "average", weight=0.8, left=10.0)
    picture = pictures.account(told, 3, 0)
    whole = told.attributions[0].predicted[3, 0]
    assert whole == pytest.approx(40 + told.attributions[0].value[told.attributions[0].sample == 3].sum() + 10)
    assert f"prediction of this sample: {draw.number(whole)}" in picture
    assert "+10  members without gradients" in picture
    *_, left, last = [
        (float(x), float(width)) for x, width in re.findall(r'<rect x="([-\d.]+)" y="[^"]*" width="([\d.]+)"', picture)
    ]
    assert left[0] + left[1] == pytest.approx(last[0] + last[1] / 2, abs=0.2)
    text = Reading(explanation_page(told)).text
    assert "weight explained 80" in re.sub(r"\s+", " ", text)
    assert "but for the grey bar: members without gradients." in text
    assert "members without" not in pictures.account(by_gradients(story, "average"), 3, 0)


def test_the_tree_is_that_of_the_asvs(story):
    """Tips stand in the order of the tree, deeper ones further right."""
    picture = pictures.tree(story, 0)
    numbers = [int(k) - 1 for k in re.findall(r">(\d+)\. ", picture)]
    top = ranked(story.importances[0], 0)[numbers]
    place = np.argsort(story.phylogeny.tip_columns)
    assert (np.diff(place[top]) > 0).all()
    assert pictures.tree(replace(story, phylogeny=None), 0) == ""


def test_tips_are_as_far_from_their_ancestor_as_in_the_tree(story):
    top = ranked(story.importances[0], 0)[:25]
    tips = np.sort(np.argsort(story.phylogeny.tip_columns)[top])
    of_tip, of_parting = depths(story.phylogeny)
    far = of_tip[tips] - of_parting[tips[0] : tips[-1]].min()
    lines = re.findall(r'M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" class="axis"', pictures.tree(story, 0))
    level = [(float(y1), float(x2)) for _, y1, x2, y2 in lines if y1 == y2]
    # An inner node may stand at the height of a tip, never further right.
    drawn = np.array([max(x for y, x in level if y == 36.5 + 21 * k) for k in range(len(tips))])
    np.testing.assert_allclose((drawn - 8) / 116, far / far.max(), atol=0.01)


def test_points_of_a_swarm_are_the_samples(story):
    importance = story.importances[0]
    picture = pictures.swarm(story, 0, 0)
    points = sum(path.count("M") for path in re.findall(r'<path d="([^"]*)" style="stroke:var\(--share', picture))
    shown = ranked(importance, 0)[: pictures.SWARM_FEATURES]
    assert points - 5 == importance.samples[shown].sum()


def test_letters_of_a_logo_are_those_of_the_sequence(story):
    found = story.nucleotides[0]
    picture = logo(found, "one", "years")
    letters = re.findall(r'class="letter \w"[^>]*>(\w)</text>', picture)
    assert "".join(letters) == found.letters
    strongest = np.unravel_index(np.argmax(np.abs(found.substitutions)), (40, 4))
    kind = "raise" if found.substitutions[strongest] > 0 else "lower"
    assert re.findall(r'<rect class="(\w+)"[^>]*opacity="1.00"', picture) == [kind]


def test_ticks_are_round_and_within():
    for low, high in ((0, 1), (-3.2, 17), (0.001, 0.0017), (-500, 12_000), (0, 0.3)):
        found = draw.ticks(low, high)
        assert 2 <= len(found) <= 7
        assert low <= min(found) <= max(found) <= high


def test_names_are_short_and_told_apart():
    assert short_id("otu17") == "otu17"
    assert short_id("0f8b2a9c" * 4) == "0f8b2a9c…"
    assert short_id("ACGT" * 20) == f"{md5(('ACGT' * 20).encode()).hexdigest()[:8]}…"
    assert short_id("Bacteroides_of_the_species_vulgatus") == "Bacteroide…s_vulgatus"
    story = story_of(taxonomy={})
    ids, found = story.asv_ids, story.importances[0].features
    named = replace(story, taxonomy={ids[0]: "k__B; g__Blautia; s__producta", ids[1]: "k__B; f__Lachnospiraceae; g__; s__"})
    assert named.name(found, 0).startswith("Blautia producta (")
    assert named.name(found, 1).startswith("Lachnospiraceae (")


def test_a_clade_is_named_by_what_its_asvs_share_and_shown_once(story):
    ids = story.asv_ids
    taxonomy = dict.fromkeys(ids[:3], "k__B; f__L; g__Blautia") | {ids[3]: "k__B; f__L; g__Dorea"}
    held = np.zeros((3, 30), dtype=bool)
    held[0, :3] = held[1, :4] = held[2, 10:15] = True
    clades = Features("clade", ("clade_0", "clade_1", "clade_2"), sparse.csr_array(held))
    named = replace(story, taxonomy=taxonomy)
    assert [named.name(clades, row) for row in range(3)] == ["Blautia (clade_0, 3 ASVs)", "L (clade_1, 4 ASVs)", "clade_2, 5 ASVs"]
    importance = importance_of(attributions_of(story.counts, ids, features=clades))
    found = shown(importance, 0, 10).tolist()
    assert len(found) == 2
    assert 2 in found


def test_warnings_are_about_what_is_so(story):
    assert not any("out of distribution" in said for said in cautions_of(replace(story, novelty=np.full(24, 0.5))))
    novel = np.full(24, 0.5)
    novel[[3, 7]] = 1.5
    assert any(f"({story.sample_ids[3]}, {story.sample_ids[7]})" in said for said in cautions_of(replace(story, novelty=novel)))
    assert not any("learned" in said for said in cautions_of(story))
    assert any("learned from 5 of 24 samples" in said for said in cautions_of(replace(story, learned=5)))
    assert not any("do not rely" in said for said in cautions_of(story))
    untrue = replace(story.named_first, moved=Estimate(1.1, 0.8, 1.5))
    assert any("account of each sample" in said for said in cautions_of(replace(story, named_first=untrue)))
    assert any("list over all samples" in said for said in cautions_of(replace(story, listed=untrue)))
    assert not any("work against each other" in said for said in cautions_of(story))
    worse = replace(story.curves, better=Estimate(0.85, 0.74, 0.97))
    assert any("0.85 times as far" in said for said in cautions_of(replace(story, curves=worse)))
    first = int(ranked(story.importances[0])[0])
    bound = importance_of(story.attributions[0], bound=[(first, "study B")])
    said = [sentence for sentence in cautions_of(replace(story, importances=(bound,))) if "in study B" in sentence]
    assert len(said) == 1
    assert short_id(story.asv_ids[first]) in said[0]


@pytest.mark.parametrize(
    ("beside_amount", "signed", "said"),
    [
        (0.1, 0.31, "in part like that of a model that knows nothing"),
        (-0.25, np.nan, "in part like the reverse of that of a model that knows nothing"),
        (0.19, -0.19, ""),
        (np.nan, np.nan, ""),
    ],
)
def test_a_ranking_that_a_model_without_knowledge_has_too_is_warned_of(story, beside_amount, signed, said):
    found = Agreement(0.9, beside_amount, signed, 30)
    warnings = [
        [
            sentence
            for sentence in cautions_of(replace(story, compared=(Compared("two", "", found, shuffled),)))
            if "nothing" in sentence
        ]
        for shuffled in (True, False)
    ]
    assert [len(some) for some in warnings] == [bool(said), 0]
    assert all(said in sentence and "nan" not in sentence for sentence in warnings[0])


def test_copies_are_named_as_such(story):
    importance = story.importances[0]
    first, second = ranked(importance)[:2]
    counts = story.counts.toarray()
    counts[:, second] = counts[:, first]
    assert (int(first), int(second)) in alike(replace(story, counts=type(story.counts)(counts)), importance, ranked(importance)[:4])
    sequences = list(story.sequences)
    sequences[second] = sequences[first][:-1] + ("A" if sequences[first][-1] != "A" else "C")
    assert (int(first), int(second)) in alike(replace(story, sequences=tuple(sequences)), importance, ranked(importance)[:4])
