"""fairseq's commands and vhm convert with hf_mt5, from a folder of HuggingFace's and back to one."""

import json
import math
import shlex
from itertools import islice
from pathlib import Path

import mt5
import pytest
import torch
from commands import (
    PLUGIN,
    REPOSITORY,
    TASK,
    difference,
    error_of,
    hypotheses,
    learned,
    logged,
    of_page,
    printed,
    read,
)
from transformers import GenerationConfig, MT5ForConditionalGeneration

from fairseq_vhm.data.dictionaries import read_dictionary
from fairseq_vhm.data.mt5_vocabulary import write_dictionary

SIZES = {"train": 40, "valid": 8, "test": 9}
STARTS = {"en": "▁<extra_id_69>", "zh-CN": "▁<extra_id_59>"}
PUBLISHED = {"english": [0, STARTS["en"]], "chinese_simplified": [1, STARTS["zh-CN"]]}
"""How CrossSum's languages start, in the form of its published models."""
RUN = """
    --arch hf_mt5 --tasks cls --task-tag target --criterion elbo --optimizer adam --lr 0.003 --dropout 0.1
    --max-tokens 120 --num-workers 0 --seed 3 --no-progress-bar --log-format json --log-interval 1
    --no-epoch-checkpoints
"""
MAX_LEN, BEAM, PENALTY, NGRAM = 30, 4, 0.6, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An mT5 in the form in which CrossSum's are published."""
    folder = tmp_path_factory.mktemp("published") / "mt5"
    mt5.publish(folder, task_specific_params={"langid_map": PUBLISHED})
    return folder


@pytest.fixture(scope="module")
def data(folder, tmp_path_factory):
    """DATA of that mT5's ids for cross_lingual_summarization."""
    data = tmp_path_factory.mktemp("prepared") / "DATA"
    write_dictionary(folder, data.parent / "dict.txt")
    mt5.binarise(folder, data, (data.parent / "dict.txt").read_text(encoding="utf-8"), SIZES)
    return data


@pytest.fixture(scope="module")
def corpus(folder, forked, tmp_path_factory):
    """DATA of that mT5's ids for many_to_many_summarization, English and Chinese in both directions.

    Beside it lie the files that ``docs/mt5.md`` names; its first command made DATA.
    """
    out = tmp_path_factory.mktemp("corpus")
    (out / "FILES").mkdir()
    (out / "MT5").symlink_to(folder)
    pairs = enumerate(zip(*mt5.parallel(1, sum(SIZES.values())), strict=True))
    for split, size in SIZES.items():
        rows = [
            {"source_lang": source, "target_lang": target, "source": text, "target": summary}
            | {"source_id": f"{number}:{source}", "target_id": f"{number}:{target}"}
            for number, (english, chinese) in islice(pairs, size)
            for source, target, text, summary in (
                ("en", "zh-CN", english, chinese),
                ("zh-CN", "en", chinese, english),
            )
        ]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / "FILES" / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    (command,) = of_page("mt5.md", "vhm prepare")
    forked(*shlex.split(command), cwd=out)
    return out / "DATA"


@pytest.fixture(scope="module")
def train(data, forked, folder):
    def command(save_dir, *flags, updates=6, hf_model=folder, **settings):
        start = ["--hf-model", hf_model] if hf_model else []
        arguments = [data, *PLUGIN, *TASK, *RUN.split(), "--save-dir", save_dir, "--max-update", updates]
        return forked("fairseq-train", *arguments, *start, *flags, **settings)

    return command


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory):
    """Trained for 20 updates, with a checkpoint within an epoch, at 11: (process, folder)."""
    folder = tmp_path_factory.mktemp("trained")
    return train(folder, "--save-interval-updates", 11, "--validate-interval", 100, updates=20), folder


@pytest.fixture(scope="module")
def generate(forked):
    def command(data, task, checkpoint):
        search = ["--beam", BEAM, "--lenpen", PENALTY, "--max-len-b", MAX_LEN]
        search += ["--no-repeat-ngram-size", NGRAM]
        return forked("fairseq-generate", data, *PLUGIN, "--task", task, "--path", checkpoint, *search)

    return command


@pytest.fixture(scope="module")
def converted(forked, folder, corpus, tmp_path_factory):
    """vhm convert, both ways: the folder made into a checkpoint, and that into a folder again."""
    out = tmp_path_factory.mktemp("converted")
    (command,) = (one for one in of_page("mt5.md", "vhm convert") if "--from-hf" in one)
    forked(*shlex.split(command, comments=True), cwd=corpus.parent)
    (corpus.parent / "RUN0").rename(out / "fairseq")
    forked("vhm", "convert", out / "fairseq" / "checkpoint.pt", "--to-hf", "--out", out / "back")
    return out


def weights_of(folder) -> dict:
    return MT5ForConditionalGeneration.from_pretrained(folder).state_dict()


# ---- training ----------------------------------------------------------------------------------


def test_fine_tuning_lowers_the_loss_and_logs_no_latents(trained):
    entries = logged(trained[0], "train_inner")
    losses = [entry["loss"] for entry in entries]
    assert len(losses) == 20 and sum(losses[-4:]) < 0.8 * sum(losses[:4])
    assert not any(key.startswith(("kl_cls", "au_")) for key in entries[-1])


def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one_without_the_folder(trained, train, tmp_path):
    (half,) = trained[1].glob("checkpoint_*_11.pt")
    (tmp_path / "checkpoint_last.pt").write_bytes(half.read_bytes())
    process = train(tmp_path, "--validate-interval", 100, updates=20, hf_model=None)
    assert [entry["num_updates"] for entry in logged(process, "train_inner")] == list(range(12, 21))
    whole, resumed = (learned(path / "checkpoint_last.pt") for path in (trained[1], tmp_path))
    assert difference(whole, resumed) is None


def test_a_run_without_learning_keeps_every_weight_of_the_folder(train, folder, tmp_path):
    train(tmp_path, "--lr", 0, updates=1)
    weights, theirs = read(tmp_path / "checkpoint_last.pt")["model"], weights_of(folder)
    assert torch.equal(weights["encoder.stack.embed_tokens.weight"], theirs["shared.weight"])
    assert torch.equal(weights["decoder.lm_head.weight"], theirs["lm_head.weight"])


def test_bf16_trains_with_finite_losses_near_those_of_float32(trained, train, tmp_path):
    process = train(tmp_path, "--bf16", updates=3)
    losses = [entry["loss"] for entry in logged(process, "train_inner")]
    expected = [entry["loss"] for entry in logged(trained[0], "train_inner")][:3]
    assert losses == pytest.approx(expected, rel=0.05) and losses != expected


def test_training_from_scratch_reads_the_config_alone(train, folder, data, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    flags = ("--hf-random-init", "--checkpoint-activations")
    process = train(tmp_path / "run", *flags, updates=1, hf_model=tmp_path)
    even = math.log2(len(read_dictionary(data / "cls" / "dict.en.txt")))
    assert logged(process, "train_inner")[0]["loss"] == pytest.approx(even, rel=0.2)


# ---- decoding and files ------------------------------------------------------------------------


def huggingface_writes(folder: Path, dictionary, symbols: str, start: str) -> str | None:
    """The best hypothesis of HuggingFace's search in symbols; ``None`` where it meets the longest length."""
    search = GenerationConfig(
        num_beams=BEAM,
        length_penalty=PENALTY,
        no_repeat_ngram_size=NGRAM,
        early_stopping=True,
        min_new_tokens=1,
        max_new_tokens=MAX_LEN + 1,
        decoder_start_token_id=dictionary.index(start),
        pad_token_id=0,
        eos_token_id=1,
    )
    ids = dictionary.encode_line(symbols, add_if_not_exist=False).long().unsqueeze(0)
    model = MT5ForConditionalGeneration.from_pretrained(folder).eval()
    out = model.generate(ids, generation_config=search)[0]
    return dictionary.string(out[1:]) if out[-1] == dictionary.eos() else None


def check_against_huggingface(process, folder: Path, dictionary, start_of) -> None:
    """Compare what fairseq-generate printed; ``start_of`` is the start token of each number."""
    found, sources = hypotheses(process), printed(process, "S")
    expected = {i: huggingface_writes(folder, dictionary, text, start_of(i)) for i, text in sources.items()}
    ended = [number for number, text in expected.items() if text is not None]
    assert len(ended) > len(sources) // 2
    assert {i: found[i][0][1] for i in ended} == {i: expected[i] for i in ended}


def test_a_published_model_writes_in_fairseq_what_it_writes_in_huggingface(
    converted, generate, corpus, folder
):
    """Without training, each text from the start token that the published map gives its language."""
    process = generate(corpus, "many_to_many_summarization", converted / "fairseq" / "checkpoint.pt")
    groups = json.loads((corpus / "pairs" / "test.json").read_text())
    targets = [group["target"] for group in groups for _ in range(group["count"])]
    assert sorted(hypotheses(process)) == list(range(2 * SIZES["test"])) and set(targets) == set(STARTS)
    dictionary = read_dictionary(corpus / "dict.txt")
    check_against_huggingface(process, folder, dictionary, lambda number: STARTS[targets[number]])


def test_a_fine_tuned_model_writes_in_huggingface_what_it_writes_in_fairseq(
    trained, generate, forked, folder, data, tmp_path
):
    checkpoint, out = trained[1] / "checkpoint_last.pt", tmp_path / "hf"
    forked("vhm", "convert", checkpoint, "--to-hf", "--tokenizer", folder, "--out", out)
    assert (out / "spiece.model").read_bytes() == (folder / "spiece.model").read_bytes()
    dictionary = read_dictionary(data / "cls" / "dict.en.txt")
    dictionary.mark(None)
    tag = dictionary[dictionary.index("<cls>")]  # --task-tag target
    process = generate(data, TASK[1], checkpoint)
    assert sorted(hypotheses(process)) == list(range(SIZES["test"]))
    check_against_huggingface(process, out, dictionary, lambda number: tag)


def test_to_fairseq_and_back_every_weight_is_bit_for_bit_the_same(converted, folder):
    before, after = weights_of(folder), weights_of(converted / "back")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    config, again = (json.loads((f / "config.json").read_text()) for f in (folder, converted / "back"))
    assert config == again


# ---- errors ------------------------------------------------------------------------------------


CUT = {  # so that they end within seconds, on a CPU
    "--max-update 25000": "--max-update 2 --cpu --num-workers 0",
    "--max-len-b 84": "--max-len-b 4 --cpu --num-workers 0",
}


def test_the_page_trains_in_bf16_decodes_and_converts_for_huggingface(forked, corpus):
    folder = corpus.parent
    (folder / "fairseq_vhm").symlink_to(REPOSITORY / "fairseq_vhm")
    train, decode = of_page("mt5.md", "fairseq-")
    (convert,) = (one for one in of_page("mt5.md", "vhm convert") if "--to-hf" in one)
    for (old, new), command in zip(CUT.items(), (train, decode), strict=True):
        assert old in command
        words, _, log = command.replace(old, new).partition(" > ")
        process = forked(*shlex.split(words), cwd=folder)
    assert log == "test.log" and sorted(hypotheses(process)) == list(range(2 * SIZES["test"]))
    forked(*shlex.split(convert, comments=True), cwd=folder)
    before, after = weights_of(folder / "MT5"), weights_of(folder / "FOLDER")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_half_precision_is_refused_in_one_line(train, tmp_path):
    assert "--fp16: mT5 overflows" in error_of(train(tmp_path, "--fp16", fails=True))


def test_data_of_another_vocabulary_is_one_line(toy_data, forked, folder, tmp_path):
    arguments = [toy_data, *PLUGIN, *TASK, *RUN.split(), "--save-dir", tmp_path, "--max-update", 1]
    message = error_of(forked("fairseq-train", *arguments, "--hf-model", folder, fails=True))
    assert "its dictionary has" in message and "vhm prepare crosssum --mt5 FOLDER" in message


def test_convert_refuses_in_one_line_and_writes_nothing(forked, trained, tmp_path):
    torch.save({"model": {}, "args": None, "cfg": {"model": {}}}, tmp_path / "other.pt")
    checkpoint, out = trained[1] / "checkpoint_last.pt", tmp_path / "out"
    for arguments, message in (
        ([tmp_path / "other.pt", "--to-hf"], "not of --arch hf_mt5"),
        ([checkpoint, "--to-hf", "--from-hf"], "give one of them"),
        ([checkpoint, "--to-hf", "--vocab", "x"], "--vocab: does not go with --to-hf"),
        ([checkpoint, "--from-hf"], "--data: needed"),
        ([checkpoint, "--to-hf", "--tokenizer", tmp_path], "--tokenizer"),
    ):
        process = forked("vhm", "convert", *arguments, "--out", out, fails=True)
        (line,) = process.stderr.strip().splitlines()
        assert process.returncode == 1 and line.startswith("vhm: error: ") and message in line
        assert not out.exists()
