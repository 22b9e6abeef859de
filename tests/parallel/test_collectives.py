import pytest

from aam.cli.spelling import spell
from aam.errors import InputError
from aam.parallel.collectives import meet


@pytest.mark.parametrize(
    ("devices", "num_nodes", "said"),
    [
        (4, 1, "--devices 4: 2 were started; leave the option out"),
        (2, 3, "--num-nodes 3: 1 were started; leave the option out"),
    ],
)
def test_numbers_other_than_those_that_were_started(monkeypatch, devices, num_nodes, said):
    started = {
        "TORCHELASTIC_RUN_ID": "run",
        "WORLD_SIZE": "2",
        "GROUP_WORLD_SIZE": "1",
        "RANK": "0",
        "LOCAL_RANK": "0",
        "MASTER_PORT": "29500",
    }
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as error:
        meet(devices, num_nodes)
    assert spell(str(error.value)) == said
