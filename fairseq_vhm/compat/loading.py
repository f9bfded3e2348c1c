"""A process whose thread still loads mini-batches may end in an abort, after all of its work is done.

fairseq's ``BackgroundConsumer`` is a thread that nobody waits for: Python stops it at the end wherever it is,
and within torch's code that is ``terminate called without an active exception``, status -6.  Seen once in a
thousand runs, of training and of validation.  Delete when ``BufferedIterator`` joins its thread.
"""

import atexit
import functools
import threading

from fairseq.data.iterators import BackgroundConsumer

PATIENCE = 0.2
"""Seconds."""


def wait_for_loading() -> None:
    """Let such threads come to rest: they are done, or wait for someone to take a mini-batch."""
    for thread in threading.enumerate():
        if isinstance(thread, BackgroundConsumer):
            thread.join(PATIENCE)


@functools.cache
def wait_at_exit() -> None:
    """Do so when Python ends; safe to call more than once."""
    atexit.register(wait_for_loading)
