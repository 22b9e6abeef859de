"""The card of a model folder (README.md), in the form that the Hugging Face hub reads: what AAM knows, and what people said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

from aam import __version__
from aam.ensemble.novelty import Novelty
from aam.errors import counted
from aam.models.heads import first_space
from aam.options import MEMBER_LABELS, CardOptions
from aam.saved.info import ModelInfo
from aam.scoring.scores import BASELINES

NOT_STATED = "not stated"
# Names that the hub has for scores (https://hf.co/metrics); scores without one are in the table of the card alone.
_METRICS = {
    "mae": "mae",
    "mse": "mse",
    "r2": "r_squared",
    "spearman": "spearmanr",
    "accuracy": "accuracy",
    "auc": "roc_auc",
    "f1": "f1",
    "precision": "precision",
    "recall": "recall",
    "brier": "brier_score",
}
# Licences that the hub knows by name and that people give to models and data. Any other is `other`, with its own name.
_LICENSES = (
    "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "bsl-1.0", "cc-by-2.0",
    "cc-by-3.0", "cc-by-4.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "ecl-2.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "gpl-2.0", "gpl-3.0",
    "isc", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "ncsa", "odbl", "odc-by", "openrail", "osl-3.0", "pddl", "unlicense",
)  # fmt: skip


def card_text(info: ModelInfo, novelty: Novelty | None, ensemble: Mapping[str, Any] | None, version: object = __version__) -> str:
    """The card: metadata as YAML, and a page.

    ensemble: what config.json says of the members; version: of the AAM that wrote the model. What nobody said is `not stated`; of
    the samples it has numbers only, no IDs and no values of metadata.
    """
    title = _line(info.said.title) or _purpose(info)
    about = yaml.safe_dump(_metadata(info, ensemble, title), sort_keys=False, allow_unicode=True, width=1000)
    said = info.said
    sections = {
        "What it does": f"{_does(info)}\n\n- {_shape(info, ensemble)}\n{_beside(info)}- Written by AAM {version}.",
        "Training data": f"{said.training_data or f'What the samples are, and from where: {NOT_STATED}.'}\n\n{_data(info)}",
        "Primers and region": f"- Primers: {_line(said.primers) or NOT_STATED}\n- Region: {_line(said.region) or NOT_STATED}",
        "Split protocol": "\n\n".join(filter(None, (_split(info), said.split_protocol and _stated(said.split_protocol)))),
        "Licence": _line(said.license) or NOT_STATED,
        "Intended use": _stated(said.intended_use),
        "Limits": _limits(info, novelty),
        "Scores": _scores(info),
        "How to use": _use(info, by_id=bool(ensemble and ensemble.get("by_id"))),
    }
    page = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections.items())
    return f"---\n{about}---\n\n# {title}\n\n{page}\n"


def _metadata(info: ModelInfo, ensemble: Mapping[str, Any] | None, title: str) -> dict[str, Any]:
    kind = "encoder" if info.target is None else "ensemble" if ensemble is not None else "transformer"
    task = "feature-extraction" if info.target is None else f"tabular-{info.target.target.kind}"
    found = {
        **_license(info.said),
        "library_name": "aam",
        "pipeline_tag": task,
        "tags": ["aam", "microbiome", "amplicon-sequencing", kind],
    }
    shown = {name: value for name, value in _numbers(info.scores).items() if name in _METRICS and math.isfinite(value)}
    if not shown:
        return found
    part = {"split": info.origin.held_out} if info.origin and info.origin.held_out else {}
    result = {
        "task": {"type": task},
        "dataset": {"type": "amplicon-sequencing", "name": "held-out samples", **part},
        "metrics": [{"type": _METRICS[name], "name": name, "value": float(_shown(value))} for name, value in shown.items()],
    }
    return {**found, "model-index": [{"name": title, "results": [result]}]}


def _license(said: CardOptions) -> dict[str, str]:
    if (name := _line(said.license)) is None:
        return {}
    return {"license": name.lower()} if name.lower() in _LICENSES else {"license": "other", "license_name": name}


def _purpose(info: ModelInfo) -> str:
    return "AAM encoder of samples" if info.target is None else f"AAM model that predicts {_line(info.target.metadata_column)}"


def _does(info: ModelInfo) -> str:
    if info.target is not None:
        classes = len(info.target.target.classes)
        what = f"one of {counted(classes, 'class', 'classes')}" if classes else "a number"
        return f"Predicts {_code(info.target.metadata_column)}, {what}, from a table of amplicon sequence variants (ASVs)."
    purpose = f"Sample embeddings {'with no distances' if info.space is None else f'whose distances are {info.space}'}."
    if others := [head.name for head in info.heads if head is not first_space(info.heads)]:
        purpose += f" Beside them it tells {', '.join(others)}."
    return purpose


def _shape(info: ModelInfo, ensemble: Mapping[str, Any] | None) -> str:
    if ensemble is not None:
        members = ", ".join(f"{MEMBER_LABELS[name]} ({weight:.2f})" for name, weight in ensemble["weights"].items())
        return f"An ensemble: the weighted mean of {members}."
    options = info.options
    if options.clades:
        return f"An encoder of clades: {options.clades}, told by the words of an ASV; width {options.embedding_dim}, no attention."
    heads, layers = options.attention_heads, options.attention_layers
    return f"A transformer: width {options.embedding_dim}, {heads} heads, {layers} layers at each level."


def _beside(info: ModelInfo) -> str:
    columns = () if info.target is None else info.target.columns
    return f"- Reads these metadata columns beside the microbes: {', '.join(map(_code, columns))}.\n" if columns else ""


def _data(info: ModelInfo) -> str:
    reads, origin = info.reads, info.origin
    depth = f"rarefied to {reads.sampling_depth} reads" if reads.sampling_depth else "all reads"
    lines = [
        f"Trained on {counted(len(info.learned_from), 'sample')} (`samples.txt`), {depth}, the first {reads.max_bp} nucleotides of "
        "each ASV."
    ]
    if origin is None:
        lines.append(f"ASVs and groups of the table: {NOT_STATED}.")
    else:
        lines.append(f"The table had {counted(origin.table_samples, 'sample')} and {counted(origin.table_asvs, 'feature')}.")
        named = f" by {_code(origin.group_column)}" if origin.group_column else ""
        groups = "not known" if origin.groups is None else f"{origin.groups:,}{named}"
        lines.append(f"Groups of training samples (subjects, studies): {groups}.")
    return "\n".join(f"- {line}" for line in lines)


def _split(info: ModelInfo) -> str:
    origin = info.origin
    if origin is None or origin.held_out is None:
        return "" if info.said.split_protocol else NOT_STATED
    number = counted(origin.held_out_samples, "sample")
    if origin.held_out == "cross-fitted":
        unseen = "it" if origin.groups is None else "it or its group"
        text = f"No test samples: scores are of the {number} trained on, each predicted by members that did not see {unseen}."
    elif origin.held_out == "test":
        seen = f", of which a model that this one started from had seen {origin.held_out_seen:,}" if origin.held_out_seen else ""
        text = f"Scores are of {number} that training did not see{seen}."
    else:
        text = f"No test samples: scores are of {number} that chose the best epoch, and so too good."
    if origin.groups is None:
        return f"{text} No groups were named: samples of one subject may be on both sides."
    if origin.apart:
        return f"{text} Groups were kept whole: none is on both sides."
    return f"{text} Some groups are on both sides, as the split was given: scores may be too good for new groups."


def _limits(info: ModelInfo, novelty: Novelty | None) -> str:
    if novelty is None:
        lines = ["How far a sample is from the training samples is not known to this model."]
    else:
        lines = [
            "A sample whose ASVs are unlike those of the training samples (another body site, other primers) is out of "
            "distribution: its novelty is above 1, and what the model says of it is worth little."
        ]
        if novelty.least_reads is not None:
            lines.append(f"So are samples with fewer than {novelty.least_reads} reads or {novelty.least_asvs} ASVs.")
    if (target := info.target) is not None:
        if "90" in target.intervals:
            lines.append(f"90 % prediction {target.target.interval_text(target.intervals['90'])}, for samples of new groups.")
        else:
            lines.append("90 % prediction intervals are not known: there were too few held-out groups to calibrate them.")
    return "\n".join(f"- {line}" for line in lines)


def _scores(info: ModelInfo) -> str:
    found = _numbers(info.scores)
    if not found:
        return _stated(info.said.scores)
    rows = "\n".join(f"| {BASELINES.get(name, name)} | {_shown(value)} |" for name, value in found.items())
    chance = "\n\nAn AUC of 0.5 is chance." if "auc" in found else ""
    more = f"\n\n{info.said.scores.strip()}" if info.said.scores else ""
    return f"| held-out score | value |\n|---|---|\n{rows}{chance}{more}"


def _use(info: ModelInfo, *, by_id: bool) -> str:
    command, method = ("embed", "embed") if info.target is None else ("predict", "predict")
    output = "embeddings.tsv" if info.target is None else "predictions.tsv"
    needed = bool(info.target and info.target.columns)
    flag, metadata = (" --metadata metadata.tsv", ', metadata="metadata.tsv"') if needed else ("", "")
    ids = ", by_id=True" if by_id else ""
    hashes = "" if by_id else 'Where feature IDs are no sequences, give them: `--rep-seqs seqs.fasta`, `rep_seqs="seqs.fasta"`. '
    return f"""In this folder, with a table of yours:

```
aam {command} --model . --table table.biom{flag} --output {output}
```

```python
import aam

model = aam.load(".")
study = aam.read_study("table.biom"{metadata}{ids})
found = model.{method}(study)
novelty = model.novelty(study)
```

{hashes}From a hub: `aam.from_pretrained("OWNER/NAME", download=True)` in place of `aam.load(".")`. Nothing in the folder is
executed."""


def _numbers(scores: Mapping[str, Any]) -> dict[str, float]:
    """Scores that are numbers; JSON has None for NaN."""
    found = {name: math.nan if value is None else value for name, value in scores.items()}
    return {name: value for name, value in found.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def _shown(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "not known"


def _stated(text: str | None) -> str:
    return text.strip() if text else NOT_STATED


def _line(text: str | None) -> str | None:
    return None if text is None else " ".join(text.split())


def _code(name: str) -> str:
    return f"`{_line(name)}`"
