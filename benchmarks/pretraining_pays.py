"""Whether pretraining helps to predict: `python -m benchmarks.pretraining_pays`.

Asks the questions of `suite.yaml` and `practice.yaml` in five folds by group, and of fewer training samples: a random forest and a
linear model on which ASVs are there, beside a linear model on the embeddings of a pretrained encoder, trees on the clades that
it tells of a sample (and the same trees on ASVs), and that encoder fine-tuned.
The encoder never saw the study: it is the one of `benchmarks.unseen_studies` that leaves it out. Prints a table for each question;
what was run before is taken from the output folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aam.benchmark.suite import read_suite
from aam.evaluation.compare import Outcome, mean_score
from aam.learners.baselines import baselines_of
from aam.learners.transformer import GivenEncoder, TransformerLearner
from aam.models.clades import CladeEncoder
from aam.options import Question, ReadOptions, TrainFitOptions
from aam.saved.transformer import FittedEncoder
from aam.study.folds import Fold, inner_folds, make_folds
from aam.study.problem import Problem
from benchmarks.in_folds import Arrays, gain_of, kept, parser_of, problem_of
from benchmarks.measure import ROOT
from benchmarks.unseen_studies import HELD_OUT, Corpus, folder_of, without

SIZES = (20, 50, 100, 200)
FOREST, PRESENCE = "random forest", "presence"
LINEAR, CLADES, TUNED = "linear model, embeddings", "extra trees, clades", "fine-tuned"
ASVS, BOTH = "extra trees, ASVs", "extra trees, ASVs and clades"
SCRATCH = "from scratch"
# Of the encoder, which learned from 100 nucleotides.
READS = ReadOptions(max_bp=100)
_FIT = TrainFitOptions(lr=5e-4, epochs=30, max_steps=300, patience=8)
# A transformer of default size takes a second and more for a step of a CPU.
_FROM_SCRATCH = TrainFitOptions(lr=1e-3, epochs=12, max_steps=60, asv_gradients=0.125)
_PENALTIES = np.logspace(-3, 3, 13)
# Of those that are drawn; told apart by colour-blind readers, too.
_COLOURS = {
    FOREST: "#000000",
    PRESENCE: "#999999",
    LINEAR: "#56b4e9",
    ASVS: "#e69f00",
    CLADES: "#009e73",
    TUNED: "#cc79a7",
}

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]


def linear(problem: Problem, embedded: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """What a linear model on embeddings [N, D] of the samples `train` says of others; its penalty is chosen in folds by group."""
    truth = problem.truth[train]
    if problem.target.classes:
        folds = inner_folds(np.arange(len(train)), 3, 0, groups=problem.units(train), labels=truth)
        model = LogisticRegressionCV(
            Cs=_PENALTIES,
            cv=folds,
            scoring="neg_log_loss",
            class_weight="balanced",
            max_iter=300,
            l1_ratios=(0,),
            use_legacy_attributes=False,
        )
    else:
        model = RidgeCV(1 / _PENALTIES)
    fitted = make_pipeline(StandardScaler(), model).fit(embedded[train], truth)
    return fitted.predict_proba(embedded[test]) if problem.target.classes else fitted.predict(embedded[test])


def asvs_of(problem: Problem) -> np.ndarray:
    """Which ASVs each sample has, and the square root of the share of its reads that each has, [N, 2 M]."""
    shares = problem.study.shares.astype(np.float32).toarray()
    return np.hstack([shares > 0, np.sqrt(shares)])


def clades_of(problem: Problem, fitted: FittedEncoder) -> np.ndarray:
    """Which clades each sample has, and the square root of how much of its reads are in each, [N, 2 K]."""
    study, encoder = problem.study, fitted.encoder
    assert isinstance(encoder, CladeEncoder)
    with torch.no_grad():
        told = torch.sigmoid(encoder.logits(torch.from_numpy(fitted.embed_asvs(study)))).numpy()
    starts = study.counts.indptr[:-1]
    present = np.maximum.reduceat(told[study.counts.indices], starts, axis=0)
    return np.hstack([present, np.sqrt(study.shares @ told)])


def trees(problem: Problem, inputs: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """What extremely randomised trees on these inputs [N, C] of the samples `train` say of others."""
    if problem.target.classes:
        return ExtraTreesClassifier(300, random_state=0).fit(inputs[train], problem.truth[train]).predict_proba(inputs[test])
    return ExtraTreesRegressor(300, max_features=0.1, random_state=0).fit(inputs[train], problem.truth[train]).predict(inputs[test])


def tuned(problem: Problem, encoder: FittedEncoder, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """What the encoder says that goes on learning, with a head for the target."""
    learner = TransformerLearner(start=GivenEncoder(encoder), options=_FIT, show=False)
    return learner.fit(problem, train).predict(problem.study, test)


def from_scratch(problem: Problem, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """What a transformer says that began with the words of ASVs alone."""
    return TransformerLearner(options=_FROM_SCRATCH, show=False).fit(problem, train).predict(problem.study, test)


def baseline(name: str, problem: Problem, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """What a model that people use says."""
    found = baselines_of(problem, 0, 1)
    full = next(one for one in found if one.endswith(name))
    return found[full].fit(problem, train).predict(problem.study, test)


def some_of(problem: Problem, fold: Fold, number: int | None) -> np.ndarray:
    """So many of the training samples, each class as often as among all as far as that goes; all for None."""
    rows = np.random.default_rng((fold.number, 0)).permutation(fold.train)
    if number is None or not problem.target.classes:
        return np.sort(rows[:number])
    order = np.argsort(np.concatenate([np.arange(np.sum(of)) / np.sum(of) for of in _by_class(problem, rows)]), kind="stable")
    return np.sort(np.concatenate([rows[of] for of in _by_class(problem, rows)])[order][:number])


def _by_class(problem: Problem, rows: np.ndarray) -> list[np.ndarray]:
    return [problem.truth[rows] == number for number in range(len(problem.target.classes or ()))]


def answers(predict: Predict, problem: Problem, number: int | None, fold: Fold) -> Arrays:
    """What is said of the held-out samples of a fold after so many training samples."""
    return {"held_out": predict(some_of(problem, fold, number), fold.test)}


def contestants(problem: Problem, encoder: FittedEncoder) -> dict[str, Predict]:
    """By name."""
    embedded, asvs, clades = encoder.embed(problem.study), asvs_of(problem), clades_of(problem, encoder)
    return {
        FOREST: partial(baseline, FOREST, problem),
        PRESENCE: partial(baseline, PRESENCE, problem),
        LINEAR: partial(linear, problem, embedded),
        ASVS: partial(trees, problem, asvs),
        CLADES: partial(trees, problem, clades),
        BOTH: partial(trees, problem, np.hstack([asvs, clades])),
        TUNED: partial(tuned, problem, encoder),
        SCRATCH: partial(from_scratch, problem),
    }


def questions_in(data: Path) -> dict[str, Question]:
    """Those of both suites, by name, but for that of the corpus itself."""
    suites = [read_suite(ROOT / "benchmarks" / name, data).questions for name in ("suite.yaml", "practice.yaml")]
    return {name: question for suite in suites for name, question in suite.items() if question.data.table.parent.name != "corpus"}


def encoder_for(question: Question, corpus: Corpus, kept_in: Path) -> FittedEncoder:
    """The encoder that never saw the question's study."""
    study = question.data.table.parent.name
    (part,) = (part for part in HELD_OUT if study in part)
    found = without(corpus, part, folder_of(kept_in, part))
    return replace(found, info=replace(found.info, reads=READS))


def outcomes_of(problem: Problem, folds: Sequence[Fold], place: Path, predicts: Mapping[str, Predict]) -> dict[int | None, Outcome]:
    """By number of training samples (None: all), and then of the transformer from scratch, too."""
    found: dict[int | None, Outcome] = {}
    for size in [size for size in SIZES if size < min(len(fold.train) for fold in folds)] + [None]:
        said = {}
        for name in (name for name in predicts if size is None or name != SCRATCH):
            parts = kept(partial(answers, predicts[name], problem, size), folds, place / f"{name}-{size or 'all'}")
            said[name] = [part["held_out"] for part in parts]
        found[size] = Outcome(problem, folds, said)
    return found


def table(outcomes: Mapping[int | None, Outcome], base: str = FOREST) -> str:
    """A line for each contestant with its gain over the base, a column for each number of training samples."""
    full = outcomes[None]
    heads = [f"{size} samples" if size else f"all ({fewest_of(full)} or more)" for size in outcomes]
    rows = [
        [name, *(gain_of(outcome, name, base) if name in outcome.predictions else "" for outcome in outcomes.values())]
        for name in full.predictions
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {full.measure.label} | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|", *lines])


def fewest_of(outcome: Outcome) -> int:
    """Training samples of the fold that has fewest."""
    return min(len(fold.train) for fold in outcome.folds)


def draw(found: Mapping[str, Mapping[int | None, Outcome]], path: Path) -> None:
    """A picture of learning curves, one panel for each question."""
    rows = -(-len(found) // 4)
    figure = Figure(figsize=(13, 3 * rows), layout="constrained")
    axes = figure.subplots(rows, 4, squeeze=False)
    for panel in axes.flat:
        panel.set_visible(False)
    for panel, (title, outcomes) in zip(axes.flat, found.items(), strict=False):
        panel.set_visible(True)
        sizes = [size or fewest_of(outcome) for size, outcome in outcomes.items()]
        for name in (name for name in _COLOURS if name in outcomes[None].predictions):
            drawn = [mean_score(outcome, name) for outcome in outcomes.values()]
            panel.plot(sizes, drawn, marker="o", markersize=3, color=_COLOURS[name], label=name, lw=2.2 if name == FOREST else 1.2)
        measure = outcomes[None].measure
        ticks = [size for size in sizes if size == sizes[-1] or 1.2 * size < sizes[-1]]
        panel.set(title=title, xscale="log", xlabel="training samples", xticks=ticks, xticklabels=ticks)
        panel.set_ylabel(measure.label if measure.higher_is_better else f"{measure.label} (lower is better)")
        panel.minorticks_off()
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print a table for each question; draw them all."""
    parser = parser_of("pretraining_pays", __doc__)
    parser.add_argument("--encoders", type=Path, default=ROOT / "benchmarks" / "results" / "unseen_studies")
    parser.add_argument("--contestants", nargs="+", help="the random forest and others (default: all)")
    parser.add_argument("--base", default=FOREST, help="whom gains are over")
    parser.add_argument("--picture", type=Path, help="PNG of the learning curves")
    given = parser.parse_args()
    questions = questions_in(given.data)
    corpus, found = Corpus.read(given.data / "corpus"), {}
    for title in given.questions or questions:
        problem = problem_of(questions[title], READS, tree=False)
        folds = make_folds(len(problem), 5, 1, 0, groups=problem.groups, labels=problem.labels)
        predicts = contestants(problem, encoder_for(questions[title], corpus, given.encoders))
        asked = {name: predicts[name] for name in given.contestants or predicts}
        found[title] = outcomes_of(problem, folds, given.output / title, asked)
        print(f"\n{title}\n\n{table(found[title], given.base)}", flush=True)
    if given.picture:
        draw(found, given.picture)


if __name__ == "__main__":
    main()
