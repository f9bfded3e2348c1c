"""A signal that ends a job: noted once and for all, agreed on by the ranks, and saved before."""

import multiprocessing
import signal
import threading
import time
from multiprocessing import util
from types import SimpleNamespace

import pytest
import torch.distributed as dist
from fairseq import checkpoint_utils
from fairseq.data.iterators import BufferedIterator
from fairseq.dataclass.configs import CheckpointConfig
from torch.distributed.distributed_c10d import _get_default_store

from fairseq_vhm.compat.preemption import SIGNALS, STATUS, Preemption, _end_loading, agreed, save_before_exit


class Trainer:
    """What fairseq's ``save_checkpoint`` asks of a trainer."""

    data_parallel_rank, checkpoint_suffix, task = 0, "", None
    should_save_checkpoint_on_current_rank = True

    def __init__(self, updates: int):
        self.updates = updates

    def get_num_updates(self) -> int:
        return self.updates

    def consolidate_optimizer(self) -> None:
        pass

    def save_checkpoint(self, path: str, extra_state: dict) -> None:
        with open(path, "a") as file:
            file.write(f"{self.updates} ")


class Epoch:
    """What it asks of an iterator within an epoch."""

    epoch = 1

    def end_of_epoch(self) -> bool:
        return False

    def state_dict(self) -> dict:
        return {}


@pytest.fixture
def as_before(monkeypatch):
    """What a listening process changes is undone, and a signal that waits is taken."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    registered = dict(util._finalizer_registry)
    yield
    for number in signal.sigpending().intersection(SIGNALS):
        signal.sigwait({number})
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    util._finalizer_registry.clear()
    util._finalizer_registry.update(registered)


@pytest.fixture
def training(as_before, monkeypatch, tmp_path):
    """``fairseq_cli.train`` with our wrappers around fairseq's own saving, which is put back."""
    monkeypatch.setattr(checkpoint_utils, "save_checkpoint", checkpoint_utils.save_checkpoint)
    program = SimpleNamespace(
        train=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        validate_and_save=lambda cfg, trainer, task, epoch: (
            checkpoint_utils.save_checkpoint(cfg.checkpoint, trainer, epoch, None) if cfg.saves else None
        ),
    )
    save_before_exit(program)
    return program


def settings(folder, saves: bool, **flags) -> SimpleNamespace:
    kept = {"save_dir": str(folder), "save_interval_updates": 4, "no_epoch_checkpoints": True}
    return SimpleNamespace(saves=saves, checkpoint=CheckpointConfig(**kept | flags))


def signalled_after(program, update: int, cfg: SimpleNamespace) -> None:
    """An update that is ended while a signal waits: fairseq's steps, then our exit."""
    program.train()
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    with pytest.raises(SystemExit) as ended:
        program.validate_and_save(cfg, Trainer(update), None, Epoch())
    assert ended.value.code == STATUS


def test_every_epoch_listens_and_the_first_alone_registers(training):
    before, seen = len(util._finalizer_registry), []
    for _ in range(3):
        assert set(SIGNALS) <= training.train()
        seen.append((len(util._finalizer_registry) - before, *map(signal.getsignal, SIGNALS)))
    assert seen[0][0] == 1 and seen == [seen[0]] * 3
    wrapped = training.train
    save_before_exit(training)
    assert training.train is wrapped


def test_a_signal_is_known_whether_it_waits_or_has_reached_the_process(as_before):
    preemption = Preemption()
    assert preemption.asked() is None and not preemption.is_due(3)
    preemption.listen()
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    assert preemption.received is None and preemption.asked() == signal.SIGUSR1
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    assert not signal.sigpending() & set(SIGNALS)
    assert preemption.asked() == preemption.received == signal.SIGUSR1 and preemption.is_due(3)


def test_an_update_goes_on_without_a_signal(training, tmp_path):
    training.train()
    training.validate_and_save(settings(tmp_path, saves=False), Trainer(3), None, Epoch())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "update", "expected"),
    [
        ({}, 3, {"checkpoint_last.pt": "3 "}),
        ({}, 4, {"checkpoint_1_4.pt": "4 ", "checkpoint_last.pt": "4 "}),
        ({"no_last_checkpoints": True}, 3, {"checkpoint_last.pt": "3 "}),
        ({"no_last_checkpoints": True}, 4, {"checkpoint_1_4.pt": "4 4 ", "checkpoint_last.pt": "4 4 "}),
        ({"no_save": True}, 4, {}),
    ],
    ids=["between two saves", "at a save", "no last, between", "no last, at a save", "no save"],
)
def test_what_is_due_is_in_the_last_checkpoint_and_saved_once(
    training, tmp_path, caplog, flags, update, expected
):
    """Once, but where --no-last-checkpoints left it out of the file that the next run goes on from."""
    signalled_after(training, update, settings(tmp_path, saves=update == 4, **flags))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == expected
    said = "nothing saved (--no-save)" if flags.get("no_save") else "checkpoint_last.pt saved"
    assert f"stopped by SIGUSR1 after update {update}: {said}" in caplog.text


def test_ranks_stop_together_one_update_after_the_first_is_asked():
    store = dist.HashStore()
    assert not agreed(store, 4, asked=False)
    assert not agreed(store, 5, asked=True) and not agreed(store, 5, asked=False)
    assert agreed(store, 6, asked=False) and agreed(store, 6, asked=True)
    assert not agreed(store, 5, asked=True)  # named by a second rank: the first name stays


def test_a_rank_that_was_sent_no_signal_stops_with_the_one_that_was(training, tmp_path, caplog, rank_1_of_2):
    training.train()
    cfg = settings(tmp_path, saves=False)
    agreed(_get_default_store(), 3, asked=True)  # as the other rank does
    training.validate_and_save(cfg, Trainer(3), None, Epoch())
    with pytest.raises(SystemExit):
        training.validate_and_save(cfg, Trainer(4), None, Epoch())
    assert "stopped by a signal to another rank after update 4" in caplog.text


def test_the_end_of_a_process_waits_for_what_is_loaded_and_kills_workers_that_load():
    class Slow(list):
        def __iter__(self):
            for item in super().__iter__():
                time.sleep(0.03)
                yield item

    loading = BufferedIterator(2, Slow([1, 2]))
    assert next(loading) == 1 and loading._consumer.is_alive()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=time.sleep, args=(60,), daemon=daemon) for daemon in (True, False)]
    for worker in workers:
        worker.start()
    try:
        _end_loading()
        assert not loading._consumer.is_alive()
        workers[0].join(5)
        assert (workers[0].exitcode, workers[1].exitcode) == (-signal.SIGKILL, None)
    finally:
        workers[1].kill()
        workers[1].join()
