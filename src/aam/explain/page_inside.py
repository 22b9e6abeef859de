"""Sections of explain.html on what is inside a model: nucleotides of ASVs, and attention."""

from __future__ import annotations

from collections.abc import Mapping

from aam import page
from aam.errors import counted
from aam.explain.aligned import Aligned
from aam.explain.attention_picture import bars, heat_map, most_attended
from aam.explain.logo_picture import aligned_logo, logo, telling_letters
from aam.explain.nucleotides import LetterMethod
from aam.explain.story import Story

# What the effect of a nucleotide is measured from.
_BESIDE: Mapping[LetterMethod, str] = {
    "unknown letter": "an unknown one in its place",
    "other letters": "the mean of the three others in its place",
    "gradients": "A, C, G and T in equal parts at all positions (integrated gradients)",
}


def nucleotides(story: Story) -> list[tuple[str, str]]:
    """What each nucleotide of the ASVs that matter most does to the prediction."""
    if not story.nucleotides:
        return []
    unit = story.attributions[0].unit
    about = (
        "Letters above the line raise the prediction, letters below lower it; their height is what the nucleotide adds beside "
        f"{_BESIDE[story.nucleotides[0].method]}, in {unit}. The cells below: what would change if it became "
        "A, C, G or T; orange raises, blue lowers. Numbers are positions in the sequence."
    )
    drawn = []
    for found in story.nucleotides:
        name = story.name(story.importances[0].features, found.asv)
        drawn.append(f"<div>{page.heading(name)}{logo(found, name, unit)}</div>")
    body = page.note(about) + page.side_by_side(drawn) + ("" if story.aligned is None else _along(story, story.aligned))
    return [("In the nucleotides", body + page.bullets(_limits(story.noun)))]


def _along(story: Story, found: Aligned) -> str:
    """The same over several ASVs, along their alignment."""
    first = story.name(story.importances[0].features, int(found.related[0]))
    related = f"{first} and the {len(found.related) - 1} sequences nearest to it, aligned"
    drawn = [f"<div>{page.heading(related)}{aligned_logo(found.logo, related, story.attributions[0].unit)}</div>"]
    about = (
        "Aligned: a column is as high as the mean of what its letters add to the prediction, each ASV by its own nucleotides, "
        f"beside {_BESIDE[found.logo.method]}; letters are as high as their share of the ASVs."
    )
    if found.told is None:
        return page.note(about) + page.side_by_side(drawn)
    heading = f"Which letters tell {counted(len(found.compared), story.noun)} apart"
    drawn.append(f"<div>{page.heading(heading)}{telling_letters(found.told, heading)}</div>")
    best = float(found.told.share.max())
    told = (
        f"Bars: the share of the differences between ASVs, in what each adds to {found.name} in samples that have it, that the "
        f"letter in a column tells. The best column (number {int(found.told.share.argmax()) + 1}) tells {100 * best:.2g} %; "
        f"where the effects are exchanged among ASVs at random, the best column tells {100 * found.chance:.2g} %. Cells: ASVs with "
        "A, C, G or T there raise (orange) or lower (blue) the prediction more than others do. Columns that most ASVs lack are "
        "left out."
    )
    return page.note(about) + page.side_by_side(drawn) + page.note(told)


def _limits(noun: str) -> list[str]:
    return [
        f"The figures of a single {noun} tell how the model would read this one sequence otherwise. They do not show a motif: "
        "neighbouring and shared letters can stand for each other, and the highest letters of one sequence may be chance.",
        f"A motif shows reliably over many {noun}s only: in columns that tell clearly more than chance does, in other data too.",
        "Letters that relatives share tell the same: a column may stand for the whole clade. What a letter does in a microbe, no "
        "figure here can tell.",
    ]


def attention(story: Story) -> list[tuple[str, str]]:
    """What the model attends to, with how far that tells what matters."""
    found, noun = story.attention, story.noun
    if found is None:
        return []
    label = [f"{found.faithful.sentence('Attention')}."]
    if found.moved is not None:
        label.append(f"By attention, {found.moved.sentence}. {found.moved.warning}".rstrip())
    features, drawn = story.importances[0].features, []
    if found.samples:
        # Of the samples that are kept the one in the middle of the list.
        middle = len(found.samples) // 2
        one, sample = found.samples[middle], story.sample_ids[found.places[middle]]
        names = [story.name(features, int(one.columns[place])) for place in most_attended(one)]
        title = f"{sample}: which {noun}s (rows) look at which (columns)"
        drawn.append(f"<div>{page.heading(f'In {sample}')}{heat_map(one, names, title)}</div>")
    for asv, one in zip(found.asvs.tolist(), found.nucleotides, strict=True):
        # As many letters as the model reads, beside START.
        name, letters = story.name(features, asv), (story.sequences or ())[asv][: one.pooling.shape[1] - 1]
        drawn.append(f"<div>{page.heading(name)}{bars(one, letters, f'{name}: attention to each nucleotide')}</div>")
    about = (
        f"Attention is where the model looks, without a sign; it need not be what changes a prediction. {noun}s are in the order "
        "of their share of attention through all layers (rollout), as in importance_attention.tsv; the map shows which look "
        "(rows) at which (columns), the mean over layers and heads. Bars: the share of each nucleotide of those that matter most. "
        "attention.npz holds the weights by head and layer."
    )
    return [("What the model attends to", page.bullets(label) + page.note(about) + page.side_by_side(drawn))]
