"""--aggressive-inference (He et al., 2019): which updates train the posteriors alone."""

import pytest
import torch
from commands import learned, training

EVERY, UNTIL = 3, 4
ALONE = [True, True, False, True, False]  # updates 1 to 5, all of one epoch


@pytest.fixture(scope="module")
def states(toy_data, forked, tmp_path_factory):
    """What was learned after each of the updates 1 to 5."""
    folder = tmp_path_factory.mktemp("aggressive")
    flags = ["--aggressive-inference", EVERY, "--aggressive-until", UNTIL, "--save-interval-updates", 1]
    forked("fairseq-train", *training(toy_data, folder, *flags, updates=len(ALONE)))
    found = [next(folder.glob(f"checkpoint_*_{update}.pt")) for update in range(1, len(ALONE) + 1)]
    return [learned(path)["model"] for path in found]


@pytest.mark.parametrize("update", range(2, len(ALONE) + 1))
def test_update_trains_the_posteriors_alone_or_everything(states, update):
    before, after = states[update - 2 : update]
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    of_posteriors = {name for name in before if ".posterior." in name}
    assert moved & of_posteriors
    assert (moved <= of_posteriors) == ALONE[update - 1]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--aggressive-inference", 3], "--aggressive-until"),
        (["--aggressive-until", 3], "--aggressive-inference"),
        (["--aggressive-inference", 0, "--aggressive-until", 3], "--aggressive-inference"),
        (["--aggressive-inference", 3, "--aggressive-until", 3, "--bf16"], "--bf16"),
        (["--aggressive-inference", 3, "--aggressive-until", 3, "--latents", "none"], "--latents none"),
    ],
)
def test_what_cannot_be_is_refused_before_training(toy_data, forked, tmp_path, flags, named):
    process = forked("fairseq-train", *training(toy_data, tmp_path / "run", *flags), fails=True)
    assert named in process.stderr.splitlines()[-1]
    assert not list((tmp_path / "run").glob("*.pt"))
