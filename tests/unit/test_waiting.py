"""What in a training step waits for the device's numbers: on a GPU each such question empties its queue."""

import traceback
from collections import Counter

import pytest
from test_token_loss import elbo
from tiny import make_batch, make_dictionary, make_model
from torch.utils._python_dispatch import TorchDispatchMode

from fairseq_vhm.names import TASKS
from fairseq_vhm.tasks.non_finite import as_nan_where_not_finite

DICTIONARY = make_dictionary()
WAITING = ("_local_scalar_dense", "nonzero", "equal")
SETTINGS = {
    "vhm": {},
    "mt_ms_cls": {"latents": "none"},
    "bag of words": {"bag_of_words_weight": 0.5},
    "a decoder a task": {"decoders": "task", "latents": "none"},
    "released code": {"released_code_compat": True},
}


class Questions(TorchDispatchMode):
    """The lines outside of torch that ask for a number, and how often."""

    def __init__(self):
        super().__init__()
        self.lines: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in WAITING:
            frames = [frame for frame in traceback.extract_stack()[:-1] if "/torch/" not in frame.filename]
            self.lines[f"{frames[-1].filename}: {frames[-1].line}"] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("flags", SETTINGS.values(), ids=SETTINGS)
def test_nothing_of_ours_does_but_on_a_cpu(task, flags):
    """The last question is behind a check of the device; all others are fairseq's."""
    model, batch = make_model(DICTIONARY, dropout=0.1, **flags).train(), make_batch(DICTIONARY, task)
    with Questions() as asked:
        loss, _, _ = elbo(loss_chunk=4).train()(model, batch)
        as_nan_where_not_finite(loss).backward()
    ours = [line for line in asked.lines if "/site-packages/" not in line]
    assert len(ours) == 1 and 'of_loss.device.type != "cpu" or' in ours[0]
    assert any("has_pads" in line for line in asked.lines)
