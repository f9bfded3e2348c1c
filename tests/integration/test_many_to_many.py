"""--task many_to_many_summarization through fairseq's own commands, on a toy corpus of three languages."""

import hashlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import torch
from commands import PLUGIN, REPOSITORY, difference, error_of, hypotheses, learned, logged, printed
from many import EVENTS, LANGUAGES, SUMMARY_WORDS, write_toy_corpus
from ranks import SGD, largest_deviation, train_in_two

from fairseq_vhm.data.corpus import Corpus

TASK = ("--task", "many_to_many_summarization")
SHORT = """
    --encoder-embed-dim 32 --decoder-embed-dim 32 --dropout 0.1 --optimizer adam --lr 0.01 --clip-norm 1
    --num-workers 0 --seed 3 --no-progress-bar --log-format json --log-interval 1 --min-pair-size 1
    --micro-batches 2 --epoch-updates 8 --batch-size 6
"""


def training(data, save_dir, *flags, updates=10, arch="vhm_transformer_tiny", criterion="elbo") -> list:
    arguments = [data, *PLUGIN, *TASK, "--arch", arch, "--criterion", criterion, "--save-dir", save_dir]
    return [*arguments, "--max-update", updates, *SHORT.split(), *flags]


def decoding(data, checkpoint, *flags) -> list:
    return [data, *PLUGIN, *TASK, "--path", checkpoint, "--beam", 2, *flags]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_corpus(tmp_path_factory.mktemp("many") / "DATA")


@pytest.fixture(scope="module")
def trained(data, forked, tmp_path_factory):
    """A model without latents that has learned the toy language."""
    folder = tmp_path_factory.mktemp("many_run")
    flags = ["--latents", "none", "--batch-size", 24, "--epoch-updates", 200]
    process = forked("fairseq-train", *training(data, folder, *flags, updates=400))
    return folder, process


@pytest.fixture(scope="module")
def generated(data, trained, forked):
    return forked("fairseq-generate", *decoding(data, trained[0] / "checkpoint_last.pt"))


def language_of(text: str) -> set[str]:
    return {re.sub(r"\d+$", "", one) for one in text.split()}


def test_outputs_are_in_the_language_of_their_pair(data, generated):
    table = Corpus.open(data).pairs("test")
    outputs = hypotheses(generated)
    assert sorted(outputs) == list(range(len(table)))
    right = 0
    for number, [(_, text)] in outputs.items():
        source, target = table.directions[int(table.group_of(number))]
        right += language_of(text) == {target}
    assert right / len(outputs) > 0.9


def test_references_are_the_summaries_of_the_pairs(data, generated):
    corpus = Corpus.open(data)
    table = corpus.pairs("test")
    for number, text in printed(generated, "T").items():
        target = table.directions[int(table.group_of(number))][1]
        assert text == corpus.summary_texts(target)[int(table.texts[number][1])]


def test_a_corpus_of_other_symbols_is_refused_though_they_are_as_many(data, trained, forked, tmp_path):
    other = shutil.copytree(data, tmp_path / "DATA")
    symbols, header = other / "dict.txt", other / "corpus.json"
    before = symbols.read_bytes()
    first, second, *rest = before.splitlines(keepends=True)
    symbols.write_bytes(b"".join([second, first, *rest]))
    digests = (hashlib.sha256(content).hexdigest() for content in (before, symbols.read_bytes()))
    header.write_text(header.read_text().replace(*digests))
    command = decoding(other, trained[0] / "checkpoint_last.pt")
    refused = error_of(forked("fairseq-generate", *command, fails=True))
    assert refused.startswith(f"{other}: its dictionary holds other symbols")


@pytest.mark.parametrize("pairs", ["zh-en", "*-fr", "en-zh,zh-en"])
def test_chosen_pairs_keep_their_numbers_and_outputs(data, trained, generated, forked, pairs):
    some = forked("fairseq-generate", *decoding(data, trained[0] / "checkpoint_last.pt", "--pairs", pairs))
    table, everything = Corpus.open(data).pairs("test"), hypotheses(generated)
    wanted = [
        number
        for k, direction in enumerate(table.directions)
        for number in range(table.offsets[k], table.offsets[k + 1])
        if "-".join(direction) in pairs.split(",") or pairs == f"*-{direction[1]}"
    ]
    found = hypotheses(some)
    assert sorted(found) == wanted
    assert {n: found[n][0][1] for n in wanted} == {n: everything[n][0][1] for n in wanted}


def test_a_line_says_its_target_language(data, trained, forked, tmp_path):
    article = " ".join(f"en{number}" for number in (3, 1, 4, 1, 5))
    lines = [f"<2{language}> {article}" for language in LANGUAGES] + [article]
    (tmp_path / "input").write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = ["--input", tmp_path / "input", "--target-lang", "zh", "--buffer-size", 4, "--max-tokens", 100]
    process = forked("fairseq-interactive", *decoding(data, trained[0] / "checkpoint_last.pt", *flags))
    outputs = {number: best[0][1] for number, best in hypotheses(process).items()}
    assert outputs[3] == outputs[2]
    assert [language_of(outputs[k]) for k in range(3)] == [{language} for language in LANGUAGES]


@pytest.mark.parametrize(
    ("line", "flags", "named"),
    [
        ("<2xx> en1 en2", [], "'xx' is none of the model's languages"),
        ("en1 en2", [], "<2en>"),
        ("<2en> ", [], "line 1: empty"),
        ("en1", ["--target-lang", "xx"], "'xx' is none of the model's languages"),
    ],
)
def test_a_line_of_no_language_or_text_is_refused(data, trained, forked, tmp_path, line, flags, named):
    (tmp_path / "input").write_text(line + "\n", encoding="utf-8")
    flags = ["--input", tmp_path / "input", *flags]
    arguments = decoding(data, trained[0] / "checkpoint_last.pt", *flags)
    process = forked("fairseq-interactive", *arguments, fails=True)
    assert named in process.stderr.splitlines()[-1]


def test_interactive_is_generation(data, trained, generated, forked, tmp_path):
    """Of lines of unequal length in one batch, whose start tokens ride in front of them."""
    corpus = Corpus.open(data)
    table, lines = corpus.pairs("test"), []
    for number in range(len(table)):
        source, target = table.directions[int(table.group_of(number))]
        ids = corpus.articles(source)[int(table.texts[number][0])]
        text = printed(generated, "S")[number]
        assert len(text.split()) == len(ids) - 1
        lines.append(f"<2{target}> {text}")
    (tmp_path / "input").write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = ["--input", tmp_path / "input", "--buffer-size", 100, "--max-tokens", 200]
    process = forked("fairseq-interactive", *decoding(data, trained[0] / "checkpoint_last.pt", *flags))
    found = {number: best[0] for number, best in hypotheses(process).items()}
    expected = {number: best[0] for number, best in hypotheses(generated).items()}
    assert {n: text for n, (_, text) in found.items()} == {n: text for n, (_, text) in expected.items()}
    scores = [abs(found[n][0] - expected[n][0]) for n in found]
    assert max(scores) < 1e-3


def test_training_learns_and_says_what_it_uses(data, trained):
    updates = logged(trained[1], "train_inner")
    losses = [update["nll_loss_cls"] for update in updates if "nll_loss_cls" in update]
    assert losses[-1] < losses[0] / 3
    table = Corpus.open(data).pairs("train")
    said = f"train: {len(table):,} examples of {len(table.directions)} directions; left out for "
    assert said in trained[1].stdout + trained[1].stderr


def test_directions_of_few_examples_are_left_out_and_said(data, forked, tmp_path):
    process = forked("fairseq-train", *training(data, tmp_path, "--latents", "none", "--min-pair-size", 40))
    counts = Corpus.open(data).pairs("train").counts
    used, left = counts[counts >= 40], counts[counts < 40]
    said = f"{used.sum():,} examples of {len(used)} directions; left out for --min-pair-size 40: "
    assert f"{said}{left.sum():,} of {len(left)} directions" in process.stdout + process.stderr
    assert 0 < len(left) < len(counts)


PYTHON = """
import sys
from fairseq_vhm import VHMTransformerModel
model = VHMTransformerModel.from_pretrained(sys.argv[1], "checkpoint_last.pt", data_name_or_path=sys.argv[2])
for language in ("fr", "zh"):
    print(model.summarize(["en3 en1 en4 en1 en5"], target_language=language)[0])
try:
    model.summarize(["en3"])
except Exception as error:
    print(error)
"""


def test_python_asks_for_a_target_language(data, trained):
    command = [sys.executable, "-c", PYTHON, str(trained[0]), str(data)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    french, chinese, refusal = done.stdout.strip().splitlines()[-3:]
    assert (language_of(french), language_of(chinese)) == ({"fr"}, {"zh"}), done.stderr
    assert "no target language" in refusal


# ---- VHM ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vhm(data, forked, tmp_path_factory):
    """VHM on all three tasks of the corpus."""
    folder = tmp_path_factory.mktemp("many_vhm")
    flags = ["--tasks", "cls,mt,ms", "--save-interval-updates", 3]
    return folder, forked("fairseq-train", *training(data, folder, *flags))


def test_vhm_trains_and_validates_all_three_tasks(vhm):
    names = [f"{name}_{task}" for name in ("nll_loss", "kl") for task in ("cls", "mt", "ms")]
    for logger in ("train", "valid"):
        totals = logged(vhm[1], logger)[0]
        assert [name for name in names if f"{logger}_{name}" not in totals] == []


def test_a_resumed_run_equals_an_uninterrupted_one(data, vhm, forked, tmp_path):
    """In the middle of an epoch and of the sampler's streams, with another number of workers."""
    checkpoint = next(vhm[0].glob("checkpoint_1_6.pt"))
    flags = ["--tasks", "cls,mt,ms", "--restore-file", checkpoint, "--num-workers", 1]
    forked("fairseq-train", *training(data, tmp_path, *flags))
    last = [learned(folder / "checkpoint_last.pt") for folder in (vhm[0], tmp_path)]
    assert difference(*last) is None


def test_vhm_decodes(data, vhm, forked):
    checkpoint = vhm[0] / "checkpoint_last.pt"
    process = forked("fairseq-generate", *decoding(data, checkpoint, "--latent-inference", "sample"))
    assert len(hypotheses(process)) == len(Corpus.open(data).pairs("test"))


def test_outputs_do_not_depend_on_the_mini_batch_they_are_in(data, vhm, forked):
    """Pairs within one language are MS: other latents than those of CLS, in whatever batch."""
    table = Corpus.open(data).pairs("test")
    assert len({source == target for source, target in table.directions}) == 2
    arguments = decoding(data, vhm[0] / "checkpoint_last.pt", "--max-len-b", 8, "--batch-size")
    alone, together = (hypotheses(forked("fairseq-generate", *arguments, size)) for size in (1, 64))
    assert {n: best[0][1] for n, best in alone.items()} == {n: best[0][1] for n, best in together.items()}
    assert max(abs(alone[n][0][0] - together[n][0][0]) for n in alone) < 1e-3


def test_lines_of_a_known_source_language_are_decoded_as_its_pairs_are(data, vhm, forked, tmp_path):
    checkpoint, limit = vhm[0] / "checkpoint_last.pt", ("--max-len-b", 8)
    generated = forked("fairseq-generate", *decoding(data, checkpoint, "--pairs", "en-*", *limit))
    expected, sources = hypotheses(generated), printed(generated, "S")
    table, lines = Corpus.open(data).pairs("test"), []
    for number in sorted(expected):
        target = table.directions[int(table.group_of(number))][1]
        lines.append(f"<2{target}> {sources[number].split(maxsplit=1)[1]}")  # behind the task's tag
    (tmp_path / "input").write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = ["--input", tmp_path / "input", "-s", "en", "--buffer-size", 100, "--max-tokens", 200, *limit]
    process = forked("fairseq-interactive", *decoding(data, checkpoint, *flags))
    found = [best[0] for _, best in sorted(hypotheses(process).items())]
    for (score, text), (_, [(wanted, wanted_text)]) in zip(found, sorted(expected.items()), strict=True):
        assert text == wanted_text
        assert score == pytest.approx(wanted, abs=1e-3)


def test_pairs_of_a_split_are_not_decoded_as_another_task(data, vhm, forked):
    arguments = decoding(data, vhm[0] / "checkpoint_last.pt", "--eval-task", "mt")
    assert "--eval-task mt" in forked("fairseq-generate", *arguments, fails=True).stderr.splitlines()[-1]


RELATIVE = 1e-6  # of a parameter tensor's largest value


@pytest.mark.parametrize("ddp", ["legacy_ddp", "pytorch_ddp"])
def test_two_ranks_are_one_rank_with_twice_the_update_freq(data, forked, tmp_path, ddp):
    """With a limit of tokens, so that the ranks have different numbers of mini-batches."""

    def arguments_of(folder):
        return training(data, folder, "--tasks", "cls,mt,ms", "--max-tokens", 50, *SGD, updates=6)

    _, ranks = train_in_two(forked, tmp_path / "two", arguments_of, ddp)
    forked("fairseq-train", *arguments_of(tmp_path / "one"), "--update-freq", 2)
    final = [learned(folder / "checkpoint_last.pt") for folder in (*ranks, tmp_path / "one")]
    assert difference(*final[:2]) is None
    assert largest_deviation(final[0]["model"], final[2]["model"]) < RELATIVE


@pytest.mark.parametrize("tasks", ["cls", "cls,mt,ms"])
def test_mini_batches_by_length_learn_what_those_by_direction_learn(data, forked, tmp_path, tasks):
    found = []
    for way in ("length", "direction"):
        flags = ["--tasks", tasks, "--latents", "none", "--dropout", 0, *SGD, "--batch-by", way]
        process = forked("fairseq-train", *training(data, tmp_path / way, *flags, updates=8))
        words = [update["wpb"] for update in logged(process, "train_inner")]
        found.append((learned(tmp_path / way / "checkpoint_last.pt")["model"], words))
    assert found[0][1] == found[1][1]
    assert largest_deviation(found[0][0], found[1][0]) < RELATIVE


def test_sources_are_cut_as_in_training_and_said_so(data, forked, tmp_path):
    limit = ["--max-source-positions", 4]
    forked("fairseq-train", *training(data, tmp_path, "--latents", "none", *limit, updates=2))
    checkpoint = tmp_path / "checkpoint_last.pt"
    alone, told, longer = (
        forked("fairseq-generate", *decoding(data, checkpoint, *flags))
        for flags in ([], limit, ["--max-target-positions", 3])
    )
    assert hypotheses(alone) == hypotheses(told) and printed(alone, "T") == printed(longer, "T")
    assert "sources longer than 4 tokens were cut there" in alone.stderr + alone.stdout


def test_a_line_longer_than_a_target_may_be_is_read(data, trained, forked, tmp_path):
    (tmp_path / "input").write_text("<2zh>" + " en1" * 600 + "\n", encoding="utf-8")
    checkpoint = trained[0] / "checkpoint_last.pt"
    process = forked("fairseq-interactive", *decoding(data, checkpoint, "--input", tmp_path / "input"))
    assert list(hypotheses(process)) == [0]
    assert "1 of 1 lines longer than 512 tokens were cut there" in process.stdout


def test_references_are_scored(data, trained, forked):
    flags = ["--score-reference", "--pairs", "en-zh"]
    process = forked("fairseq-generate", *decoding(data, trained[0] / "checkpoint_last.pt", *flags))
    scored, references = hypotheses(process), printed(process, "T")
    assert {number: best[0][1] for number, best in scored.items()} == references


# ---- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--latents", "none", "--min-pair-size", 1000], "--min-pair-size 1000"),
        (["--latents", "none", "--pairs", "xx-*"], "--pairs xx-*"),
        (["--tasks", "mt,ms"], "--tasks mt,ms"),
        (["--latents", "mt,ms,cls", "--tasks", "cls"], "--latents"),
        (["--latents", "ms,cls", "--tasks", "cls", "--pairs", "en-zh"], "--latents"),
        (["--latents", "none", "--decoders", "task"], "--decoders task"),
        (["--micro-batches", 0], "--micro-batches 0"),
        (["--source-alpha", -1], "--source-alpha"),
        (["--task-tag", "target"], "--task-tag target"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(data, forked, tmp_path, flags, named):
    process = forked("fairseq-train", *training(data, tmp_path / "run", *flags), fails=True)
    assert named in process.stderr.splitlines()[-1]
    assert not list((tmp_path / "run").glob("*.pt"))


def test_a_corpus_of_other_languages_is_refused(data, trained, forked, tmp_path):
    import many

    other = tmp_path / "OTHER"
    languages, many.LANGUAGES = many.LANGUAGES, ("en", "fr")
    try:
        write_toy_corpus(other)
    finally:
        many.LANGUAGES = languages
    process = forked("fairseq-generate", *decoding(other, trained[0] / "checkpoint_last.pt"), fails=True)
    assert "its languages are en, fr, but the checkpoint was trained with en,fr,zh" in process.stderr


def test_toy_corpus_is_what_the_tests_take_it_for(data):
    table = Corpus.open(data).pairs("test")
    assert len(table.directions) == 6 and ("en", "en") in table.directions
    assert dict(zip(table.directions, table.counts.tolist(), strict=True))["zh", "en"] == EVENTS["test"]
    summaries = [len(text.split()) for text in Corpus.open(data).summary_texts("en")]
    assert set(summaries) == {SUMMARY_WORDS} and torch.is_tensor(Corpus.open(data).articles("en")[0])


def test_commands_of_the_document_run(data, forked, tmp_path):
    text = (REPOSITORY / "docs" / "many_to_many.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    for command in block.replace("\\\n", " ").splitlines():
        words = shlex.split(command.split(">")[0].replace("DATA", str(data)))
        words = [word.replace("runs/", f"{tmp_path}/") for word in words]
        process = forked(*words, "--cpu", "--num-workers", 0)
    assert len(hypotheses(process)) > 0
