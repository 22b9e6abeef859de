"""explain.html: what an explanation says, for a reader who meets one for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from aam import page
from aam.errors import counted
from aam.explain import drawing as draw
from aam.explain import pictures
from aam.explain.attributions import Features, Importance, Kind
from aam.explain.cautions import cautions_of
from aam.explain.page_inside import attention, nucleotides
from aam.explain.story import BASELINES, DIRECTIONS, METHODS, Story, shown
from aam.explain.summary import direction_of, ranked
from aam.scoring.resampling import Estimate

# Rows of a table of features, and samples with an account of their own: more would be a page that no browser likes.
_ROWS, _SHOWN_SAMPLES, _PERMUTED = 30, 40, 15
_KINDS: dict[Kind, tuple[str, str]] = {
    "asv": ("ASVs", "ASV"), "clade": ("Clades, taken out as a whole", "clade"), "taxon": ("Taxa, taken out as a whole", "taxon"),
    "covariate": ("Covariates", "covariate"),
}  # fmt: skip
# Classes and signs of directions.
_SIGNS = {1: ("up", "▲"), -1: ("down", "▼"), 0: ("either", "◆")}
_WAYS: tuple[pictures.Way, ...] = ("deletion", "insertion")
_STYLE = """
.up { color: var(--raise); } .down { color: var(--lower); } .either { color: var(--faint); }
.ranking th:nth-child(-n+3), .ranking td:nth-child(-n+3) { text-align: left; }
details { border-bottom: 1px solid var(--line); padding: .25rem 0; } summary { cursor: pointer; }
.names li { overflow-wrap: anywhere; font-size: .85rem; }
select { font: inherit; max-width: 100%; margin-bottom: .6rem; } abbr { text-decoration: none; }
"""
# Without it every account is in a list that opens by itself; with it one is chosen, and the others are put away.
_SCRIPT = """
const accounts = [...document.querySelectorAll('details.account')];
if (accounts.length > 1) {
  const list = document.createElement('select');
  list.setAttribute('aria-label', 'sample');
  accounts.forEach((one, k) => list.add(new Option(one.querySelector('summary').textContent, k)));
  const show = () => accounts.forEach((one, k) => { one.hidden = k != list.value; one.open = k == list.value; });
  accounts[0].before(list);
  list.addEventListener('change', show);
  show();
}
"""


def explanation_page(story: Story) -> str:
    """The whole page."""
    title = f"Which microbes carry the prediction of {story.column}?"
    sections = [
        *(
            section
            for place, importance in enumerate(story.importances)
            for output in range(len(importance.output_names))
            for section in _ranking(story, place, output)
        ),
        ("One sample's account", _accounts(story)),
        *_curves(story),
        *nucleotides(story),
        *attention(story),
        *_compared(story),
        *_permutations(story),
        ("How to read this", page.bullets(_how_to_read(story))),
        ("What this does not say", page.bullets(_limits(story))),
        ("Data", page.definitions(list(_facts(story).items()))),
    ]
    warnings = [*cautions_of(story), *story.warnings]
    return page.page(title, verdict_of(story), warnings, sections, draw.STYLE + _STYLE, _SCRIPT)


def verdict_of(story: Story) -> str:
    """The first sentence: how far the ranking was found to be true of the model; then what stands first in it."""
    tested, noun = story.named_first, story.noun
    importance = story.importances[0]
    top = ranked(importance)[:3]
    first = ", ".join(f"{story.name(importance.features, row)} ({_acts(story, row)})" for row in top.tolist())
    named = f"The {noun}s that carry most of the prediction of {story.column}: {first}."
    if tested is None or not np.isfinite(tested.moved.value):
        return f"{named} How far this is true of the model could not be tested."
    moved = tested.moved
    interval = f"95 % interval {draw.number(moved.low)} to {draw.number(moved.high)}, " if np.isfinite(moved.low) else ""
    tried = counted(tested.samples, "sample")
    return (
        f"Taking out of each sample the {tested.taken} {noun}s named first for it moves its prediction of {story.column} "
        f"{draw.number(moved.value)} times as far as taking out as many others of like abundance "
        f"({interval}{tried}; {tested.with_reads}){_of_list(story)}. {named}"
    )


def _of_list(story: Story) -> str:
    """The same of the list over all samples."""
    if story.listed is None or not np.isfinite(story.listed.moved.value):
        return ""
    return f"; those of its {story.noun}s that the list over all samples names first, {_estimate(story.listed.moved)} times"


def _acts(story: Story, row: int) -> str:
    """What a feature does to the output on which it acts most."""
    importance = story.importances[0]
    output = int(importance.spread[row].argmax())
    name, way = importance.output_names[output], int(direction_of(importance)[row])
    named = "it" if name == story.column else f"the {name}"
    return f"{DIRECTIONS[way]} {named}" if way else f"moves {named} {DIRECTIONS[way]}"


def _ranking(story: Story, place: int, output: int) -> list[tuple[str, str]]:
    """The table of one kind of features for one output, with its pictures."""
    importance = story.importances[place]
    plural, name = _plural(story, importance.features.kind), importance.output_names[output]
    heading = plural if name == story.column else f"{plural}: {name}"
    drawn = [page.heading("Each sample a point") + pictures.swarm(story, place, output)]
    if importance.features.kind == "asv" and (found := pictures.tree(story, output)):
        drawn.append(page.heading("On the tree") + found)
    body = [
        page.hint("The table may be wider than this window: scroll it sideways for more columns."),
        _table(story, importance, output),
        _whole_names(story, importance, output),
        page.note(_about_table(story, place, output)),
        page.side_by_side([f"<div>{part}</div>" for part in drawn]),
    ]
    return [(heading, "\n".join(body))]


def _plural(story: Story, kind: Kind) -> str:
    return f"{story.noun}s" if kind == "asv" else _KINDS[kind][0]


def _table(story: Story, importance: Importance, output: int) -> str:
    unit, first = story.attributions[0].unit, shown(importance, output, _ROWS)
    bound = any(importance.bound_to[row] for row in first)
    header = ["rank", _KINDS[importance.features.kind][1], "direction", f"mean change where it is ({unit})", "95 % interval",
              "between samples", "samples", "same sign", *([f"in one {story.confounder} only"] if bound else [])]  # fmt: skip
    rows, directions = [], direction_of(importance, output)
    for k, row in enumerate(first.tolist()):
        cells = [
            str(k + 1),
            _feature(story, importance.features, row),
            _direction(int(directions[row])),
            draw.number(float(importance.mean_absolute[row, output])),
            _interval(float(importance.low[row, output]), float(importance.high[row, output])),
            draw.number(float(importance.spread[row, output])),
            f"{importance.samples[row]:,}",
            f"{100 * importance.agreement[row, output]:.0f} %",
        ]
        rows.append([*cells, *([escape(importance.bound_to[row])] if bound else [])])
    return f'<div class="ranking">{page.table_of_html(header, rows, ["" for _ in rows])}</div>'


def _whole_names(story: Story, importance: Importance, output: int) -> str:
    """What the short names stand for, to be copied."""
    names = []
    for row in shown(importance, output, _ROWS).tolist():
        feature_id = importance.features.ids[row]
        lineage = story.taxonomy.get(feature_id, "")
        names.append(f"<li>{escape(feature_id)}{f'<br>{escape(lineage)}' if lineage else ''}</li>")
    return f'<details class="names"><summary>Whole names, in this order</summary><ol>{"".join(names)}</ol></details>'


def _interval(low: float, high: float) -> str:
    return f"{draw.number(low)} to {draw.number(high)}" if np.isfinite(low) else "unknown"


def _feature(story: Story, features: Features, row: int) -> str:
    feature_id = features.ids[row]
    whole = f"{feature_id}: {story.taxonomy[feature_id]}" if feature_id in story.taxonomy else feature_id
    return f'<abbr title="{escape(whole)}">{escape(story.name(features, row))}</abbr>'


def _direction(way: int) -> str:
    kind, sign = _SIGNS[way]
    return f'<span class="{kind}">{sign} {DIRECTIONS[way]}</span>'


def _about_table(story: Story, place: int, output: int) -> str:
    found, importance = story.attributions[place], story.importances[place]
    file = {"asv": "importance.tsv", "clade": "importance_clades.tsv", "taxon": "importance_taxa.tsv"}[importance.features.kind]
    number = len(ranked(importance, output))
    rest = f" All {number:,} are in {file}." if number > _ROWS else ""
    if importance.features.kind != "asv":
        rest = f" Of those that share {story.noun}s, which are nested, one is shown.{rest}"
    return (
        f"How far each moves the prediction of a sample that has it, by {METHODS[found.method]}, in {found.unit}: the mean "
        "without regard to sign, with the interval over groups of samples. Between samples: how far its changes are apart over all "
        "samples (mean absolute deviation, each group once; 0 where it is not there): what adds the same to each tells none from "
        f"another. The table is in this order. Same sign: share of its samples whose change has the sign of the mean change; below "
        f"two thirds it acts either way.{rest}"
    )


def _accounts(story: Story) -> str:
    found = story.attributions[0]
    output = int(np.nanstd(found.predicted, axis=0).argmax())
    chosen, drawn = _spread_over(found.predicted[:, output], story.novelty), []
    for k, sample in enumerate(chosen):
        unusual = " (out of distribution)" if story.novelty is not None and story.novelty[sample] > 1 else ""
        title = f"{story.sample_ids[sample]}: {draw.number(float(found.predicted[sample, output]))} {found.unit}{unusual}"
        opened = " open" if k == 0 else ""
        picture = pictures.account(story, sample, output)
        drawn.append(f'<details class="account"{opened}><summary>{escape(title)}</summary>{picture}</details>')
    of = f" of {found.output_names[output]}" if len(found.output_names) > 1 else ""
    some = "" if len(chosen) == len(story.sample_ids) else (
        f" {len(chosen)} of {len(story.sample_ids):,} samples, from the lowest prediction to the highest; all are in "
        "attributions.tsv."
    )  # fmt: skip
    about = (
        f"From the average prediction{of} to that of one sample, by what moves it most. Changes by single {story.noun}s need not "
        "add up to the whole: where one can stand for another, taking out either changes little. The grey bar is what they leave "
        "open."
    )
    if (gradients := story.gradients) is not None:
        left = gradients.left_open()
        about = (
            f"From what is said{of} of {BASELINES[gradients.baseline]} to the prediction of one sample, by what moves it most. "
            f"Changes by single {story.noun}s add up to the whole{f' but for the grey bar: {left}' if left else ''}."
        )
    return f"{page.note(about + some)}{''.join(drawn)}"


def _spread_over(predicted: np.ndarray, novelty: np.ndarray | None) -> list[int]:
    """Samples from the lowest prediction to the highest, evenly; the most novel one among them."""
    order = np.argsort(predicted, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(_SHOWN_SAMPLES, len(order))).round().astype(int)].tolist()
    if novelty is not None and novelty.max() > 1 and (far := int(novelty.argmax())) not in chosen:
        chosen.append(far)
    return [int(sample) for sample in chosen]


def _curves(story: Story) -> list[tuple[str, str]]:
    found, noun = story.curves, story.noun
    if found is None or not found.samples:
        return []
    drawn = [f"<div>{pictures.curves(found, way, story.attributions[0].unit)}</div>" for way in _WAYS]
    about = (
        f"If what is said of each sample is true of the model, taking out the {noun}s named first for it moves predictions sooner "
        "than taking out others in random order or by abundance, and a few of those named first keep the prediction closer than "
        "others do. Means "
        f"over {counted(found.samples, 'sample')} with ten {noun}s or more."
    )
    areas = [
        f"Taking out: the area below the curve is {_estimate(found.better)} times that of the random order.",
        f"Keeping: the area below the curve of the random order is {_estimate(found.kept_better)} times that of those named first.",
    ]
    if (tested := story.named_first) is not None:
        first = f"Of the {tested.taken} named first and as many others, taken out together: {tested.with_reads}. {tested.warning}"
        areas = [first.rstrip(), *areas]
    if story.listed is not None:
        areas.append(
            f"The list over all samples: taking out of each sample the {noun}s that it names first moves predictions "
            f"{_estimate(story.listed.moved)} times as far as taking out others of like abundance."
        )
    return [("Is it true of the model?", page.side_by_side(drawn) + page.note(about) + page.bullets(areas))]


def _estimate(found: Estimate) -> str:
    interval = f" (95 % interval {_interval(found.low, found.high)})" if np.isfinite(found.low) else ""
    return f"{draw.number(found.value)}{interval}"


def _compared(story: Story) -> list[tuple[str, str]]:
    if not story.compared:
        return []
    header = ["compared", f"{story.noun}s", "direction", "beside amount", "importance as it is", "should be"]
    rows = []
    for pair in story.compared:
        said = (pair.found.signed, pair.found.beside_amount, pair.found.spread)
        rows.append([pair.what, f"{pair.found.features:,}", *(draw.number(round(value, 2) + 0.0) for value in said), pair.expected])
    about = (
        f"Rank correlations (Spearman) over {story.noun}s (of a model with shuffled weights those that it knows). The fair figures "
        "are the first two: of the mean change, direction included; and of what is left of the importance beside the amount (in "
        "how many samples, with how many reads, among how many others). The importance as it is agrees in part between any two "
        "models, since any model moves further where more is taken out."
    )
    return [("Is it what the model learned?", page.table(header, rows, [False] * len(rows)) + page.note(about))]


def _permutations(story: Story) -> list[tuple[str, str]]:
    if not story.permutations:
        return []
    parts = []
    for found in story.permutations:
        order = _apart(found.features, np.argsort(-found.loss, kind="stable"))[:_PERMUTED]
        rows = [
            [escape(story.name(found.features, row)), draw.number(float(found.loss[row])),
             _interval(float(found.low[row]), float(found.high[row]))]
            for row in order
        ]  # fmt: skip
        header = [_KINDS[found.features.kind][1], f"loss of {found.measure.label}", "95 % interval"]
        parts.append(page.table_of_html(header, rows, ["" for _ in rows]))
    label, score = story.permutations[0].measure.title, draw.number(story.permutations[0].score)
    about = (
        f"How much worse the {label} ({score}) becomes where the reads of one (of a covariate: its value) are those of another "
        f"sample: what the prediction of {story.column} owes to it. Only those that matter most were tried, at most 200 of a kind; "
        "what was not is not shown. The interval is over groups and over which samples were exchanged: one that holds 0 may be "
        "chance, and of many tried a few in a hundred lie above 0 by chance. Of samples that the model was trained on, the score "
        "is too good."
    )
    return [("What the score owes to them", page.note(about) + page.side_by_side(parts))]


def _apart(features: Features, order: np.ndarray) -> list[int]:
    """Features in an order, without those that share an ASV with one before."""
    taken, chosen = np.zeros(features.asvs.shape[1], dtype=bool), []
    for row in order.tolist():
        columns = features.asvs.indices[features.asvs.indptr[row] : features.asvs.indptr[row + 1]]
        if not taken[columns].any():
            chosen.append(row)
            taken[columns] = True
    return chosen


def _how_to_read(story: Story) -> Sequence[str]:
    found, noun = story.attributions[0], story.noun
    change = "is the prediction of the whole sample less that of the sample without it"
    if (gradients := story.gradients) is not None:
        change = f"by gradients is its part of the difference of the prediction to what is said of {BASELINES[gradients.baseline]}"
    return [
        f"The change by {'an' if noun == 'ASV' else 'a'} {noun} {change}: above 0 it raises the prediction, below 0 it lowers it. "
        f"Values are in {found.unit}.",
        f"Orange raises, blue lowers, grey either way. {noun}s have the same number in the table, in the points and on the tree.",
        "Names are shortened, sequences to their MD5, as QIIME 2 calls them; whole names stand below each table. QIIME 2 reads "
        "importance.qza (FeatureData[Importance]). EMPress reads empress.tsv, iTOL reads itol_bars.txt and itol_colours.txt, "
        "EMPeror ordination.txt.",
    ]


def _limits(story: Story) -> Sequence[str]:
    noun = story.noun
    return [
        f"It explains the model, not the biology: {'an' if noun == 'ASV' else 'a'} {noun} on this list predicts {story.column} in "
        "these data; whether it is a cause, an effect, or goes along with something else cannot be told from it.",
        f"{noun}s that occur together share their importance: one that is missing here may matter as much as one that stands "
        "first.",
        "Relative abundances are tied: where one microbe grows, the shares of all others fall.",
        f"A model that predicts {story.column} badly is explained as confidently as a good one: look at its score on held-out "
        "samples first.",
    ]


def _facts(story: Story) -> dict[str, str]:
    found = story.attributions[0]
    own = {
        "predicted": story.column,
        "unit": found.unit,
        "method": METHODS[found.method],
        "samples explained": f"{len(story.sample_ids):,}",
        f"{story.noun}s in them": f"{int((story.importances[0].samples > 0).sum()):,}",
    }
    if (gradients := story.gradients) is not None:
        own |= {"baseline": BASELINES[gradients.baseline], "weight explained": f"{100 * gradients.weight:.0f} %"}
    return own | dict(story.facts)
