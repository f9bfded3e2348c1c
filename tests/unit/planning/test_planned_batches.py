"""Mini-batches and updates of a plan: those of the run's task, and what numbers and lengths come to."""

import math
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from fairseq.data.data_utils import batch_by_size

from fairseq_vhm.data.pairs import few_shot_subset
from fairseq_vhm.errors import UserError
from fairseq_vhm.planning import measure
from fairseq_vhm.planning.batches import Schedule
from fairseq_vhm.planning.prepared import material_of
from fairseq_vhm.planning.texts import Texts
from fairseq_vhm.planning.unit_costs import BOTH
from fairseq_vhm.tasks.many_to_many_config import sampling_of

TINY = ("--arch", "vhm_transformer_tiny", "--encoder-layers", "1", "--decoder-layers", "1")
MANY = ("--task", "many_to_many_summarization", "--criterion", "label_smoothed_cross_entropy")
DRAWN = (*MANY, "--latents", "none", "--min-pair-size", "1")
SYMBOLS = 47


def shapes(batches) -> Counter:
    return Counter(map(tuple, batches.shapes.tolist()))


# ---- a prepared folder -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--cls-fraction", "0.2", "--fraction-seed", "3"),
        ("--task-tag", "target", "--max-source-positions", "6"),
        ("--text-bos",),
        ("--langs", "en_XX,zh_CN", "--max-target-positions", "5"),
        ("--task-schedule", "alternate", "--task-ratio", "cls:2,mt:1,ms:3", "--update-freq", "2"),
        ("--tasks", "ms,mt", "--latents", "mt,ms", "--batch-size", "7"),
    ],
)
def test_texts_give_the_mini_batches_that_the_task_cuts_of_them_binarised(
    wanted, toy_data, text_files, flags
):
    prepared = wanted(toy_data, *flags).material
    counted = wanted(*text_files, *flags, vocab_size=SYMBOLS).material
    assert list(counted.batches) == list(prepared.batches) and counted.updates == prepared.updates
    for task, batches in prepared.batches.items():
        assert shapes(counted.batches[task]) == shapes(batches)
        assert counted.batches[task].in_step == pytest.approx(batches.in_step)
    assert [(t.task, t.pairs) for t in counted.texts] == [(t.task, t.pairs) for t in prepared.texts]


@pytest.mark.parametrize(
    "flags",
    [
        ("--cls-fraction", "0.1"),
        ("--pretraining-tasks", "mlm,dae,cmlm", "--task-ratio", "cls:1,mlm:2"),
    ],
)
def test_mini_batches_are_those_that_fairseq_s_trainer_gets(wanted, toy_data, flags):
    run = wanted(toy_data, *flags, "--latents", "none", "--cpu").run
    material = material_of(run, toy_data)
    seen = Counter()
    trained = measure.trainer_of(run)
    for _, (step,) in zip(range(material.updates), measure.steps(run, trained), strict=False):
        seen.update(batch["net_input"]["task"] for batch in step["mini_batches"])
    planned = {task: material.updates * one.in_step for task, one in material.batches.items()}
    assert dict(seen) == pytest.approx(planned)
    cut = trained.task.datasets["train"].steps(list(trained.task.datasets["train"]._steps)[0]).mini_batches
    for task, batches in cut.items():
        assert Counter(map(len, batches)) == Counter(map(int, material.batches[task].shapes[:, 0]))


def test_a_few_shot_share_has_fewer_updates_of_like_mini_batches_on_the_same_disk(wanted, toy_data):
    flags = (*TINY, "--tasks", "cls", "--latents", "none", "--batch-size", "5", "--max-epoch", "4")
    asked = [wanted(toy_data, *more, flags=flags) for more in ((), ("--cls-fraction", "0.25"))]
    whole, few = (one.material for one in asked)
    assert few.texts[0].pairs == len(few_shot_subset(60, 0.25, 1)) == 15
    assert [Schedule.of(one.run, one.material).updates for one in asked] == [4 * 60 / 5, 4 * 15 / 5]
    assert set(few.batches["cls"].shapes[:, 0]) == set(whole.batches["cls"].shapes[:, 0]) == {5}
    assert few.batches["cls"].in_step == whole.batches["cls"].in_step == 1
    assert few.disk == whole.disk


@pytest.mark.parametrize("fraction", [0.001, 0.035, 0.5])
def test_a_share_of_numbers_is_as_many_pairs_as_few_shot_training_takes(fraction):
    few = Texts("cls", 100, 20.0, 7.0).few_shot(fraction, seed=1)
    assert few.pairs == len(few_shot_subset(100, fraction, 1)) and (few.source, few.target) == (20, 7)


def test_a_share_of_numbers_takes_the_disk_of_all_pairs(wanted):
    numbers = {"vocab_size": 99, "lengths": ["cls=20:7"], "pairs": ["cls=0.1k"]}
    flags = ("--tasks", "cls", "--latents", "none")
    whole, few = (wanted(*flags, *more, **numbers).material for more in ((), ("--cls-fraction", "0.5")))
    assert (whole.texts[0].pairs, few.texts[0].pairs) == (100, 50) and few.disk == whole.disk


def test_ms_of_the_same_documents_has_the_mini_batches_of_cls(wanted, same_documents):
    data, files = same_documents
    prepared = wanted(data, "--same-documents").material
    counted = wanted(*files, "--same-documents", vocab_size=SYMBOLS).material
    for material in (prepared, counted):
        cls, ms = material.batches["cls"], material.batches["ms"]
        assert ms.shapes[:, :2].tolist() == cls.shapes[:, :2].tolist() and ms.number == cls.number
    assert prepared.batches["ms"].shapes[:, 2].max() == 5  # four words and EOS
    assert counted.updates == prepared.updates


def test_documents_encoded_once_are_one_mini_batch_with_both_targets(wanted, same_documents):
    data, files = same_documents
    flags = ("--share-document-encoding", "--task-tag", "none")
    prepared = wanted(data, *flags).material
    apart = wanted(data, "--same-documents", "--task-tag", "none").material
    both = prepared.batches[BOTH]
    assert list(prepared.batches) == [BOTH, "mt"] and prepared.updates == apart.updates
    targets = (apart.batches["cls"].shapes[:, 2] + apart.batches["ms"].shapes[:, 2]) / 2
    assert both.shapes[:, 2].tolist() == targets.tolist()
    assert list(wanted(*files, *flags, vocab_size=SYMBOLS).material.batches) == [BOTH, "mt"]


# ---- many languages ----------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["multistage", "uniform"])
def test_directions_cost_as_often_as_they_are_drawn(wanted, corpus, sampling):
    flags = (*DRAWN, "--tasks", "cls,mt,ms", "--sampling", sampling, "--batch-by", "direction")
    run = wanted(corpus, *flags, "--epoch-updates", "400").run
    planned = material_of(run, corpus)
    trained = measure.trainer_of(run).task
    trained.load_dataset("train", combine=True)
    limits = {"max_tokens": 60, "required_batch_size_multiple": 8}
    steps = trained.datasets["train"].steps(trained.batching_of(limits))
    plan = steps.plan(sampling_of(run.settings), seed=5, epoch_updates=400)
    tokens, seen = Counter(), Counter()
    for step in plan.steps(1):
        for turn in step:
            pairs = steps.parts[turn.task]
            chosen = steps.mini_batches[turn.task][turn.stream][turn.number]
            kind = pairs.task_of(pairs.direction_of(int(chosen[0])))
            seen[kind] += 1
            tokens[kind] += len(chosen) * pairs.sizes[chosen].max(axis=0).sum()
    assert set(planned.batches) == set(seen) == {"cls", "mt", "ms"}
    for kind, one in planned.batches.items():
        assert one.in_step == pytest.approx(seen[kind] / 400, rel=0.05)
        a_step = (one.rates * one.shapes[:, 0] * one.shapes[:, 1:].sum(axis=1)).sum()
        assert a_step == pytest.approx(tokens[kind] / 400, rel=0.05)


def test_directions_that_the_flags_leave_out_are_not_planned(wanted, corpus):
    whole = wanted(corpus, *DRAWN).material
    into_english = wanted(corpus, *DRAWN, pairs=["*-en"]).material
    large = wanted(corpus, *DRAWN, "--min-pair-size", "40").material
    # 60 events, 31 of them told in French: en-en, zh-en, en-zh, fr-en, en-fr, zh-fr
    assert [m.texts[0].pairs for m in (whole, into_english, large)] == [60 * 3 + 31 * 3, 60 * 2 + 31, 60 * 3]
    assert into_english.updates < whole.updates


def test_tasks_that_are_derived_from_the_pairs_are_planned_too(wanted, corpus):
    material = wanted(corpus, *DRAWN, "--tasks", "cls,mt,ms").material
    pairs = {texts.task: texts.pairs for texts in material.texts}
    # MT: en-zh, en-fr (articles in Chinese have no summary of their own), fr-en; MS: en, fr
    assert pairs == {"cls": 273, "mt": 60 + 31 + 31, "ms": 60 + 31}


def test_numbers_of_many_languages_are_as_many_mini_batches_a_step(wanted):
    numbers = {"pairs": ["cls=1k,mt=500,ms=2k"], "lengths": ["cls=20:7,mt=20:20,ms=20:7"], "vocab_size": 99}
    flags = (*DRAWN, "--tasks", "cls,mt,ms", "--micro-batches", "5", "--update-freq", "2")
    asked = wanted(*flags, **numbers)
    sentences = asked.material.batches["cls"].shapes[0][0]
    assert sentences == 60 // 21  # the tag of the task beside the 20
    assert {one.in_step for one in asked.material.batches.values()} == {5}
    assert asked.material.updates == math.ceil(math.ceil(1000 / sentences) / (5 * 2))
    assert Schedule.of(asked.run, asked.material).mini_batches == {"cls": 10, "mt": 10, "ms": 10}


def test_measured_updates_go_on_over_epochs_with_pairs_within_a_language(wanted, corpus):
    run = wanted(corpus, *DRAWN, "--epoch-updates", "1", "--cpu").run
    steps = list(islice(measure.steps(run, measure.trainer_of(run)), 3))
    kinds = {batch["net_input"]["task"] for (step,) in steps for batch in step["mini_batches"]}
    assert len(steps) == 3 and kinds == set(material_of(run, corpus).batches) == {"cls", "ms"}


# ---- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [("--max-tokens", "400"), ("--max-tokens", "60"), ("--batch-size", "21")])
@pytest.mark.parametrize("multiple", ["1", "8"])
def test_pairs_of_one_length_are_cut_as_fairseq_cuts_them(wanted, limits, multiple):
    flags = ("--max-update", "9", *limits, "--required-batch-size-multiple", multiple, "--tasks", "cls")
    numbers = {"pairs": ["cls=1000"], "lengths": ["cls=12:7"], "vocab_size": 99}
    material = wanted("--latents", "none", flags=(*TINY, *flags), **numbers).material
    tokens, sentences = (int(limits[1]) if limits[0] == f else None for f in ("--max-tokens", "--batch-size"))
    cut = batch_by_size(
        np.arange(1000),
        num_tokens_vec=np.full(1000, 13),
        num_tokens_fn=lambda _: 13,
        max_tokens=tokens,
        max_sentences=sentences,
        required_batch_size_multiple=int(multiple),
    )
    assert material.batches["cls"].shapes.tolist() == [[len(cut[0]), 13, 7]]
    assert material.batches["cls"].number == pytest.approx(len(cut), abs=1)


def test_a_task_that_is_not_trained_takes_disk_alone(wanted):
    numbers = {"pairs": ["cls=1k,mt=2k"], "lengths": ["cls=20:7,mt=20:20"], "vocab_size": 99}
    both, cls = (wanted("--tasks", t, "--latents", "none", **numbers).material for t in ("cls,mt", "cls"))
    assert cls.disk == both.disk and [texts.task for texts in cls.texts] == ["cls"]
    assert list(cls.batches) == ["cls"]


@pytest.mark.parametrize("prepared", [True, False])
def test_a_pair_beyond_max_tokens_is_refused_as_in_training(wanted, toy_data, text_files, prepared):
    words, options = ([toy_data], {}) if prepared else (text_files, {"vocab_size": SYMBOLS})
    with pytest.raises(UserError, match="--max-tokens 5: the longest pair .*has 1. tokens; raise it, or"):
        wanted(*words, flags=(*TINY, "--max-tokens", "5", "--max-update", "9"), **options)
