"""A loss that is NaN or infinite, in runs of fairseq-train: named, and skipped or the end of the run."""

import re
from pathlib import Path

import pytest
import tiny
import torch
from commands import difference, error_of, learned, logged, read, training
from ranks import train_in_two

SIZES = {task: {"train": 24, "valid": 4} for task in tiny.LANGUAGES}
RARE = "w39"
LINE = {"train": 7, "valid": 2}  # of the MT data; the only lines with the rare word
HUGE = 3e38  # finite; times the embeddings' scale it is not
VALIDATED = ("--no-epoch-checkpoints", "--max-tokens", 120, "--validate-interval-updates", 1)
SCALED = str(Path(__file__).parent / "scaled_on_cpu.py")
KEPT = ("--no-epoch-checkpoints", "--disable-validation", "--max-tokens", 120)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The toy corpus with a word that one source of a split has, and no other text."""
    folder = tmp_path_factory.mktemp("rare")
    tiny.write_corpus(folder, SIZES)
    for path in folder.glob("text/*/*"):
        text = path.read_text(encoding="utf-8").replace(RARE, "w38")
        lines = text.splitlines(keepends=True)
        if path.parent.name == "mt" and path.suffix == ".en":
            lines[LINE[path.stem]] = f"{RARE} w1 w2\n"
        path.write_text("".join(lines), encoding="utf-8")
    return tiny.binarise(folder, SIZES)


@pytest.fixture(scope="module")
def altered(data, forked, tmp_path_factory):
    """Writes the checkpoint of two good updates with other values in some of its parameters."""
    folder = tmp_path_factory.mktemp("good")
    forked("fairseq-train", *training(data, folder, *KEPT, updates=2))

    def alter(path, **values):
        path.parent.mkdir(parents=True, exist_ok=True)
        state = read(folder / "checkpoint_last.pt")
        for name, (rows, value) in values.items():
            state["model"][name][rows] = value
        torch.save(state, path)
        return path

    return alter


@pytest.fixture(scope="module")
def rare_is_huge(altered):
    """Writes a checkpoint whose loss is finite but for the sentence with the rare word."""
    row = 4 + tiny.WORDS.index(RARE)
    return lambda path: altered(path, **{"encoder.embed_tokens.weight": (row, HUGE)})


def stopped(process) -> tuple[int, str]:
    """The update of which a run's last line tells, and what it tells."""
    found = re.match(r"update (\d+): (.*): no parameter was changed; ", message := error_of(process))
    assert found, message
    return int(found[1]), found[2]


def skipped(process) -> list[str]:
    return re.findall(r"\| (update \d+: .*): skipped \(--non-finite skip\)", process.stdout)


@pytest.fixture(scope="module")
def stops_and_goes_on(data, rare_is_huge, forked, tmp_path_factory):
    """A run that stops at the rare word and, with skip, goes on; and what it had saved when it stopped."""
    folder = tmp_path_factory.mktemp("stops")
    rare_is_huge(folder / "checkpoint_last.pt")
    arguments = training(data, folder, *KEPT, "--save-interval-updates", 1, updates=12)
    first = forked("fairseq-train", *arguments, fails=True)
    saved = {path.name: path.read_bytes() for path in folder.iterdir()}
    second = forked("fairseq-train", *arguments, "--non-finite", "skip")
    return {"first": first, "second": second, "folder": folder, "saved": saved}


def test_the_run_stops_and_names_update_task_term_module_and_sentence(stops_and_goes_on):
    update, cause = stopped(stops_and_goes_on["first"])
    term = r"the mean of z_mt's posterior is nan \(first in encoder\.\S+\) for id 7 of the mt mini-batch"
    batch = re.fullmatch(term + r" with id ([\d, ]+)", cause)
    assert batch, cause
    assert "7" in batch[1].split(", ")
    updates = [re.sub(r"checkpoint_\d+_", "", name) for name in stops_and_goes_on["saved"]]
    since = 4  # 3 is the end of an epoch
    assert sorted(updates) == [*(f"{n}.pt" for n in range(since, update)), "checkpoint_last.pt"]


def test_it_goes_past_it_with_skip_and_counts(stops_and_goes_on):
    process, (first, _) = stops_and_goes_on["second"], stopped(stops_and_goes_on["first"])
    lines = skipped(process)
    assert lines[0].startswith(f"update {first}: ") and len(lines) >= 2
    assert all(" is nan " in line and " for id 7 of the mt mini-batch" in line for line in lines)
    logs = logged(process, "train_inner")
    assert [log["num_updates"] for log in logs] == list(range(first, 13))
    assert max(log.get("non_finite", 0) for log in logs) == len(lines)
    model = read(stops_and_goes_on["folder"] / "checkpoint_last.pt")["model"]
    assert all(torch.isfinite(values).all() for values in model.values())


def test_a_skipped_update_changes_nothing(stops_and_goes_on, tmp_path):
    """What is saved behind it, by --save-interval-updates 1, equals what was saved before it."""
    update, _ = stopped(stops_and_goes_on["first"])
    behind = next(stops_and_goes_on["folder"].glob(f"checkpoint_*_{update - 1}.pt"))
    before = tmp_path / behind.name
    before.write_bytes(stops_and_goes_on["saved"][behind.name])
    assert behind.read_bytes() != before.read_bytes()  # the place in the data is another
    assert difference(learned(behind), learned(before)) is None


@pytest.mark.parametrize("program", ["fairseq-train", SCALED], ids=["not scaled", "at the least scale"])
def test_so_many_updates_in_a_row_are_not_skipped(data, altered, forked, tmp_path, program):
    bias = "encoder.hierarchy.posterior.mt.std.2.bias"
    altered(tmp_path / "checkpoint_last.pt", **{bias: (slice(None), 1e30)})
    flags = (*KEPT, "--amp", "--amp-init-scale", 4, "--min-loss-scale", 2, "--reset-optimizer")
    flags += ("--non-finite", "skip", "--non-finite-limit", 3)
    process = forked(program, *training(data, tmp_path, *flags, updates=20), fails=True)
    assert len(skipped(process)) == 2
    update, cause = stopped(process)
    assert update == 1 and cause.startswith("the KL of z_mt is inf for id ")
    assert "; the last 3 updates were such" in error_of(process)


def test_two_ranks_skip_the_same_update_and_stay_equal(data, rare_is_huge, forked, tmp_path):
    """Though one rank alone meets the sentence; rank 0's line tells of it wherever it was."""
    flags = (*KEPT, "--non-finite", "skip", "--reset-dataloader")
    flags = (*flags, "--restore-file", rare_is_huge(tmp_path / "start.pt"))
    processes, ranks = train_in_two(
        forked, tmp_path, lambda folder: training(data, folder, *flags, updates=6)
    )
    assert difference(*(learned(rank / "checkpoint_last.pt") for rank in ranks)) is None
    lines = skipped(processes[0])
    assert lines
    assert all(re.search(r" for id 7 of the mt mini-batch with .* \(rank [01]\)", line) for line in lines)


def test_a_validation_that_is_not_finite_saves_nothing_or_counts_as_the_worst(
    data, rare_is_huge, forked, tmp_path
):
    last = rare_is_huge(tmp_path / "checkpoint_last.pt")
    before = last.read_bytes()
    arguments = training(data, tmp_path, *VALIDATED, updates=3)
    message = error_of(forked("fairseq-train", *arguments, fails=True))
    assert re.match(r"validation: kl_mt is nan on the mt mini-batch with id [\d, ]*2", message), message
    assert last.read_bytes() == before
    forked("fairseq-train", *arguments, "--non-finite", "skip")
    assert read(last)["extra_state"]["val_loss"] == float("inf")


def test_parameters_that_are_not_finite_replace_no_checkpoint(data, rare_is_huge, forked, tmp_path):
    """No gradient tells of them: weight decay makes -6e38 of 3e38 here."""
    last = rare_is_huge(tmp_path / "checkpoint_last.pt")
    before = last.read_bytes()
    optimizer = ("--reset-optimizer", "--optimizer", "sgd", "--lr", 3, "--weight-decay", 1)
    arguments = training(data, tmp_path, *KEPT, *optimizer, updates=3)
    message = error_of(forked("fairseq-train", *arguments, fails=True))
    assert "encoder.embed_tokens.weight of the model is NaN or infinite: no checkpoint was written" in message
    assert last.read_bytes() == before and list(tmp_path.iterdir()) == [last]


def test_under_amp_the_search_computes_as_the_update_did(data, altered, forked, tmp_path):
    """In float32 all terms of the loss are finite; bfloat16, --amp on a CPU, makes infinity of 3.4e38."""
    norm, keys = "encoder.layers.0.self_attn_layer_norm.weight", "encoder.layers.0.self_attn.k_proj.weight"
    values = {norm: (0, 1e-35), keys: ((0, 0), 3.4e38)}
    start = ("--finetune-from-model", altered(tmp_path / "start.pt", **values))
    command = training(data, tmp_path / "run", *KEPT, "--amp", *start, updates=1)
    update, cause = stopped(forked("fairseq-train", *command, fails=True))
    assert update == 1
    assert re.match(r"the mean of \S+ posterior is nan \(first in encoder\.layers\.0\..*\) for id \d", cause)


def test_an_overflow_under_the_loss_scale_of_fp16_is_no_fault(data, forked, tmp_path):
    """A scale of 2^24 is too large for float16: it is halved until it is not, and the run goes on."""
    flags = (*KEPT, "--fp16", "--fp16-init-scale", 2**24)
    process = forked("fairseq-train", *training(data, tmp_path, *flags, updates=3))
    scales = re.findall(r"gradient overflow: no update, setting loss scale to: (\S+)", process.stdout)
    assert [float(scale) for scale in scales] == [2.0**n for n in range(23, 23 - len(scales), -1)]
    assert scales and [log["num_updates"] for log in logged(process, "train_inner")] == [1, 2, 3]
    assert not skipped(process)


def test_a_mini_batch_that_overflows_under_amp_is_tried_again(data, forked, tmp_path):
    """Up to three times in all; later, where each update doubles the scale, twice."""
    flags = (*KEPT, "--amp", "--amp-init-scale", 2**127, "--amp-scale-window", 1)
    process = forked(SCALED, *training(data, tmp_path, *flags, updates=10))
    words = re.findall(r"AMP: (overflow|skipping)|train_inner \| \{.*\"(num_updates)\"", process.stdout)
    words = ["".join(word) for word in words]
    first = words.index("num_updates")
    assert words[:first].count("overflow") // 3 == words[:first].count("skipping") > 0
    assert words[first:].count("overflow") > 3 and "skipping" not in words[first:]


def test_a_loss_that_is_nan_at_the_least_scale_of_fp16_stops_the_run(data, altered, forked, tmp_path):
    altered(tmp_path / "start.pt", **{"decoder.output_projection.weight": (slice(None), 6e4)})
    flags = (*KEPT, "--fp16", "--min-loss-scale", 32, "--finetune-from-model", tmp_path / "start.pt")
    _, cause = stopped(forked("fairseq-train", *training(data, tmp_path, *flags, updates=3), fails=True))
    assert cause.startswith("the NLL is nan for id ") and "Minimum loss scale reached (32" in cause
