import os
import signal
import socket
import time
from collections.abc import Iterator
from multiprocessing import active_children, resource_sharer
from multiprocessing.process import BaseProcess

import pytest
from torch.utils.data import DataLoader

from aam.data.workers import begin_worker, end_workers_at_exit, from_workers
from aam.errors import LostWorker

# As a run has it, before it starts any.
end_workers_at_exit()


def numbers() -> DataLoader:
    return DataLoader(range(100), batch_size=1, num_workers=2, worker_init_fn=begin_worker)


def test_a_lost_process_is_missed_where_a_batch_is_waited_for_and_nowhere_else():
    for attempt in range(5):
        others = active_children()
        loader = numbers()
        batches = from_workers(lambda loader=loader: iter(loader), 2, [])
        assert next(batches).item() == 0
        (worker, _) = [process for process in active_children() if process not in others]
        worker.kill()
        limit = time.monotonic() + 30
        while worker.is_alive():
            assert time.monotonic() < limit
        # Much happens, and none of it is broken off.
        assert sum(range(100_000 + attempt)) > 0
        with pytest.raises(LostWorker):
            list(batches)


def test_processes_give_what_they_would_without_a_loss():
    loader = numbers()
    assert [batch.item() for batch in from_workers(lambda: iter(loader), 2, [])] == list(range(100))


def test_processes_stay_from_one_epoch_to_the_next_and_one_that_is_lost_between_is_missed():
    loader = DataLoader(range(100), batch_size=1, num_workers=2, worker_init_fn=begin_worker, persistent_workers=True)
    processes: list[BaseProcess] = []
    others = active_children()
    for _ in range(2):
        # An epoch that is broken off leaves nothing to the next.
        next(from_workers(lambda: iter(loader), 2, processes))
        assert [batch.item() for batch in from_workers(lambda: iter(loader), 2, processes)] == list(range(100))
    assert sorted(process.pid for process in active_children() if process not in others) == sorted(p.pid for p in processes)
    processes[1].kill()
    processes[1].join()
    with pytest.raises(LostWorker):
        next(from_workers(lambda: iter(loader), 2, processes))


class Broken:
    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: int) -> int:
        raise KeyError(f"no {number}")


def test_what_a_process_raises_itself_is_not_its_loss():
    loader = DataLoader(Broken(), num_workers=1, worker_init_fn=begin_worker)
    with pytest.raises(KeyError, match="no 0"):
        list(from_workers(lambda: iter(loader), 1, []))


def told_to_stop(worker: int) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    begin_worker(worker)


def test_a_process_that_is_told_to_stop_before_it_has_begun_goes_on(own_signals):
    loader = DataLoader(range(100), batch_size=1, num_workers=2, worker_init_fn=told_to_stop)
    assert [batch.item() for batch in from_workers(lambda: iter(loader), 2, [])] == list(range(100))


def gone(worker: int) -> None:
    os._exit(1)


def test_a_process_that_is_lost_before_the_first_batch_is_missed():
    loader = DataLoader(range(100), batch_size=1, num_workers=2, worker_init_fn=gone)

    def begin() -> Iterator[object]:
        others = set(active_children())
        batches = iter(loader)
        limit = time.monotonic() + 30
        while set(active_children()) - others:
            assert time.monotonic() < limit
        return batches

    with pytest.raises(LostWorker):
        list(from_workers(begin, 2, []))


class HungUpOn:
    """Its process hands something over to somebody who breaks the connection off, as a main process does that ends."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int) -> int:
        address, _ = resource_sharer._resource_sharer.register(lambda connection, pid: None, lambda: None)
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(address)
            # Closed with something unread.
            caller.recv(1)
        time.sleep(0.3)
        return number


def test_a_connection_that_is_broken_off_is_no_traceback(capfd):
    loader = DataLoader(HungUpOn(), num_workers=1, worker_init_fn=begin_worker)
    assert len(list(from_workers(lambda: iter(loader), 1, []))) == 1
    assert capfd.readouterr().err == ""
