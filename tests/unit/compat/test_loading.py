"""The thread that loads mini-batches is waited for when a process ends."""

import atexit
import time

from fairseq.data.iterators import BufferedIterator

from fairseq_vhm.compat.loading import wait_at_exit, wait_for_loading


class _Slow(list):
    def __iter__(self):
        for item in super().__iter__():
            time.sleep(0.03)
            yield item


def test_a_thread_that_loads_comes_to_its_end():
    loading = BufferedIterator(2, _Slow([1, 2]))
    assert next(loading) == 1 and loading._consumer.is_alive()
    wait_for_loading()
    assert not loading._consumer.is_alive()


def test_a_thread_that_nobody_takes_from_is_not_waited_for_in_vain():
    loading = BufferedIterator(1, range(5))
    assert next(loading) == 0
    wait_for_loading()
    assert loading._consumer.is_alive()
    assert list(loading) == [1, 2, 3, 4]


def test_the_end_of_python_waits_once_however_often_the_plugin_is_loaded():
    wait_at_exit()
    before = atexit._ncallbacks()
    wait_at_exit()
    assert atexit._ncallbacks() == before
