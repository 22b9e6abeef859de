"""Names of models: a folder on the disk, or what a hub has under the name, where that is asked for and at no other time."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from aam.data.simulate import simulate, write_simulation
from aam.errors import InputError
from aam.saved.load import from_pretrained, load
from aam.study.reading import read_study
from tests.support.hub import COMMIT, hub_of, needs_huggingface_hub
from tests.support.released import RELEASED

NUMBER = RELEASED / "0.1.0" / "number"


def test_a_folder_on_the_disk_is_opened_as_load_does(tmp_path):
    write_simulation(simulate(0, n_samples=12, n_asvs=30, length=40), tmp_path)
    study = read_study(tmp_path / "table.biom", metadata=tmp_path / "metadata.tsv")
    found = from_pretrained(str(NUMBER), batch_size=5)
    assert found.batch_size == 5
    np.testing.assert_allclose(found.predict(study), load(NUMBER).predict(study), rtol=1e-6)
    shutil.copytree(NUMBER, tmp_path / "run" / "model")
    assert from_pretrained(tmp_path / "run").target.metadata_column == "age"


def test_a_folder_that_is_called_as_a_model_of_a_hub_is_the_folder(tmp_path, monkeypatch):
    shutil.copytree(NUMBER, tmp_path / "someone" / "age")
    monkeypatch.chdir(tmp_path)
    assert from_pretrained("someone/age", download=True).target.metadata_column == "age"
    with pytest.raises(InputError, match="`revision=main`: someone/age is on this disk, where a folder has no revisions"):
        from_pretrained("someone/age", revision="main")


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("name", ["absent", "/nowhere/at/all", "../someone/age", "a/b/c", "someone/", "-o/n", "o /n"])
def test_what_is_neither_a_folder_nor_a_name_is_told(name, download):
    with pytest.raises(InputError, match=r"does not exist, and is no name of a model on a hub \(OWNER/NAME\); check the path"):
        from_pretrained(name, download=download)


def test_a_name_is_not_looked_up_unless_that_is_asked_for():
    program = (
        "import sys, aam\ntry: aam.from_pretrained('someone/age')\nexcept aam.InputError as error: print(error)\n"
        "print('huggingface_hub' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    said, imported = run.stdout.splitlines()
    assert said == (
        "`path_or_name=someone/age`: no such folder; to fetch a model of this name from the hub, ask for it: `download`"
    )
    assert imported == "False"


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"^`download` needs huggingface_hub: pip install 'attention-all-microbes\[hub\]'$"):
        from_pretrained("someone/age", download=True)


# What is asked of the hub in a process of its own, which knows the address before it imports anything.
_ASK = """
import json, logging, sys
import aam
logging.basicConfig(format="%(message)s", stream=sys.stderr)
for asked in json.loads(sys.argv[1]):
    try:
        model = aam.from_pretrained(asked.pop("name"), download=True, **asked)
        print(json.dumps(model.target.metadata_column))
    except aam.InputError as error:
        print(json.dumps(str(error)))
"""


def ask(address, home, *asked):
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
        environment.pop(name, None)
    program = [sys.executable, "-c", _ASK, json.dumps(asked)]
    run = subprocess.run(program, capture_output=True, text=True, timeout=300, check=True, env=environment)
    return [json.loads(line) for line in run.stdout.splitlines()], run.stderr


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    """A model, the output folder of a run, both with files that no model has, and a repository without a model."""
    folder = tmp_path_factory.mktemp("hub")
    shutil.copytree(NUMBER, folder / "model")
    shutil.copytree(RELEASED / "0.1.0" / "classes", folder / "run" / "model")
    (folder / "other").mkdir()
    for name in ("model", "run", "other"):
        for extra in ("weights.pkl", "pytorch_model.bin", "modeling.py", "more/config.json", "big.safetensors"):
            (folder / name / extra).parent.mkdir(exist_ok=True)
            (folder / name / extra).write_bytes(b"\x80\x04.")
    return {f"someone/{name}": folder / name for name in ("model", "run", "other")}


@needs_huggingface_hub
def test_a_model_of_a_hub_is_fetched_with_its_own_files_only(repositories, tmp_path):
    with hub_of(repositories) as (address, asked):
        found, said = ask(address, tmp_path, {"name": "someone/model"}, {"name": "someone/run"})
    assert found == ["age", "disease"]
    assert f"someone/model: commit {COMMIT}, which may be another next time; to stay with it: `revision={COMMIT}`" in said
    files = {path.name for path in tmp_path.rglob("*") if path.is_file() and "snapshots" in path.parts}
    assert files == {"config.json", "model.safetensors", "README.md", "samples.txt"}
    assert not [path for path in asked if path.endswith((".pkl", ".bin", ".py", "big.safetensors", "more/config.json"))]


@needs_huggingface_hub
def test_a_commit_is_not_warned_of_and_a_hub_that_is_away_costs_nothing_then(repositories, tmp_path):
    with hub_of(repositories) as (address, _):
        found, said = ask(address, tmp_path, {"name": "someone/model", "revision": COMMIT})
    assert found == ["age"]
    assert "commit" not in said
    found, _ = ask(address, tmp_path, {"name": "someone/model", "revision": COMMIT})
    assert found == ["age"]


@needs_huggingface_hub
def test_what_a_hub_does_not_give_is_one_line(repositories, tmp_path):
    absent, revision = {"name": "someone/nothing"}, {"name": "someone/model", "revision": "v9"}
    with hub_of(repositories) as (address, _):
        found, _ = ask(address, tmp_path, absent, revision, {"name": "someone/other"})
    assert found[0] == (
        "`path_or_name=someone/nothing`: the hub has no such model, or it is private (hf auth login); check the name"
    )
    assert found[1] == "`path_or_name=someone/model`: the hub has no `revision=v9` of it; give a branch, a tag or a commit"
    assert "models--someone--other" in found[2]
    assert found[2].endswith("no model here, config.json is missing; give the output folder of pretrain or train")
    (said,), _ = ask(address, tmp_path / "empty", {"name": "someone/model"})
    assert said.startswith("`path_or_name=someone/model`: cannot be fetched from the hub (LocalEntryNotFoundError: ")
    assert "\n" not in said
