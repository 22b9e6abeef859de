"""Readers fed with anything: they raise `InputError` or give what they promise, and nothing else comes out.

These are the readers, and what each begins with; test_fuzz.py and fuzz.py feed them.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file
from scipy import sparse

from aam.cli.config_file import refuse_change, write_config
from aam.cli.options import OutputOptions
from aam.cli.pretrain import PretrainConfig
from aam.data.metadata import Metadata, read_metadata
from aam.data.near_ids import near_ids
from aam.data.newick import read_nodes
from aam.data.phylogeny import Phylogeny
from aam.data.sequences import own_sequences, read_sequences
from aam.data.stream import open_tables
from aam.data.table import FeatureTable, read_table
from aam.data.where import select_where
from aam.distances.files import read_distances, write_distances
from aam.distances.sample_values import read_sample_values
from aam.ensemble.asv_vectors import N_WORDS, SequenceWords
from aam.ensemble.catalogue import SeenTable
from aam.ensemble.novelty import KnownAsvs, Novelty
from aam.errors import InputError
from aam.options import TableOptions
from aam.saved.ensemble import FittedEnsemble
from aam.saved.load import load
from aam.saved.novelty import novelty_arrays, read_novelty
from tests.support.annotated import all_of, h5ad_bytes
from tests.support.formats import FORMATS, qza_bytes
from tests.support.released import RELEASED

_FILE = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)) / "input"
_RELEASED = max(RELEASED.iterdir())
# Three nodes, one root, two ASVs, one output; feature, threshold, left, right, value, roots, start, kept, learned, outputs, link.
_FOREST = bytes([3, 1, 2, 1, *(0, 255, 255), *(1, 0, 0), *(1, 0, 0), *(2, 0, 0), *(1, 2, 3), 0, 0, *(0, 1), 0, 1, 0])
# CSV, R's tables with either as rows, mothur's files, others' columns and line ends.
_TEXTS = (
    b"#OTU ID,s1,s2\na,1,0\nb,2,3\n",
    b'"","otu1","otu2"\n"s1",1,0\n"s2",2,3\n',
    b'"' + b"ACGT" * 8 + b'" "' + b"ACGA" * 8 + b'"\n"s1" 1 0\n"s2" 2 3\n',
    b"label\tGroup\tnumOtus\totu1\totu2\t\n0.03\ts1\t2\t1\t0\t\n0.03\ts2\t2\t2\t3\t\n",
    b"Representative_Sequence\ttotal\ts1\ts2\na\t1\t1\t0\nb\t5\t2\t3\n",
    b"# x\rsample-id;k__A;k__B\rs1;1;0\rs2;2;3\r",
    b'#OTU ID\ts1\ts2\tTaxon\tConfidence\na \t1\t0\tk__A; p__B\t0.9\t\nb\t2\t3\t"k__A"\t1\t\n',
    "#OTU ID\ts1\na\t1\n".encode("utf-16"),
    # Samples named by a UUID, numbered, and named like a taxon.
    b"sample-id\tk__A\tk__B\n" + b"0a" * 16 + b"\t1\t0\n" + b"1b" * 16 + b"\t2\t3\n",
    b"#OTU ID," + b"0a" * 16 + b"," + b"1b" * 16 + b"\nBact,1,0\nPrev,2,3\n",
    b"# x\nX\t101\t102\nASV1\t1\t0\nASV2\t2\t3\n",
    b"#OTU ID\tk__A\td__B\tsize\nBact\t1\t0\t1\nPrev\t2\t3\t7\n",
)
# BIOM 1 as R writes it: dense, flat for one sample, rows by their names, values boxed.
_FROM_R = (
    b'{"matrix_type": "dense", "shape": [2, 2], "rows": [{"id": "a", "metadata": ["x"]}, {"id": "b"}], '
    b'"columns": [{"id": "s1"}, {"id": "s2", "metadata": 3}], "data": [[1, 0], [2, 3]]}',
    b'{"matrix_type": ["dense"], "shape": [2, 1], "rows": {"a": {}, "b": {"id": ["c"]}}, "columns": [{"id": "s"}], "data": [1, 3]}',
    b'{"shape": [2.0, 1e0], "rows": [{"id": "a"}, {"id": 7}], "columns": [{"id": "s1"}], "data": [[0.0, 0.0, 1e5], [1, 0, "2"]]}',
)
# Whole, not packed at all, in two parts.
_PACKED = (
    gzip.compress(_TEXTS[0], mtime=0),
    gzip.compress(_FROM_R[1], 0, mtime=0),
    gzip.compress(_TEXTS[1][:9], mtime=0) + gzip.compress(_TEXTS[1][9:], mtime=0),
)
# What JSON can hold.
_VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "zscore", "age", "9" * 400, float("nan"), float("inf"), -0.0, 1e-320, 1e308, 0.5, 10**18, 10**400),
    *([], {}, [[]], ["a", "a"], [1], [None], {"a": 1}, {"": {}}, {"power": 1, "biases": [0.0]}, {"network": 1}, {"network": 1.0}),
)
# Of an ensemble, whatever its members.
_SHARED = ("words", "familiar")


def of_file(read: Callable[[Path], object], suffix: str = "") -> Callable[[bytes], object]:
    """A reader of bytes, by a file."""
    path = _FILE.with_suffix(suffix)

    def run(content: bytes) -> object:
        path.write_bytes(content)
        return read(path)

    return run


def table(path: Path) -> FeatureTable:
    read = read_table(path, ignore_missing=True)
    counts = read.counts
    assert counts.shape == (len(read.sample_ids), len(read.feature_ids))
    assert len(set(read.sample_ids)) == len(read.sample_ids)
    assert (counts.data > 0).all()
    assert (read.depths > 0).all()
    assert counts.has_canonical_format
    return read


def streamed(content: bytes) -> None:
    """A table on disk, as `table` reads it."""
    path = _FILE.with_suffix(".biom")
    path.write_bytes(content)
    on_disk = open_tables([path], ignore_missing=True)
    in_memory = table(path)
    assert on_disk.sample_ids == in_memory.sample_ids
    assert (on_disk.counts[np.arange(len(on_disk.sample_ids))] != in_memory.counts).nnz == 0


def values(content: bytes) -> None:
    """A BIOM of HDF5 that is sound but for the numbers in it, which are as many as `content` has bytes."""
    sizes, numbers = content[:4].ljust(4, b"\2"), np.frombuffer(content[4:], dtype=np.int8)
    starts, indices, data = np.array_split(numbers, [sizes[0] % 8, sizes[0] % 8 + sizes[1] % 16])
    file = io.BytesIO()
    with h5py.File(file, "w") as handle:
        handle["sample/matrix/indptr"] = starts.astype(np.int32 if sizes[2] & 1 else np.uint64)
        handle["sample/matrix/indices"] = indices.astype(np.int32 if sizes[2] & 2 else np.int64)
        handle["sample/matrix/data"] = data.view(np.float16) if sizes[2] & 4 and len(data) % 2 == 0 else data.astype(np.float64)
        handle["sample/ids"] = np.array([f"s{number}" for number in range(sizes[3] % 8)], dtype=h5py.string_dtype())
        handle["observation/ids"] = np.array([f"f{number}" for number in range(sizes[3] // 8 % 8)], dtype=h5py.string_dtype())
    streamed(file.getvalue())


def tree(path: Path) -> None:
    phylogeny = Phylogeny.from_nodes(read_nodes(path), ("a", "b", "c"))
    assert (phylogeny.branch_length >= 0).all()
    assert (phylogeny.node_start < phylogeny.node_end).all()


def near(content: bytes) -> None:
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    hint = near_ids(lines[::2], lines[1::2], "the tree")
    assert hint == "" or hint.isprintable()


def sequences(path: Path) -> None:
    for sequence in read_sequences(FeatureTable(None, (), ("a", "b")), path):  # type: ignore[arg-type]
        assert sequence
        assert set(sequence) <= set("ACGTRYSWKMBDHVN")


def metadata(path: Path) -> None:
    check_metadata(read_metadata(path, missing_values=("NA",)))


def check_metadata(found: Metadata) -> None:
    typed = found.typed
    assert typed.index.is_unique
    assert all(isinstance(name, str) for name in typed.index)
    for column in typed.columns:
        texts = found.texts(column)
        assert (texts.isna() == typed[column].isna()).all()
        assert all(text is None or isinstance(text, str) for text in texts)


def several_metadata(content: bytes) -> None:
    """Two files, of the two parts that the first form feed makes of `content`."""
    paths = [_FILE.with_suffix(f".{number}") for number in range(2)]
    for path, part in zip(paths, content.partition(b"\f")[::2], strict=True):
        path.write_bytes(part)
    check_metadata(read_metadata(*paths))


def condition(content: bytes) -> None:
    """A condition on metadata that are sound."""
    typed = pd.DataFrame({"age": [1.0, 2, np.nan], "site": ["gut", "10", None]}, index=pd.Index(["s1", "s2", "s3"], name="id"))
    select_where(typed, content.decode("utf-8", "replace"), typed.astype(str))


def distances(path: Path) -> None:
    matrix = read_distances(path, ("a", "b", "c"))
    assert matrix.shape == (3, 3)
    assert np.isfinite(matrix).all()


def sample_values(path: Path) -> None:
    assert np.isfinite(read_sample_values(path, ("a", "b"))).all()


def config_file(path: Path) -> None:
    refuse_change(path, PretrainConfig(data=TableOptions(table=Path("t")), output=OutputOptions(output_dir=Path("o"))))


class Folder:
    """A model folder, one of whose files is what the fuzzer says."""

    def __init__(self, source: Path, load: Callable[[Path], object]) -> None:
        self.path = Path(tempfile.mkdtemp(dir=_FILE.parent)) / "model"
        self.kind, self.load = source.name, load
        shutil.copytree(source, self.path)

    def of(self, name: str, after: bytes = b"") -> Callable[[bytes], object]:
        """`after`: what always follows."""
        original = (self.path / name).read_bytes()

        def run(content: bytes) -> None:
            (self.path / name).write_bytes(content + after)
            try:
                self.load(self.path)
            finally:
                (self.path / name).write_bytes(original)

        return run


def ensemble(path: Path) -> None:
    """It is loaded, and then predicts."""
    loaded = load(path)
    if not isinstance(loaded, FittedEnsemble):
        return
    catalogue = loaded.ensemble.catalogue
    ids = ("ACGTTGCAAC", *catalogue.keys)
    tokens = np.where(np.arange(11) == 0, 1, np.random.default_rng(0).integers(2, 6, (len(ids), 11))).astype(np.uint8)
    counts = sparse.csr_array(np.tile(1 + np.arange(len(ids)), (3, 1)))
    seen = SeenTable(counts, tokens, catalogue.words.vectors(tokens), np.arange(len(ids)), len(catalogue.keys))
    assert np.isfinite(loaded.ensemble.predict(seen, np.arange(3))).all()
    if loaded.known is not None and loaded.known.asvs is not None:
        assert np.isfinite(loaded.known.asvs.far(seen.tokens, np.arange(len(seen.tokens)))).all()


def novelty(path: Path) -> None:
    """What novelty is measured from, and how far ASVs are by it."""
    try:
        known = read_novelty(path)
    except ValueError as error:
        raise InputError(str(error)) from error
    if known.asvs is not None:
        assert np.isfinite(known.asvs.far(np.ones((3, 11), dtype=np.uint8), np.arange(3))).all()


def novelty_values(content: bytes) -> None:
    """A sound file but for its numbers: three vectors, a shift, a limit, the least of reads and ASVs."""
    numbers = content[:40].ljust(40, b"\0")
    vectors, shift = np.frombuffer(numbers[:12], np.float32)[:, None], np.frombuffer(numbers[12:16], np.float32)
    limit, least = np.frombuffer(numbers[16:24], np.float64)[0], np.frombuffer(numbers[24:], np.int64)
    known = KnownAsvs(SequenceWords(np.ones((N_WORDS, 1), np.float32), shift), vectors, limit)
    path = _FILE.with_suffix(".safetensors")
    save_file(novelty_arrays(Novelty(known, *least)), path)
    novelty(path)


def places(part: Any) -> Iterator[tuple[Any, Any]]:
    """Every object and list within JSON, with the name or the number of each of its parts."""
    for key, inner in part.items() if isinstance(part, dict) else enumerate(part):
        yield part, key
        if isinstance(inner, (dict, list)):
            yield from places(inner)


def values_of(folder: Folder) -> Callable[[bytes], object]:
    """The config.json of a model folder with other values, or without some: two bytes say where and what."""
    original, run = (folder.path / "config.json").read_text(), folder.of("config.json")

    def changed(content: bytes) -> object:
        config = json.loads(original)
        for where, what in zip(content[::2], content[1::2], strict=False):
            found = list(places(config))
            if not found:
                break
            holder, key = found[where % len(found)]
            if what < len(_VALUES):
                holder[key] = copy.deepcopy(_VALUES[what])
            elif what % 2 and isinstance(holder, dict):
                del holder[key]
            else:
                holder[key] = what - 128
        return run(json.dumps(config).encode())

    return changed


def header(path: Path) -> bytes:
    """What stands before the numbers of a safetensors file."""
    content = path.read_bytes()
    return content[: 8 + int.from_bytes(content[:8], "little")]


def trees(folder: Folder) -> Callable[[bytes], object]:
    """An ensemble of a forest, whose arrays are made of `content`."""
    arrays = {name: array for name, array in load_file(folder.path / "model.safetensors").items() if name.split(".")[0] in _SHARED}
    config = json.loads((folder.path / "config.json").read_text())
    config["ensemble"] |= {"members": {"forest": 1}, "weights": {"forest": 1.0}}
    (folder.path / "config.json").write_text(json.dumps(config))

    def run(content: bytes) -> None:
        about, numbers = content[:4].ljust(4, b"\0"), np.frombuffer(content[4:], dtype=np.int8)
        nodes, roots, kept, learned = about[0] % 8, about[1] % 4, about[2] % 8, about[3] % 4
        sizes = {"feature": nodes, "threshold": nodes, "left": nodes, "right": nodes, "value": nodes, "roots": roots, "start": 1}
        sizes |= {"kept": kept, "learned": learned, "outputs": 1, "link": 1}
        ends = np.cumsum([0, *sizes.values()])
        made = {name: numbers[first:end] for name, first, end in zip(sizes, ends, ends[1:], strict=False)}
        made["threshold"], made["start"] = made["threshold"].astype(np.float64), made["start"].astype(np.float64)
        made["value"] = made["value"].astype(np.float64)[:, None]
        made["outputs"], made["link"] = (made[name].reshape(()) if made[name].size else made[name] for name in ("outputs", "link"))
        made = {f"forest.0.{name}": value for name, value in made.items()}
        save_file(arrays | made, folder.path / "model.safetensors")
        folder.load(folder.path)

    return run


def written(write: Callable[[Path], object], suffix: str = "") -> bytes:
    """What a writer writes."""
    path = _FILE.with_suffix(suffix or ".seed")
    write(path)
    return path.read_bytes()


def targets() -> dict[str, tuple[Callable[[bytes], object], list[bytes]]]:
    """What is fed, and with what it begins."""
    square = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0.0]])
    tables = {name: content if isinstance(content, bytes) else content.encode() for name, content in FORMATS.items()}
    newick = [
        b"((a:1,b:2)x:0.5,'c':1e-3)[comment];",
        b"(a:1,(b:2,c:1):1);",
        qza_bytes(b"(a:1,b:2,c:3);", "Phylogeny[Rooted]", "tree.nwk"),
    ]
    fasta = b">a first\nACGT\nRYN\n>b\nacgu\n"
    text = b'sample-id\tage\tsite\n#q2:types\tnumeric\tcategorical\ns1\t1.5\tgut\ns2\tnot provided\t"a\tb"\n'
    csv = b'Run,age,site\ns1,1.10,gut\ns2,NA,"a, b"\n'
    config = PretrainConfig(data=TableOptions(table=Path("t")), output=OutputOptions(output_dir=Path("o")))
    encoder, number, classes = (Folder(_RELEASED / name, load) for name in ("encoder", "number", "classes"))
    several = Folder(_RELEASED / "ensemble", ensemble)
    forest = Folder(_RELEASED / "ensemble", ensemble)
    trees(forest)(_FOREST)
    weights = (several.path / "model.safetensors").read_bytes()
    first = header(several.path / "model.safetensors")
    numbers = np.ones(4, np.float32).tobytes() + np.ones(1).tobytes() + np.array([100, 5]).tobytes()
    novelty_values(numbers)
    known = _FILE.with_suffix(".safetensors").read_bytes()
    formats = {suffix: written(lambda path: write_distances(path, square, ("a", "b", "c")), suffix) for suffix in (".h5", ".tsv")}
    return {
        "table": (of_file(table), [content for name, content in tables.items() if name not in ("hdf5", "qza")]),
        "text-table": (of_file(table), list(_TEXTS)),
        "biom-1": (of_file(table), list(_FROM_R)),
        "gz": (of_file(table), list(_PACKED)),
        "hdf5": (streamed, [tables["hdf5"]]),
        "h5ad": (of_file(all_of(table, metadata, own_sequences), ".h5ad"), [h5ad_bytes(), h5ad_bytes("dense")]),
        "values": (values, [bytes([3, 2, 0, 10, 0, 1, 2, 0, 1, 5, 7]), bytes([4, 3, 3, 18])]),
        "qza": (of_file(table), [tables["qza"]]),
        "tree": (of_file(tree), newick),
        "near-ids": (near, [b"ASV 1\nasv_1\nX12.3\n12-3\n1e3\n1000\na;size=3\na\n"]),
        "sequences": (of_file(sequences), [fasta, qza_bytes(fasta, "FeatureData[Sequence]", "dna-sequences.fasta")]),
        "metadata": (of_file(metadata), [text, text.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + text]),
        "metadata-csv": (of_file(metadata), [csv, csv.replace(b",", b";"), b'"age"\t"site"\n"s1"\t1\t"gut"\n"s2"\tNA\t"a"\n']),
        "metadata-qza": (of_file(metadata), [qza_bytes(text, "ImmutableMetadata", "metadata.tsv")]),
        "metadata-several": (several_metadata, [text + b"\fRun,bmi\ns2,3\ns1,NA\n"]),
        "where": (condition, [b"[age] > .5 AND site = 'gut'", b"site BETWEEN 1 AND '9' OR 1 < \"age\"", b"age NOT IN (1, -2)"]),
        "matrix-h5": (of_file(distances, ".h5"), [formats[".h5"]]),
        "matrix-tsv": (of_file(distances, ".tsv"), [formats[".tsv"]]),
        "sample-values": (of_file(sample_values), [b"\tfaith_pd\na\t1.5\nb\t2e3\n", b"id,v\nb,1\na,0\n"]),
        "config": (of_file(config_file), [written(lambda path: write_config(path, config))]),
        "encoder-config": (encoder.of("config.json"), [(encoder.path / "config.json").read_bytes()]),
        "encoder-weights": (encoder.of("model.safetensors"), [(encoder.path / "model.safetensors").read_bytes()]),
        "number-config": (number.of("config.json"), [(number.path / "config.json").read_bytes()]),
        "classes-config": (classes.of("config.json"), [(classes.path / "config.json").read_bytes()]),
        **{f"{folder.kind}-values": (values_of(folder), [b""]) for folder in (encoder, number, classes, forest)},
        "ensemble-config": (several.of("config.json"), [(several.path / "config.json").read_bytes()]),
        "ensemble-weights": (several.of("model.safetensors", weights[len(first) :]), [first]),
        "novelty": (of_file(novelty), [known]),
        "novelty-values": (novelty_values, [numbers]),
        "ensemble-trees": (
            trees(Folder(several.path, ensemble)),
            [_FOREST],
        ),
    }


def feed(read: Callable[[bytes], object], content: bytes) -> bool:
    """Whether an input was good. Anything but `InputError`, of one line, goes on up."""
    try:
        read(content)
    except InputError as error:
        assert "\n" not in str(error), error
        return False
    return True
