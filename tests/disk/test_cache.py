"""The cache on disk: found by content, bounded, and never in the way."""

import hashlib
import io
import json
import logging
import os
import pickle
import resource
import subprocess
import sys

import numpy as np
import pytest

from aam.data.dataset import SampleDataset
from aam.disk.cache import ENDING, Cache, default_folder, key_of
from aam.learners.transformer import embed_frozen
from aam.options import CacheOptions, ReadOptions
from aam.study.study import Study
from aam.study.tree import read_phylogeny
from tests.support.commands import SMALL, TRANSFORMER, aam
from tests.support.encoders import make_encoder
from tests.support.tables import table_of, tokens_of

WARNED = logging.getLogger("aam.data")


class Source:
    """Something to compute, which counts how often it is."""

    def __init__(self, value=0, size=4, warning=None):
        self.value, self.size, self.warning, self.runs = value, size, warning, 0

    def __call__(self):
        self.runs += 1
        if self.warning:
            WARNED.warning("%s", self.warning)
        return {"values": np.full((self.size, 2), self.value), "names": np.array(["a", "å"])}


def entries(folder):
    return sorted(folder.glob(f"*{ENDING}"))


def test_the_same_parts_are_computed_once(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="aam")
    source = Source(7)
    cold = Cache(tmp_path / "new").arrays("some thing", ["a", np.arange(3)], source)
    warm = Cache(tmp_path / "new").arrays("some thing", ["a", np.arange(3)], source)
    assert source.runs == 1
    assert cold.keys() == warm.keys()
    for name, values in cold.items():
        np.testing.assert_array_equal(warm[name], values)
        assert warm[name].dtype == values.dtype
        assert warm[name].flags.writeable
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith("some thing: from the cache")
    assert "`cache=False`" in said[0]


def test_any_difference_is_another_key():
    array = np.arange(4, dtype=np.int32)
    different = [
        [], ["a"], [b"a"], ["a", ""], ["", "a"], ["ab"], ["a", "b"], [array], [array.astype(np.int64)], [array.view(np.uint32)],
        [array.reshape(2, 2)], [array[::-1]], [array[:0]], [array, "a"], ["a", array], [repr(("a",))], [repr(("a", "b"))],
        [array.tobytes()],
    ]  # fmt: skip
    keys = [key_of(parts) for parts in different]
    assert len(set(keys)) == len(keys)
    assert key_of([np.arange(8, dtype=np.int32)[::2]]) == key_of([np.array([0, 2, 4, 6], dtype=np.int32)])


def test_without_the_cache_nothing_is_written(cache_home):
    before = set(cache_home.rglob("*"))
    source = Source()
    for _ in range(2):
        Cache.of(CacheOptions(cache=False)).arrays("thing", ["a"], source)
    assert source.runs == 2
    assert set(cache_home.rglob("*")) == before


def test_the_default_folder_is_the_users(cache_home, tmp_path, monkeypatch):
    assert Cache.of(CacheOptions()).folder == cache_home / "aam"
    assert Cache.of(CacheOptions(cache_dir=tmp_path)).folder == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert default_folder() == tmp_path / ".cache" / "aam"


def test_warnings_are_given_on_a_hit_too(tmp_path, caplog):
    for _ in range(2):
        Cache(tmp_path).arrays("thing", ["a"], Source(warning="3 ASVs were cut"))
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned == ["3 ASVs were cut"] * 2


def test_an_error_is_raised_and_not_kept(tmp_path):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Cache(tmp_path).arrays("thing", ["a"], fail)
    assert not entries(tmp_path)


def test_the_entries_used_longest_ago_go_first(tmp_path):
    sources = {name: Source(size=1000) for name in "abcd"}
    (tmp_path / "notes.txt").write_text("x" * 100_000)
    Cache(tmp_path).arrays("thing", ["a"], sources["a"])
    size = entries(tmp_path)[0].stat().st_size
    cache = Cache(tmp_path, max_bytes=3 * size + size // 2)
    for name in "bc":
        cache.arrays("thing", [name], sources[name])
    for age, entry in enumerate(sorted(entries(tmp_path), key=lambda entry: entry.stat().st_mtime_ns, reverse=True)):
        os.utime(entry, (1e9 - age, 1e9 - age))
    cache.arrays("thing", ["a"], sources["a"])  # used again, so b is now the oldest
    cache.arrays("thing", ["d"], sources["d"])
    assert len(entries(tmp_path)) == 3
    for name in "acdb":
        cache.arrays("thing", [name], sources[name])
    assert {name: source.runs for name, source in sources.items()} == {"a": 1, "b": 2, "c": 1, "d": 1}
    assert (tmp_path / "notes.txt").exists()


def test_what_is_larger_than_the_bound_is_not_stored(tmp_path):
    cache = Cache(tmp_path, max_bytes=5_000)
    cache.arrays("thing", ["small"], Source(size=1))
    cache.arrays("thing", ["large"], Source(size=10_000))
    assert len(entries(tmp_path)) == 1
    small = Source(size=1)
    cache.arrays("thing", ["small"], small)
    assert small.runs == 0


@pytest.mark.parametrize("damage", ["empty", "half", "one bit", "more", "not a cache"])
def test_a_damaged_entry_is_computed_again(tmp_path, damage, caplog):
    source, cache = Source(3), Cache(tmp_path)
    cache.arrays("thing", ["a"], source)
    (path,) = entries(tmp_path)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    path.write_bytes(
        {"empty": b"", "half": content[: len(content) // 2], "one bit": flipped, "more": content + b"0", "not a cache": b"x" * 500}[
            damage
        ]
    )
    again = cache.arrays("thing", ["a"], source)
    assert again["values"][0, 0] == 3
    assert source.runs == 2
    assert "damaged" in caplog.text
    assert path.read_bytes() == content


@pytest.mark.parametrize("arrays", [{}, {"values": np.ones(3)}])
def test_an_entry_of_other_arrays_is_computed_again(tmp_path, arrays, caplog):
    source, cache = Source(3), Cache(tmp_path)
    cache.arrays("thing", ["a"], source)
    (path,) = entries(tmp_path)
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    path.write_bytes(hashlib.sha256(packed.getvalue()).digest() + packed.getvalue())
    assert cache.arrays("thing", ["a"], source)["values"][0, 0] == 3
    assert source.runs == 2
    assert "damaged" in caplog.text


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def pickled(kind):
    packed = io.BytesIO()
    if kind == "archive of objects":
        np.savez(packed, values=np.array([Bomb()], dtype=object))
    else:
        pickle.dump(Bomb(), packed)
    return packed.getvalue()


@pytest.mark.parametrize("kind", ["archive of objects", "pickle"])
def test_nothing_is_unpickled(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, cache = Source(3), Cache(tmp_path)
    cache.arrays("thing", ["a"], source)
    (path,) = entries(tmp_path)
    content = pickled(kind)
    path.write_bytes(hashlib.sha256(content).digest() + content)
    assert cache.arrays("thing", ["a"], source)["values"][0, 0] == 3
    assert source.runs == 2
    assert not (tmp_path / "exploded").exists()


def test_a_folder_that_cannot_be_written_is_one_warning(tmp_path, caplog):
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "folder")
    for name in "ab":
        assert cache.arrays("thing", [name], Source(5))["values"][0, 0] == 5
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot be written" in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_still_serves(tmp_path, caplog):
    known = Source(5)
    Cache(tmp_path).arrays("thing", ["a"], known)
    tmp_path.chmod(0o500)
    try:
        cache = Cache(tmp_path)
        for name in "abc":
            cache.arrays("thing", [name], known)
    finally:
        tmp_path.chmod(0o700)
    assert known.runs == 3
    assert len(caplog.records) == 1


def test_a_full_disk_leaves_no_half_entry(tmp_path, caplog):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        found = Cache(tmp_path).arrays("thing", ["a"], Source(5, size=10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(found["values"]) == 10_000
    assert not list(tmp_path.iterdir())
    assert "cannot be written" in caplog.text


WRITER = """
import sys
from pathlib import Path
import numpy as np
from aam.disk.cache import Cache
for turn in range(100):
    # A bound of about one entry: each process evicts what the other writes.
    found = Cache(Path(sys.argv[1]), 200_000).arrays("thing", [str(turn % 2)], lambda: {"values": np.full(20_000, turn % 2)})
    assert (found["values"] == turn % 2).all()
"""


def test_two_writers_at_a_time(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [writer.communicate(timeout=60)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], said
    assert "damaged" not in "".join(said)
    assert all("." not in entry.name.removesuffix(ENDING) for entry in entries(tmp_path))


def test_frozen_embeddings_are_of_these_weights_samples_and_options(tmp_path):
    limited = ReadOptions(token_limit=5)

    def embed(folder, nudge=0.0, counts=0, tokens=None, reads=limited, seed=0, **options):
        encoder = make_encoder(**options).float()
        encoder.richness.bias.data += nudge
        table = table_of(counts)
        study = Study(table, (), tokens_of() if tokens is None else tokens)
        return embed_frozen(encoder.eval(), study, SampleDataset(table, reads, seed), Cache(folder))

    changes = [
        {}, {"nudge": 1e-3}, {"counts": 1}, {"tokens": tokens_of()[::-1]}, {"reads": ReadOptions(token_limit=4)},
        {"reads": ReadOptions(token_limit=5, asv_sampling="random")}, {"seed": 1}, {"reads": ReadOptions()},
        {"position_encoding": "learned"},
    ]  # fmt: skip
    for known, change in enumerate(changes):
        assert len(entries(tmp_path)) == known
        for _ in range(2):
            np.testing.assert_array_equal(embed(tmp_path, **change), embed(None, **change))
        assert len(entries(tmp_path)) == known + 1, change
    embed(tmp_path, reads=ReadOptions(), seed=5)  # all reads are seen: the seed draws nothing
    assert len(entries(tmp_path)) == len(changes)


def test_a_tree_is_that_of_the_file_and_the_table(tmp_path):
    path, cache = tmp_path / "tree.nwk", Cache(tmp_path / "cache")
    for ids in (("a", "b", "c"), ("b", "a", "c"), ("a", "z", "b")):
        for text in ("((a:1,b:2):1,c:4);", "((a:1,b:3):1,c:4);"):
            path.write_text(text)
            expected = read_phylogeny(path, ids, Cache(None))
            for _ in range(2):
                found = read_phylogeny(path, ids, cache)
                for name, value in vars(expected).items():
                    np.testing.assert_array_equal(getattr(found, name), value)
    assert len(entries(tmp_path / "cache")) == 6


def runs_of(folder, *arguments):
    """The same run with a cold cache, a warm one and none: what each said, and its metrics.json."""
    cached = ["--cache-dir", folder / "cache"]
    said, metrics = {}, {}
    for name, options in {"cold": cached, "warm": cached, "none": ["--no-cache"]}.items():
        said[name] = aam(*arguments, *options, "--output-dir", folder / name)
        metrics[name] = json.loads((folder / name / "metrics.json").read_text())
    return said, metrics


def test_train_on_a_frozen_base_is_the_same_with_and_without(community, pretrained, tmp_path):
    data = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--metadata-column", "age"]
    frozen = ["--pretrained-encoder", pretrained, "--freeze-base", "--sampling-depth", 200, "--ignore-missing", "--max-bp", 30]
    said, metrics = runs_of(tmp_path, *TRANSFORMER, *data, *frozen, "--epochs", 3, "--dropout", 0.5, *SMALL)
    assert metrics["cold"] == metrics["warm"] == metrics["none"]
    assert "embeddings of the frozen base: from the cache" in said["warm"]
    assert "from the cache" not in said["cold"] + said["none"]
    predictions = {(tmp_path / name / "predictions.tsv").read_text() for name in said}
    assert len(predictions) == 1
    other = aam(
        *TRANSFORMER,
        *data,
        *frozen,
        "--seed",
        1,
        "--epochs",
        1,
        *SMALL,
        "--cache-dir",
        tmp_path / "cache",
        "--output-dir",
        tmp_path / "o",
    )
    assert "frozen base: from the cache" not in other


def test_pretrain_is_the_same_with_and_without(community, tmp_path):
    pytest.importorskip("pyfamsa")
    pytest.importorskip("veryfasttree")
    run = ["pretrain", "--table", community / "table.biom", *SMALL]
    said, metrics = runs_of(tmp_path, *run, "--epochs", 2)
    assert metrics["cold"] == metrics["warm"] == metrics["none"]
    for what in ("tree", "sheared tree"):
        assert f"\n{what}: from the cache" in f"\n{said['warm']}"
    assert "Building a tree" not in said["warm"]
    assert len({(tmp_path / name / "tree.nwk").read_text() for name in said}) == 1
    # Where the cache is may change in a resumed run.
    aam(*run, "--epochs", 3, "--no-cache", "--output-dir", tmp_path / "cold", "--resume")


def test_a_tree_that_lacks_asvs_is_said_with_a_warm_cache_too(community, tmp_path):
    from skbio import TreeNode

    tree = TreeNode.read(str(community / "tree.nwk"), convert_underscores=False)
    kept = sorted(tip.name for tip in tree.tips())[:-2]
    tree.shear(kept).write(str(tmp_path / "tree.nwk"))
    run = ["pretrain", "--table", community / "table.biom", "--tree", tmp_path / "tree.nwk", "--epochs", 1, *SMALL]
    said, metrics = runs_of(tmp_path, *run)
    assert metrics["cold"] == metrics["warm"] == metrics["none"]
    for text in said.values():
        assert "2 of 60 ASVs, which hold" in text
