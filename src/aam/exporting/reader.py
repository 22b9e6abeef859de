"""Use a model that `aam export` wrote, with NumPy and onnxruntime alone."""

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def load(path: str | Path, options: Any = None) -> tuple[Any, dict[str, Any]]:
    """The graph, and what is known about it: m.onnx and m.json."""
    about = json.loads(Path(path).with_suffix(".json").read_text(encoding="utf-8"))
    return onnxruntime.InferenceSession(str(path), options), about


def run(session: Any, about: Any, features: Any, counts: Any, design: Any = None, size: int = 64) -> dict[str, np.ndarray]:
    """What a model says of N samples, by the names of its outputs.

    features: M sequences, or IDs where `about` says so; counts: reads [N, M]; design: covariates [N, K]; size: samples at a time.
    """
    cut = [text.upper().replace("U", "T")[: about["reads"]["max_bp"]] for text in features]
    keys = [re.sub("[^ACGT]", "N", text) for text in cut] if about["features"] == "sequences" else features
    place = {key: 1 + number for number, key in enumerate(about["known"])}
    known = np.array([place.get(key, 0) for key in keys], np.int64)
    first, vectors = encoded(session, about, cut) if "tokens" in about["inputs"] else (None, None)
    order, said = np.argsort([np.count_nonzero(row) for row in counts], kind="stable"), []
    names = [name for name in about["outputs"] if name != "asv_vectors"]
    for rows in np.array_split(order, -(-len(order) // size)):  # samples of like size, so that little is padding
        there = [np.flatnonzero(counts[row]) for row in rows]
        used = np.unique(np.concatenate(there))
        index = np.zeros((len(rows), max(1, *map(len, there))), np.int64)
        reads = np.zeros(index.shape, np.float32)
        for line, (row, places) in enumerate(zip(rows, there, strict=True)):
            index[line, : len(places)], reads[line, : len(places)] = np.searchsorted(used, places), counts[row][places]
        fed = {"index": index, "counts": reads, "known": known[used], "design": None if design is None else design[rows]}
        if vectors is not None:
            fed |= {"vectors": vectors[used], "tokens": first, "known": np.append(known[used], 0)}
        said.append(session.run(names, {name: fed[name] for name in about["inputs"]}))
    return {name: np.concatenate(parts)[np.argsort(order)] for name, parts in zip(names, zip(*said, strict=True), strict=True)}


def encoded(session: Any, about: Any, sequences: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of ASVs, each encoded once for all samples; and tokens of one, because a graph wants one at least."""
    tokens = np.full((len(sequences), 1 + max(map(len, sequences))), about["tokens"]["padding"], np.uint8)
    tokens[:, 0] = about["tokens"]["start"]
    codes = np.full(256, about["tokens"]["other"], np.uint8)
    codes[[ord(letter) for letter in "ACGT"]] = [about["tokens"][letter] for letter in "ACGT"]
    for row, text in zip(tokens, sequences, strict=True):
        row[1 : 1 + len(text)] = codes[np.frombuffer(text.encode(), np.uint8)]
    width = session.get_inputs()[about["inputs"].index("vectors")].shape[1]
    one = {"index": np.zeros((1, 1), np.int64), "counts": np.ones((1, 1), np.float32), "vectors": np.zeros((0, width), np.float32)}
    fed = {**one, "design": np.zeros((1, len(about["covariates"])), np.float32)}
    vectors = []
    for n in range(0, len(tokens), size := about["asvs_at_once"]):
        fed |= {"tokens": tokens[n : n + size], "known": np.zeros(len(tokens[n : n + size]), np.int64)}
        vectors += session.run(["asv_vectors"], {name: fed[name] for name in about["inputs"]})
    return tokens[:1], np.concatenate(vectors)


def drawn(about: Any, counts: np.ndarray, ids: Any) -> np.ndarray:
    """Counts [N, M] with the reads that the model sees of each sample: as many as it was trained with, drawn as AAM draws them."""
    reads, found = about["reads"], np.zeros_like(counts)
    for row, sample, name in zip(found, counts, ids, strict=True):
        places, rng = np.flatnonzero(sample), np.random.default_rng((reads["seed"], 0, zlib.crc32(name.encode())))
        number = sample[places].astype(np.int64)
        if reads["sampling_depth"] and number.sum() > reads["sampling_depth"]:
            number = rng.multivariate_hypergeometric(number, reads["sampling_depth"], method="marginals")
            places, number = places[number > 0], number[number > 0]
        if (limit := reads["token_limit"]) and len(number) > limit:
            random = reads["asv_sampling"] == "random"
            kept = rng.choice(len(number), limit, False, number / number.sum()) if random else np.argsort(-number, kind="stable")
            places, number = places[kept[:limit]], number[kept[:limit]]
        row[places] = number
    return found


def design_of(about: Any, metadata: Any) -> np.ndarray:
    """Covariates as numbers, float32 [N, K], of a dict of metadata columns for each sample: levels, numbers, which are missing."""
    found = np.zeros((len(metadata), len(about["covariates"])), np.float32)
    for row, sample in zip(found, metadata, strict=True):
        for place, column in enumerate(about["covariates"]):
            text = sample.get(column["column"])
            lacks = text is None or text == ""
            if "level" in column:
                row[place] = text == column["level"]
            elif "sd" in column:
                row[place] = 0 if lacks or not column["sd"] else np.clip((float(text) - column["mean"]) / column["sd"], -1e6, 1e6)
            else:
                row[place] = lacks
    return found
