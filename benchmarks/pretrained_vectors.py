"""Whether an ensemble is better with pretrained vectors of ASVs: `python -m benchmarks.pretrained_vectors`.

Set networks and kernel models read fixed vectors of ASVs, from the words of their sequences. Here these are replaced by principal
components of the clades that a pretrained encoder tells, which never saw the study, or half of them are. Asks the questions of
`suite.yaml` and `practice.yaml` in five folds by group, of the ensemble without trees, which read no vectors. Prints scores with
their gain over words; what was run before is taken from the output folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from sklearn.decomposition import PCA

from aam.ensemble.asv_vectors import SequenceWords
from aam.evaluation.compare import Outcome
from aam.learners.ensemble import EnsembleLearner
from aam.models.clades import CladeEncoder
from aam.models.inference import embed_asvs
from aam.options import EnsembleOptions
from aam.study.folds import Fold, make_folds
from aam.study.problem import Problem
from benchmarks.in_folds import Arrays, gain_of, kept, parser_of, problem_of
from benchmarks.measure import ROOT
from benchmarks.pretraining_pays import READS, encoder_for, questions_in
from benchmarks.unseen_studies import Corpus

WORDS, CLADES, BOTH = "words", "clades", "words and clades"
_LIMIT = 8.0


@dataclass(frozen=True, eq=False)
class PretrainedVectors:
    """Stands where `SequenceWords` does: principal components of what an encoder tells of ASVs, each of variance 1."""

    encoder: CladeEncoder
    pca: PCA
    words: SequenceWords | None

    @classmethod
    def fit(cls, encoder: CladeEncoder, both: bool, tokens: np.ndarray, width: int) -> PretrainedVectors:
        """Fit to the ASVs of the training samples; both: half of the width are words."""
        own = width // 2 if both else width
        told = _told(encoder, tokens)
        words = SequenceWords.fit(tokens, width - own) if both else None
        return cls(encoder, PCA(min(own, *told.shape), whiten=True, random_state=0).fit(told), words)

    def vectors(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens uint8 [M, 1 + L] -> float32 [M, W]."""
        own = self.pca.transform(_told(self.encoder, tokens)).astype(np.float32)
        return own if self.words is None else np.hstack([own, self.words.vectors(tokens)])


@torch.no_grad()
def _told(encoder: CladeEncoder, tokens: np.ndarray) -> np.ndarray:
    """Log odds of clades, none beyond certainty, [M, K]."""
    return encoder.logits(embed_asvs(encoder.asv_encoder, tokens)).clamp(-_LIMIT, _LIMIT).numpy()


@contextmanager
def vectors_of(name: str, encoder: CladeEncoder) -> Iterator[None]:
    """Ensembles that are fitted here read other vectors."""
    if name == WORDS:
        yield
        return

    class Pretrained:
        fit = staticmethod(partial(PretrainedVectors.fit, encoder, name == BOTH))

    with patch("aam.ensemble.catalogue.SequenceWords", Pretrained):
        yield


def answers(name: str, encoder: CladeEncoder, problem: Problem, fold: Fold) -> Arrays:
    """What the ensemble says of the held-out samples of a fold."""
    with vectors_of(name, encoder):
        fitted = EnsembleLearner(EnsembleOptions(trees=False)).fit(problem, fold.train)
        return {"held_out": fitted.predict(problem.study, fold.test)}


def main() -> None:
    """A line for each question."""
    parser = parser_of("pretrained_vectors", __doc__)
    parser.add_argument("--encoders", type=Path, default=ROOT / "benchmarks" / "results" / "unseen_studies")
    given = parser.parse_args()
    questions, corpus = questions_in(given.data), Corpus.read(given.data / "corpus")
    print(f"| question | {WORDS} | {CLADES} | {BOTH} |\n|---|---|---|---|")
    for title in given.questions or questions:
        problem = problem_of(questions[title], READS, tree=False)
        folds = make_folds(len(problem), 5, 1, 0, groups=problem.groups, labels=problem.labels)
        encoder = encoder_for(questions[title], corpus, given.encoders).encoder
        assert isinstance(encoder, CladeEncoder)
        said = {}
        for name in (WORDS, CLADES, BOTH):
            parts = kept(partial(answers, name, encoder, problem), folds, given.output / title / name)
            said[name] = [part["held_out"] for part in parts]
        outcome = Outcome(problem, folds, said)
        cells = " | ".join(gain_of(outcome, name, WORDS) for name in said)
        print(f"| {title}, {outcome.measure.label} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
