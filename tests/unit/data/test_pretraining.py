"""Pre-training streams: their texts, their marks, and that they leave the tasks' streams as they are."""

import shutil

import numpy as np
import pytest
import tiny
import torch
from test_same_documents import steps_of

from fairseq_vhm.errors import UserError
from fairseq_vhm.models.pretrained import without_pretraining_symbols
from fairseq_vhm.names import MASK, PRETRAINING_TASKS, task_tag

SIZES = {"cls": {"train": 20}, "mt": {"train": 30}, "ms": {"train": 10}}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretraining")
    tiny.write_corpus(folder, SIZES)
    return tiny.binarise(folder, SIZES)


@pytest.fixture(scope="module")
def data_with_mono(data, tmp_path_factory):
    """DATA with monolingual texts: MT's sources, and CLS's targets, of which there are fewer."""
    data = shutil.copytree(data, tmp_path_factory.mktemp("mono") / "DATA")
    (data / "mono").mkdir()
    for language, task in (("en", "mt"), ("zh", "cls")):
        shutil.copy(data / "mt" / f"dict.{language}.txt", data / "mono")
        for extension in ("bin", "idx"):
            other = data / task / f"train.en-zh.{language}.{extension}"
            shutil.copy(other, data / "mono" / f"train.en-zh.{language}.{extension}")
    return data


def streams(data, **settings):
    """Stream -> its pairs, the steps of the first epoch, and the task."""
    flags = {"same_documents": False, "tasks": "cls,mt,ms", "pretraining_tasks": "mlm,dae,cmlm", **settings}
    steps, task = steps_of(data, **flags)
    return task.datasets["train"].parts, steps, task


def texts(data, task: str, language: str) -> list[str]:
    return (data.parent / "text" / task / f"train.{language}").read_text().splitlines()


def restored(pairs, task, index: int) -> str:
    """The text behind a pair of ``dae``, read off its target."""
    return task.dictionary.string(pairs[index]["target"])


def test_mlm_and_dae_read_both_sides_of_every_task(data):
    parts, _, task = streams(data)
    everything = [
        line for t in SIZES for language in tiny.LANGUAGES[t] for line in texts(data, t, language)
    ]
    assert len(parts["mlm"]) == len(parts["dae"]) == len(everything) == 120
    assert sorted(restored(parts["dae"], task, i) for i in range(120)) == sorted(everything)


def test_named_folders_alone_are_read_and_monolingual_sides_need_not_be_aligned(data, data_with_mono):
    assert len(streams(data, pretraining_texts="ms")[0]["mlm"]) == 20
    parts, _, task = streams(data_with_mono, pretraining_texts="mono")
    found = sorted(restored(parts["dae"], task, i) for i in range(len(parts["dae"])))
    assert found == sorted(texts(data, "mt", "en") + texts(data, "cls", "zh"))
    assert len(streams(data_with_mono)[0]["dae"]) == 120 + 50


def test_further_parts_of_the_training_data_are_read_as_the_tasks_read_them(data_with_mono, tmp_path):
    """``train1``, of MT on both sides, of ``mono`` on the one that is not the source."""
    data = shutil.copytree(data_with_mono, tmp_path / "DATA")
    for folder, languages in (("mt", ("en", "zh")), ("mono", ("zh",))):
        for language in languages:
            for extension in ("bin", "idx"):
                file = data / folder / f"train.en-zh.{language}.{extension}"
                shutil.copy(file, file.with_name(file.name.replace("train.", "train1.")))
    _, _, task = streams(data, pretraining_texts="mt,mono", mlm_target="text")
    task.load_dataset("train", combine=True)
    parts = task.datasets["train"].parts
    counts = {stream: len(parts[stream]) for stream in ("mt", "cmlm", "dae")}
    assert counts == {"mt": 60, "cmlm": 60, "dae": 2 * 60 + 30 + 2 * 20}
    assert restored(parts["cmlm"], task, 30 + 4) == restored(parts["cmlm"], task, 4)


def test_a_split_without_monolingual_texts_is_refused_by_name(data_with_mono):
    _, _, task = streams(data_with_mono, pretraining_texts="mono")
    with pytest.raises(UserError, match="mono: no texts of valid for --pretraining-tasks dae"):
        task.load_dataset("valid_dae", combine=False)


def test_cmlm_reads_a_translation_pair_as_one_text(data):
    parts, _, task = streams(data, mlm_target="text")
    expected = [" ".join(pair) for pair in zip(texts(data, "mt", "en"), texts(data, "mt", "zh"), strict=True)]
    assert [restored(parts["cmlm"], task, i) for i in range(30)] == expected


def test_with_languages_each_text_carries_its_own_and_the_decoder_starts_with_it(data):
    parts, _, task = streams(data, langs="en_XX,zh_CN", pretraining_texts="mt", mlm_share=0.4)
    eos = task.dictionary.eos()
    for stream, languages in (("dae", ["en_XX"] * 30 + ["zh_CN"] * 30), ("cmlm", ["zh_CN"] * 30)):
        for index, language in enumerate(languages):
            pair, ending = parts[stream][index], [eos, task.dictionary.index(f"[{language}]")]
            assert pair["source"].tolist()[-2:] == pair["target"].tolist()[-2:] == ending
            assert pair["prev_output_tokens"].tolist() == [ending[1], *pair["target"].tolist()[:-1]]


@pytest.mark.parametrize("place", ["source", "target", "none"])
@pytest.mark.parametrize("stream", PRETRAINING_TASKS)
def test_tag_and_eos_stand_where_those_of_the_tasks_stand_and_are_never_masked(data, stream, place):
    parts, _, task = streams(data, mlm_share=0.4, dae_drop=0.5, dae_mask=0.5, task_tag=place)
    eos, tag = task.dictionary.eos(), task.dictionary.index(task_tag(stream))
    for index in range(len(parts[stream])):
        source, target, fed = (
            parts[stream][index][key].tolist() for key in ("source", "target", "prev_output_tokens")
        )
        assert source.count(tag) == (place == "source") == (source[0] == tag)
        assert source.count(eos) == target.count(eos) == 1 and source[-1] == target[-1] == eos
        assert fed == [tag if place == "target" else eos, *target[:-1]]


def test_batches_are_cut_by_lengths_that_no_noise_exceeds(data):
    parts, _, _ = streams(data, mlm_share=0.4)
    for stream in PRETRAINING_TASKS:
        pairs = parts[stream]
        for index in range(len(pairs)):
            for position in range(5):
                pair = pairs.at(index, position)
                assert len(pair["source"]) <= pairs.src_sizes[index]
                assert len(pair["target"]) == pairs.tgt_sizes[index]


def test_long_texts_are_cut_to_the_limits_of_source_and_target(data):
    parts, _, _ = streams(data, max_source_positions=6, max_target_positions=7)
    pairs = parts["dae"]
    lengths = [len(pairs[i]["target"]) for i in range(len(pairs))]
    assert max(lengths) == 5 and pairs.src_sizes.max() == 6


def test_noise_is_new_in_every_pass_and_depends_on_place_and_seed_alone(data):
    pairs = streams(data)[0]["mlm"]
    long = int(np.argmax(pairs.src_sizes))
    sources = [pairs.at(long, position)["source"].tolist() for position in range(6)]
    assert len(set(map(tuple, sources))) > 1
    fresh = streams(data)[0]["mlm"]
    assert [fresh.at(long, position)["source"].tolist() for position in (5, 3)] == [sources[5], sources[3]]
    other = streams(data, seed=2)[0]["mlm"]
    assert [other.at(long, position)["source"].tolist() for position in range(6)] != sources


def test_a_turn_of_the_plan_is_the_same_batch_whenever_it_is_asked_for(data):
    _, steps, task = streams(data)
    batches = [batch for step in steps for batch in step["mini_batches"]]
    dataset = next(iter(task.datasets["train"]._steps.values()))
    some = [batch for batch in batches if batch["net_input"]["task"] == "dae"][2]
    plan = dataset.plan("joint", task.ratio, seed=1)
    turns = (turn for step in plan.steps(1) for turn in step)
    turn = next(t for t in turns if t.task == "dae" and t.position == some["position"])
    assert torch.equal(dataset[turn]["net_input"]["src_tokens"], some["net_input"]["src_tokens"])


def test_the_tasks_see_the_batches_that_they_see_without_pre_training(data):
    def first_batches(**settings) -> dict[str, list]:
        _, steps, _ = streams(data, **settings)
        found: dict[str, list] = {}
        for batch in (batch for step in steps for batch in step["mini_batches"]):
            found.setdefault(batch["net_input"]["task"], []).append(batch["id"].tolist())
        return found

    alone, together = first_batches(pretraining_tasks=None), first_batches()
    assert set(together) == {*alone, *PRETRAINING_TASKS}
    for task in SIZES:
        assert together[task][: len(alone[task])] == alone[task]


def test_an_epoch_passes_every_text_once(data):
    _, steps, _ = streams(data)
    batches = [batch for step in steps for batch in step["mini_batches"]]
    seen = [batch["id"].tolist() for batch in batches if batch["net_input"]["task"] == "dae"]
    assert sorted(sum(seen, [])) == list(range(120))


def test_ratios_name_the_streams_too(data):
    _, steps, _ = streams(data, task_ratio="cls:2,dae:3")
    tasks = [batch["net_input"]["task"] for batch in next(iter(steps))["mini_batches"]]
    assert tasks == ["cls"] * 2 + ["mt", "ms", "mlm"] + ["dae"] * 3 + ["cmlm"]


def test_empty_texts_are_left_out(data, tmp_path):
    shutil.copytree(data.parent / "text", tmp_path / "text")
    path = tmp_path / "text/ms/train.en_sum"
    path.write_text("\n".join(["", *path.read_text().splitlines()[1:]]) + "\n")
    parts, _, task = streams(tiny.binarise(tmp_path, SIZES), pretraining_texts="ms")
    assert len(parts["dae"]) == 20 and len(parts["dae"].ordered_indices()) == 19


def test_the_dictionary_grows_at_its_end_and_only_for_pre_training(data):
    plain, more = (streams(data, pretraining_tasks=tasks)[2].dictionary for tasks in (None, "dae"))
    assert more.symbols[: len(plain)] == plain.symbols
    assert more.symbols[len(plain) :] == [MASK, *map(task_tag, PRETRAINING_TASKS)]
    assert plain.pretraining_symbols == 0 and more.pretraining_symbols == 4


def test_a_model_with_latents_meets_pre_training_without_them(data):
    _, steps, task = streams(data)
    model = tiny.make_model(task.dictionary)
    for batch in next(iter(steps))["mini_batches"]:
        logits, extra = model(**batch["net_input"], target=batch["target"])
        pretraining = batch["net_input"]["task"] in PRETRAINING_TASKS
        assert logits.isfinite().all() and bool(extra["latents"].latents) != pretraining


def test_a_model_without_pre_training_takes_a_pre_trained_one_less_its_last_rows(data):
    pretrained = tiny.make_model(streams(data)[2].dictionary)
    model = tiny.make_model(streams(data, pretraining_tasks=None)[2].dictionary, seed=2)
    trained = pretrained.state_dict()
    model.load_state_dict(trained)
    for name, value in model.state_dict().items():
        assert torch.equal(value, trained[name][: len(value)] if value.dim() else trained[name]), name
    assert without_pretraining_symbols(trained, trained) is trained


def test_another_dictionary_is_still_refused(data):
    wanted = tiny.make_model(tiny.make_dictionary(tiny.WORDS[:-4]))
    with pytest.raises(UserError, match="dictionary has"):
        wanted.load_state_dict(tiny.make_model().state_dict())
    with pytest.raises(UserError, match="dictionary has"):
        wanted.load_state_dict(tiny.make_model(streams(data)[2].dictionary).state_dict())
