"""What `aam export` costs and gives: `python -m benchmarks.exported RUN...`, output folders of train or pretrain.

Of each run, on the table that it was trained on: how far the graph is from the model on samples that it was not trained on, in
three shapes (all of them, one alone, a few whose ASVs are cut to 60 nucleotides), the processor time of both on the whole table,
without reading it and as whole commands, and what weights in 8 bits lose. Needs the extra `onnx`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import aam
from aam.data.sequences import tokenize
from aam.exporting import reader
from aam.exporting.about import reader_text
from aam.saved.fitted import Fitted
from aam.study.new_samples import known_truth
from aam.study.study import Study
from benchmarks.measure import text_table

_CUT, _FEW, _ROUNDS = 60, 5, 3
# The whole of a command, beside `aam predict`: a table in BIOM format, predictions as a TSV.
_WHOLE = """
import sys
import biom
session, about = load(sys.argv[1])
table = biom.load_table(sys.argv[2])
sequences = dict(line.split() for line in open(sys.argv[3]))
features, ids = [sequences.get(name, name) for name in table.ids("observation")], list(table.ids())
said = run(session, about, features, table.matrix_data.toarray().T.astype(int))
name = about["outputs"][0]
with open(sys.argv[4], "w") as file:
    for sample, values in zip(ids, said[name]):
        print(sample, *np.ravel(values), sep="\\t", file=file)
"""


@dataclass(frozen=True)
class Run:
    """A run's folder, what it was made from, and a study of its table."""

    folder: Path
    config: dict[str, Any]
    study: Study

    @classmethod
    def of(cls, folder: Path) -> Run:
        """Read the table and the metadata of a run."""
        config = yaml.safe_load((folder / "config.yaml").read_text())
        asked = {name: config.get(name) for name in ("metadata", "rep_seqs", "where")}
        study = aam.read_study(config["table"], ignore_missing=True, **asked)
        return cls(folder, config, study)

    @property
    def held_out(self) -> np.ndarray:
        """Rows of samples that the model was not trained on."""
        listed = [(self.folder / f"{part}_samples.txt").read_text().splitlines() for part in ("test", "val")]
        ids = set(listed[0] or listed[1])
        return np.array([row for row in self.study.rows if self.study.table.sample_ids[row] in ids], dtype=np.int64)


def said_by_model(fitted: Fitted, study: Study, rows: np.ndarray) -> np.ndarray:
    """Predictions, or embeddings of an encoder."""
    return fitted.predict(study, rows) if fitted.info.target is not None else fitted.embed(study, rows)


def said_by_graph(session: Any, about: dict[str, Any], study: Study, rows: np.ndarray, size: int = 64) -> np.ndarray:
    """The same by the graph, of the ASVs of these samples alone."""
    counts = study.counts[rows]
    used = np.unique(counts.indices)
    features = study.sequences if about["features"] == "sequences" else study.table.feature_ids
    assert features is not None
    dense = counts[:, used].toarray()
    if about["reads"]["sampling_depth"] or about["reads"]["token_limit"]:
        dense = reader.drawn(about, dense, study.ids(rows))
    design = None
    if about["covariates"]:
        assert study.written is not None
        design = reader.design_of(about, study.written.iloc[rows].to_dict("records"))
    found: np.ndarray = reader.run(session, about, [features[place] for place in used], dense, design, size)[about["outputs"][0]]
    return found


def shortened(study: Study) -> Study:
    """The same samples with the first nucleotides of their ASVs alone."""
    if study.sequences is None:
        return study
    cut = tuple(sequence[:_CUT] for sequence in study.sequences)
    return replace(study, sequences=cut, asv_tokens=tokenize(cut, study.table.feature_ids, study.reads.max_bp))


def seconds(make: Callable[[], Callable[[], object]]) -> float:
    """Processor seconds, the least of a few rounds, since machines are shared; make: gives what is timed, fresh."""
    taken = []
    for _ in range(_ROUNDS):
        call = make()
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)


def whole(arguments: list[str]) -> float:
    """Processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(arguments, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def whole_commands(run: Run, graph: Path, folder: Path) -> tuple[float, float]:
    """Seconds of `aam predict` (`aam embed`) of the run's table, and of a script that uses the graph."""
    table, given = run.config["table"], run.config.get("rep_seqs")
    command = "predict" if run.config.get("metadata_column") else "embed"
    ours = [sys.executable, "-m", "aam", command, "--model", run.folder, "--table", table, "--output", folder / "said.tsv"]
    ours += ["--overwrite", *(["--rep-seqs", given] if given else [])]
    script, sequences = folder / "use.py", folder / "sequences.txt"
    script.write_text(reader_text({"reads": {"sampling_depth": None, "token_limit": None}, "covariates": []}) + _WHOLE)
    # Its sequences by the IDs of features, as a user would have them.
    named = zip(run.study.table.feature_ids, run.study.sequences or (), strict=False)
    sequences.write_text("".join(f"{name} {sequence}\n" for name, sequence in named))
    theirs = [sys.executable, script, graph, table, sequences, folder / "graph.tsv"]
    return whole(list(map(str, ours))), whole(list(map(str, theirs)))


def measured(folder: Path, place: Path, most: int | None, *, only_parity: bool) -> dict[str, Any]:
    """One line of the table; most: held-out samples."""
    run = Run.of(folder)
    fitted, study, rows = aam.load(folder), run.study, run.held_out[:most]
    options = reader.onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    graph = aam.export(fitted, place / f"{folder.name}.onnx", overwrite=True)
    session, about = reader.load(graph, options)
    cases = {"all": (study, rows), "one": (study, rows[:1]), "cut": (shortened(study), rows[1 : 1 + _FEW])}
    found: dict[str, Any] = {"run": folder.name, "samples": len(study), "held out": len(rows)}
    for name, (some, chosen) in cases.items():
        # Fresh: a model keeps what it saw last.
        said = said_by_model(aam.load(folder), some, chosen)
        found[f"far, {name}"] = float(np.abs(said_by_graph(session, about, some, chosen) - said).max())
    if only_parity:
        return found
    small = aam.export(fitted, place / f"{folder.name}-int8.onnx", weights="int8", overwrite=True)
    found["model s"] = seconds(lambda: partial(said_by_model, aam.load(folder), study, study.rows))
    found["graph s"] = seconds(lambda: partial(said_by_graph, session, about, study, study.rows))
    if not about["covariates"] and not about["reads"]["sampling_depth"]:
        found["command s"], found["script s"] = whole_commands(run, graph, place)
    found["MB"], found["int8 MB"] = (path.stat().st_size / 1e6 for path in (graph, small))
    return {**found, **of_small(fitted, study, rows, *reader.load(small, options), said_by_graph(session, about, study, rows))}


def of_small(
    fitted: Fitted, study: Study, rows: np.ndarray, session: Any, about: dict[str, Any], exact: np.ndarray
) -> dict[str, Any]:
    """How far weights in 8 bits lead, their time, and scores of held-out samples."""
    said = said_by_graph(session, about, study, rows)
    found: dict[str, Any] = {"int8 far": float(np.abs(said - exact).max())}
    found["int8 s"] = seconds(lambda: partial(said_by_graph, session, about, study, study.rows))
    if fitted.info.target is None:
        return found
    target, column = fitted.target.target, fitted.target.metadata_column
    truth = known_truth(study.full_metadata, study.ids(rows), column, target)
    assert truth is not None
    key = target.measure.key
    for name, values in (("score", exact), ("int8 score", said)):
        found[name] = f"{key} {fitted.target.scores(truth.values, values[truth.rows])[key]:.4f}"
    return found


def main() -> None:
    """Print a table with a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/exported.json"))
    parser.add_argument("--samples", type=int, help="Maximum number of held-out samples.")
    parser.add_argument("--only-parity", action="store_true", help="How far graphs are from models, and no more.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        lines = [measured(run, Path(place), given.samples, only_parity=given.only_parity) for run in given.runs]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(lines, indent=2) + "\n")
    numbers = {name: ".3g" if isinstance(value, float) else "" for line in lines for name, value in line.items()}
    print(text_table(lines, numbers))


if __name__ == "__main__":
    main()
