"""A model decodes for the tasks that it was trained on."""

import pytest
from commands import decoding, error_of, hypotheses, training

from fairseq_vhm.errors import UserError
from fairseq_vhm.models import VHMTransformerModel

REFUSAL = "--eval-task mt: the checkpoint was trained on cls alone"
CLS_ALONE = ("--tasks", "cls", "--latents", "none")


@pytest.fixture(scope="module")
def of_cls(toy_data, forked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("of_cls")
    forked("fairseq-train", *training(toy_data, folder, *CLS_ALONE, updates=2))
    return folder / "checkpoint_last.pt"


@pytest.mark.parametrize("command", ["generate", "interactive"])
def test_a_task_that_was_never_trained_is_refused(toy_data, forked, of_cls, command):
    arguments = decoding(toy_data, of_cls, "--eval-task", "mt")
    process = forked(f"fairseq-{command}", *arguments, fails=True, stdin="w1 w2\n")
    assert error_of(process) == f"{REFUSAL}; give one trained on mt, or --eval-task cls"


def test_it_is_refused_in_python(toy_data, of_cls):
    settings = {"data_name_or_path": str(toy_data), "eval_task": "mt"}
    hub = VHMTransformerModel.from_pretrained(str(of_cls.parent), of_cls.name, **settings)
    for _ in range(2):
        with pytest.raises(UserError, match=REFUSAL):
            hub.summarize(["w1 w2"])


def test_a_task_that_an_earlier_training_may_have_had_is_decoded_with_a_warning(
    toy_data, forked, trained, tmp_path
):
    start = ("--init-from", trained / "checkpoint_last.pt", "--init-allow", "*latent*,*hierarchy*,*fusion*")
    forked("fairseq-train", *training(toy_data, tmp_path, *CLS_ALONE, *start, updates=1))
    arguments = decoding(toy_data, tmp_path / "checkpoint_last.pt", "--eval-task", "mt")
    process = forked("fairseq-generate", *arguments)
    (warning,) = [line for line in process.stdout.splitlines() if "| WARNING | fairseq_vhm" in line]
    assert REFUSAL in warning
    assert hypotheses(process)


def test_a_checkpoint_is_validated_on_what_it_was_trained_on(toy_data, forked, tmp_path):
    """A validation decodes nothing, so --eval-task, cls by default, does not count."""
    flags = ("--tasks", "mt", "--valid-subset", "valid_mt")
    forked("fairseq-train", *training(toy_data, tmp_path, *flags, "--latents", "none", updates=1))
    arguments = [*decoding(toy_data, tmp_path / "checkpoint_last.pt"), *flags, "--max-tokens", 500]
    forked("fairseq-validate", *arguments)
