"""A published mBART to summaries by the commands that a user types: trim, prepare, train, decode."""

import json
import math
import re
import shlex
import sys

import mbart
import pytest
import torch
from commands import REPOSITORY, error_of, hypotheses, logged, of_page, printed, read
from fairseq.data import Dictionary

from fairseq_vhm.models import VHMTransformerModel

sys.path.insert(0, str(REPOSITORY / "examples"))

import run as runner  # noqa: E402  (found by the line above)

SIZES = {"train": 30, "valid": 6, "test": 7}
PLUGIN = ("--user-dir", "fairseq_vhm", "--cpu", "--task", "cross_lingual_summarization")
RUN = """
    --arch vhm_mbart_large --criterion elbo --latent-dim 8 --optimizer adam --lr 0.003 --max-tokens 300
    --num-workers 0 --seed 3 --no-progress-bar --log-format json --log-interval 1 --no-epoch-checkpoints
"""


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """A folder with the texts that ``docs/mbart.md`` names."""
    return mbart.write_corpora(tmp_path_factory.mktemp("corpora"), SIZES)


@pytest.fixture(scope="module")
def published(corpora) -> mbart.Published:
    (corpora / "MB").mkdir()
    return mbart.publish(corpora / "MB")


@pytest.fixture(scope="module")
def trimming(published, corpora, forked):
    """``vhm trim`` to the training texts, as the page has it: (process, folder)."""
    (command,) = of_page("mbart.md", "vhm trim")
    return forked(*shlex.split(command), cwd=corpora), corpora / "mbart-en-zh"


@pytest.fixture(scope="module")
def data(trimming, corpora, forked):
    """DATA prepared with the trimmed dictionary and SentencePiece model, as the page has it."""
    (command,) = of_page("mbart.md", "vhm prepare")
    forked(*shlex.split(command), cwd=corpora)
    return corpora / "DATA"


@pytest.fixture(scope="module")
def train(data, forked, trimming):
    """fairseq-train from the trimmed checkpoint."""

    def command(save_dir, *flags, updates=6, init=trimming[1] / "model.pt", **settings):
        arguments = [data, *PLUGIN, *RUN.split(), *mbart.FLAGS, "--save-dir", save_dir]
        arguments += ["--max-update", updates, "--langs", mbart.LANGS, "--init-from", init]
        return forked("fairseq-train", *arguments, *flags, **settings)

    return command


@pytest.fixture(scope="module")
def vhm(train, tmp_path_factory):
    """VHM + mBART, trained for a few updates: (process, folder)."""
    folder = tmp_path_factory.mktemp("vhm")
    return train(folder, "--eval-rouge", "--eval-bleu", "--eval-print-samples"), folder


@pytest.fixture(scope="module")
def generate(data, forked, vhm):
    def command(*flags, checkpoint=vhm[1] / "checkpoint_last.pt", **settings):
        arguments = [data, *PLUGIN, "--path", checkpoint, "--beam", 3, "--max-len-b", 12, *flags]
        return forked("fairseq-generate", *arguments, **settings)

    return command


# ---- trim and train ----------------------------------------------------------------------------


def test_trim_prints_what_is_saved_and_writes_it_as_json(trimming, published):
    process, out = trimming
    figures = json.loads((out / "trim.json").read_text())
    before, after = (figures[when]["symbols"] for when in ("before", "after"))
    assert before == len(published.dictionary) > after
    assert re.search(rf"^symbols +{before} +{after}$", process.stdout, re.MULTILINE)
    assert "weights, gradients, Adam (MiB)" in process.stdout
    assert sorted(p.name for p in out.iterdir()) == ["dict.txt", "model.pt", "spm.model", "trim.json"]


def test_the_json_of_the_command_is_that_of_the_folder(trimming, published, forked, tmp_path):
    out, text = tmp_path / "out", tmp_path / "text"
    text.write_text("the river left\n", encoding="utf-8")
    files = [published.checkpoint, "--dict", published.dict, "--spm", published.spm]
    process = forked("vhm", "trim", *files, "--text", text, "--out", out, "--json")
    assert json.loads(process.stdout) == json.loads((out / "trim.json").read_text())


def test_nothing_is_unknown_in_data_prepared_with_the_trimmed_files(data):
    manifest = json.loads((data / "manifest.json").read_text())
    assert '"unknown": 0' in json.dumps(manifest) and not re.search(r'"unknown": [1-9]', json.dumps(manifest))


def test_the_pages_run_scores_summaries_in_the_language_that_data_was_prepared_for(
    data, monkeypatch, tmp_path
):
    (command,) = of_page("mbart.md", "python examples/run.py")
    steps = []
    monkeypatch.setattr(runner, "run", lambda job, device: steps.extend(runner.commands(job)))
    monkeypatch.setattr(sys, "argv", [*shlex.split(command)[1:], "--data", str(data), "--out", str(tmp_path)])
    monkeypatch.chdir(REPOSITORY)
    runner.main()
    _, scoring, _ = steps[-1]
    assert shlex.join(scoring).count(f" --ref {data}/text/cls.test.zh --lang zh ") == 1


def test_training_says_in_one_line_what_was_initialised(vhm):
    process, _ = vhm
    lines = re.findall(r"initialised from .*/model\.pt: (.*)", process.stdout)
    assert len(lines) == 1
    assert re.fullmatch(r"\d+ parameters loaded, \d+ new, 0 left out", lines[0])
    assert "initialisation: new: encoder.hierarchy.prior.cls." in process.stdout
    assert "embed_tokens.weight: the last 3 rows (tags of the tasks)" in process.stdout
    assert len(logged(process, "train_inner")) == 6


def test_a_run_without_learning_keeps_the_weights_of_the_checkpoint(train, trimming, tmp_path):
    train(tmp_path, "--lr", 0, "--adam-eps", 1e-8, updates=1)
    weights, trained = read(tmp_path / "checkpoint_last.pt")["model"], read(trimming[1] / "model.pt")["model"]
    for name, value in trained.items():
        assert name.endswith("version") or torch.equal(weights[name][: len(value)], value), name


def test_a_resumed_run_needs_the_checkpoint_it_started_from_no_more(train, tmp_path, trimming):
    start = tmp_path / "start.pt"
    start.write_bytes((trimming[1] / "model.pt").read_bytes())
    train(tmp_path / "run", updates=2, init=start)
    start.unlink()
    process = train(tmp_path / "run", updates=4, init=start)
    assert [entry["num_updates"] for entry in logged(process, "train_inner")] == [3, 4]
    assert "initialised" not in process.stdout


def test_fine_tuning_on_cls_alone_has_no_latents(train, generate, tmp_path):
    process = train(tmp_path, "--latents", "none", "--tasks", "cls", "--task-tag", "none")
    weights = read(tmp_path / "checkpoint_last.pt")["model"]
    assert not any("hierarchy" in name or "fusion" in name for name in weights)
    assert re.search(r"parameters loaded, \d+ new, 0 left out", process.stdout)
    sources = printed(generate(checkpoint=tmp_path / "checkpoint_last.pt"), "S")
    assert len(sources) == SIZES["test"] and all("<cls>" not in s for s in sources.values())
    assert all(s.endswith("[en_XX]") for s in sources.values())


def test_fine_tuning_lowers_the_loss(train, tmp_path):
    process = train(tmp_path, "--latents", "none", "--tasks", "cls", updates=40)
    losses = [entry["loss"] for entry in logged(process, "train_inner")]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


# ---- decode ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "target"), [("cls", "zh"), ("ms", "en_sum")])
def test_outputs_and_references_show_no_language_and_sources_do(generate, data, task, target):
    process = generate("--eval-task", task, "--post-process", "sentencepiece")
    references = printed(process, "T")
    path = data / "text" / f"{task}.test.{target}"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [references[i] for i in range(SIZES["test"])] == [" ".join(line.split()) for line in lines]
    outputs = [text for hypos in hypotheses(process).values() for _, text in hypos]
    assert len(outputs) == SIZES["test"]
    assert not any("[" in text or "</s>" in text for text in [*outputs, *references.values()])
    assert all(source.startswith(f"<{task}>") for source in printed(process, "S").values())


def test_a_subset_of_one_task_is_decoded_into_the_language_of_that_task(generate):
    assert hypotheses(generate("--gen-subset", "test_ms")) == hypotheses(generate("--eval-task", "ms"))


def test_the_checkpoint_knows_its_languages(generate):
    assert hypotheses(generate()) == hypotheses(generate("--langs", mbart.LANGS))


def test_other_languages_than_the_checkpoint_s_are_refused(generate):
    message = error_of(generate("--langs", "en_XX,zh_CN", fails=True))
    assert "was trained with --langs de_DE,en_XX,zh_CN" in message


def test_decoding_starts_with_the_target_language_and_not_with_eos(generate, data, vhm):
    """The first score of fairseq-generate is that of a forward pass on [zh_CN] (fairseq's issue 1924)."""
    process = generate("--beam", 1)
    hub = VHMTransformerModel.from_pretrained(
        str(vhm[1]), "checkpoint_last.pt", data_name_or_path=str(data)
    )
    model, dictionary = hub.models[0], hub.task.dictionary
    symbols = printed(process, "S")[0].replace("[en_XX]", "</s> [en_XX]").split()
    source = torch.tensor([[dictionary.index(symbol) for symbol in symbols]])
    encoded = model.encoder(source, torch.tensor([len(symbols)]), task="cls")

    def best_first_score(start: int) -> float:
        logits, _ = model.decoder(torch.tensor([[start]]), encoder_out=encoded)
        scores = logits[0, 0].log_softmax(dim=-1) / math.log(2)
        scores[[dictionary.pad(), dictionary.index("[zh_CN]")]] = -math.inf
        return float(scores.max())

    first = float(printed(process, "P")[0].split()[0])
    assert first == pytest.approx(best_first_score(dictionary.index("[zh_CN]")), abs=1e-3)
    assert first != pytest.approx(best_first_score(dictionary.eos()), abs=1e-3)


def test_interactive_and_python_give_what_generate_gives(generate, data, forked, vhm):
    outputs = hypotheses(generate())
    sources = [text.split(" ", 1)[1].replace(" [en_XX]", "") for text in printed(generate(), "S").values()]
    checkpoint = vhm[1] / "checkpoint_last.pt"
    flags = ["--path", checkpoint, "--beam", 3, "--max-len-b", 12, "--buffer-size", 10, "--batch-size", 4]
    lines = "".join(f"{s}\n" for s in sources)
    process = forked("fairseq-interactive", data, *PLUGIN, *flags, stdin=lines)
    by_source = dict(zip(printed(generate(), "S"), sources, strict=True))
    for position, number in enumerate(by_source):
        assert hypotheses(process)[position][0][1] == outputs[number][0][1]
    hub = VHMTransformerModel.from_pretrained(
        str(vhm[1]), "checkpoint_last.pt", data_name_or_path=str(data)
    )
    texts = (data / "text" / "cls.test.en").read_text(encoding="utf-8").splitlines()
    summaries = hub.summarize(texts, beam=3, lenpen=1, max_len_b=12)
    expected = [outputs[i][0][1].replace(" ", "").replace("▁", " ").strip() for i in range(len(texts))]
    assert [s.strip() for s in summaries] == expected


def test_validation_generates_texts_without_languages(vhm):
    process, _ = vhm
    examples = re.findall(r"example (?:output|reference): +(.*)", process.stdout)
    assert examples and not any("[zh_CN]" in text for text in examples)
    assert all("valid_rougeL" in entry and "valid_bleu" in entry for entry in logged(process, "valid"))


# ---- errors ------------------------------------------------------------------------------------


def test_the_untrimmed_checkpoint_with_trimmed_data_is_one_line_with_both_sizes(train, published, tmp_path):
    message = error_of(train(tmp_path, init=published.checkpoint, fails=True))
    assert f"{len(published.dictionary)} x 16 there" in message and "tags included" in message


def test_target_tags_and_languages_are_refused_together(train, tmp_path):
    assert "the decoder starts with the language" in error_of(
        train(tmp_path, "--task-tag", "target", fails=True)
    )


def test_a_mismatch_that_is_named_is_trained_anew(train, tmp_path):
    flags = ("--encoder-layers", 3, "--init-allow", "encoder.layers.2.*")
    process = train(tmp_path, *flags, updates=1)
    assert "initialisation: new: encoder.layers.2.fc1.weight is missing there" in process.stdout


def test_trim_refuses_another_dictionary_in_one_line_and_writes_nothing(published, forked, corpora, tmp_path):
    dictionary = Dictionary()
    for symbol in ("a", "b"):
        dictionary.add_symbol(symbol)
    dictionary.save(str(tmp_path / "dict.txt"))
    flags = ["--dict", tmp_path / "dict.txt", "--text", corpora / "cls.train.en", "--out", tmp_path / "out"]
    process = forked("vhm", "trim", published.checkpoint, *flags, fails=True)
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith("vhm: error: ") and "has 245 symbols, but" in last
    assert not (tmp_path / "out").exists()
