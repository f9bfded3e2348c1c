"""``examples/extending``: a latent, a task, a metric and a dataset of a user's own, by the real commands."""

import json
import random
import re
import shlex
import shutil

import pytest
from commands import (
    REPOSITORY,
    TEST_SIZE,
    decoding,
    error_of,
    hypotheses,
    logged,
    printed,
    read,
    training,
)

from fairseq_vhm import plugins
from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.evaluation import evaluate
from fairseq_vhm.metrics.outputs import read_pairs
from fairseq_vhm.metrics.tokens import rule_for
from fairseq_vhm.tasks.evaluation import SummedMetrics
from preprocess.readers import Request, open_spec

EXAMPLES = REPOSITORY / "examples" / "extending"
DOCUMENT = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
MOST_LINES = 60
LOGGED = "--cpu --num-workers 0 --no-progress-bar --log-format json --log-interval 1 --latent-dim 8"


def documented(*words: str) -> list[str]:
    """The command of docs/extending.md that has these words."""
    blocks = re.findall(r"^```bash\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    (command,) = [line for line in lines if all(word in line for word in words)]
    return shlex.split(command.partition(" > ")[0])


def plugin(name: str) -> tuple:
    """The flag that comes last and wins over ``--user-dir fairseq_vhm``."""
    return "--user-dir", EXAMPLES / name


def of_latent(parameters: dict, name: str) -> set[str]:
    """The networks of a latent in a checkpoint: prior, posterior."""
    found = {re.search(rf"hierarchy\.(\w+)\.{name}\.", parameter) for parameter in parameters}
    return {match[1] for match in found if match}


def test_every_example_is_shorter_than_60_lines_and_in_the_document():
    modules = sorted(EXAMPLES.rglob("*.py"))
    assert [module.parent.name for module in modules] == [
        "novelty_metric", "title_task", "topic_latent", "tsv_dataset"
    ]  # fmt: skip
    for module in modules:
        assert len(module.read_text(encoding="utf-8").splitlines()) < MOST_LINES
        assert f"../examples/extending/{module.parent.name}/__init__.py" in DOCUMENT


@pytest.fixture(scope="module")
def workplace(toy_data, tmp_path_factory):
    """A folder as the document's commands find it; the MS data are those of titles too."""
    folder = tmp_path_factory.mktemp("extending")
    shutil.copytree(toy_data, folder / "DATA")
    shutil.copytree(folder / "DATA" / "ms", folder / "DATA" / "title")
    (folder / "examples").symlink_to(REPOSITORY / "examples")
    (folder / "OUTPUT").write_text("the court sat\na cat\nrain fell\n")
    (folder / "reference").write_text("the court opened\na cat\nit snowed\n")
    write_tables(folder / "tables")
    return folder


@pytest.fixture(scope="module")
def with_topic(workplace, forked):
    """What training with the new latent printed, and its checkpoint."""
    process = forked(*documented("fairseq-train", "topic"), *LOGGED.split(), cwd=workplace)
    return process, workplace / "runs" / "topic" / "checkpoint_last.pt"


def test_a_new_latent_is_charged_and_feeds_z_cls(with_topic):
    process, checkpoint = with_topic
    assert logged(process, "train_inner")[0]["kl_topic"] > 0
    assert 0 <= logged(process, "valid")[0]["valid_au_topic"] <= 8
    weights = read(checkpoint)["model"]
    assert of_latent(weights, "topic") == {"posterior"}  # its prior has nothing to learn
    width = weights["encoder.hierarchy.prior.mt.mean.0.weight"].size(1)
    assert weights["encoder.hierarchy.prior.cls.mean.0.weight"].size(1) == width + 3 * 8
    assert weights["encoder.hierarchy.posterior.topic.mean.0.weight"].size(1) == 2 * width


def test_a_checkpoint_needs_its_plugin_and_says_so_by_the_name_of_the_latent(toy_data, forked, with_topic):
    command = decoding(toy_data, with_topic[1])
    outputs = forked("fairseq-generate", *command, *plugin("topic_latent"))
    assert len(hypotheses(outputs)) == TEST_SIZE
    assert "'topic' is not a latent" in error_of(forked("fairseq-generate", *command, fails=True))


def test_a_new_task_is_trained_with_its_own_latent_and_generated(workplace, forked):
    process = forked(*documented("fairseq-train", "title"), *LOGGED.split(), cwd=workplace)
    first = logged(process, "train_inner")[0]
    assert first["nll_loss_title"] > 0
    assert first["kl_title"] > 0
    assert re.search(r"updates \(cls \d+, mt \d+, ms (\d+), title \1 mini-batches\)", process.stdout)
    weights = read(workplace / "runs" / "title" / "checkpoint_last.pt")["model"]
    assert of_latent(weights, "title") == {"prior", "posterior"}
    assert "decoder.fusion.projections.title.weight" in weights
    own = forked(*documented("fairseq-generate", "title"), "--cpu", cwd=workplace)
    assert len(hypotheses(own)) == TEST_SIZE
    assert printed(own, "S")[0].startswith("<title>")


def test_a_task_that_is_not_registered_is_refused(toy_data, forked):
    command = decoding(toy_data, "none.pt", "--eval-task", "title")
    refused = error_of(forked("fairseq-generate", *command, fails=True))
    assert refused.startswith("--eval-task title: choose from cls, mt, ms")


def test_a_new_metric_is_scored_shown_and_written(workplace, forked):
    process = forked(*documented("vhm", "novelty"), "--json", "scores.json", cwd=workplace)
    expected = 100 * (1 / 3 + 0 + 1) / 3
    scores = json.loads((workplace / "scores.json").read_text())
    assert scores["metric"]["novelty"]["value"] == pytest.approx(expected, abs=1e-4)
    assert re.search(rf"^novelty +{expected:.2f}", process.stdout, re.MULTILINE)
    assert list(scores["metric"]) == ["rouge1", "rouge2", "rougeL", "novelty"]


def test_validation_by_metrics_is_the_score_of_the_whole_output(toy_data, forked, tmp_path):
    """chrF is made of counts, novelty is a mean: both over the batches as over one text."""
    names = "novelty,chrf"
    flags = (*plugin("novelty_metric"), "--valid-subset", "test", "--eval-metrics", names)
    arguments = training(toy_data, tmp_path / "run", *flags, "--max-tokens-valid", 60, updates=2)
    found = logged(forked("fairseq-train", *arguments), "test")[-1]
    checkpoint = tmp_path / "run" / "checkpoint_last.pt"
    done = forked("fairseq-generate", *decoding(toy_data, checkpoint, "--beam", 4, "--lenpen", 0.6))
    (tmp_path / "test.log").write_text(done.stdout)
    outputs, references = read_pairs(
        tmp_path / "test.log", [toy_data.parent / "text" / "cls" / "test.zh"], "zh", "none"
    )
    (chrf,) = evaluate(outputs, references, "zh", ["chrf"])
    words_of = rule_for("zh").tokens
    written = [set(words_of(one)) for (one,) in references]
    pairs = zip(map(words_of, outputs), written, strict=True)
    shares = [sum(word not in known for word in words) / len(words) for words, known in pairs]
    assert found["test_chrf"] == pytest.approx(chrf.value, abs=0.006)
    assert found["test_novelty"] == pytest.approx(100 * sum(shares) / len(shares), abs=0.006)


def test_a_metric_that_validation_does_not_know_is_refused_before_training(toy_data, forked, tmp_path):
    process = forked("fairseq-train", *training(toy_data, tmp_path, "--eval-metrics", "novelty"), fails=True)
    assert error_of(process).startswith("--eval-metrics: unknown metric 'novelty'; choose from rouge,")


def test_a_metric_that_needs_more_than_texts_is_refused_in_validation():
    with pytest.raises(UserError, match="copy needs --src"):
        SummedMetrics(["copy"], "en")


def write_tables(folder):
    """Tables whose columns stand in another order than source and target."""
    rng = random.Random(5)
    folder.mkdir()
    for split, size in (("train", 80), ("valid", 5), ("test", 5)):
        rows = ["zh\tdate\ten"]
        for number in range(size):
            words = rng.choices(["court", "rain", "coast", "prices", "opened", "school"], k=12)
            rows.append(f"{''.join(rng.choices('法院周一开庭海岸下雨', k=6))}\t{number}\t{' '.join(words)}")
        (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_a_new_dataset_is_prepared_by_its_columns(workplace, forked, tmp_path):
    command = [str(tmp_path / "DATA") if word == "DATA" else word for word in documented("vhm", "tsv:tables")]
    forked(*command, "--workers", 1, cwd=workplace)
    forked("vhm", "prepare", "symbols", "DATA", "text", "--task", "cls", "--split", "train", cwd=tmp_path)
    table = (workplace / "tables" / "train.tsv").read_text(encoding="utf-8").splitlines()
    for name, column in (("en", 2), ("zh", 0)):
        pieces = (tmp_path / f"text.{name}").read_text(encoding="utf-8").splitlines()
        texts = [line.replace(" ", "").replace("▁", " ").strip() for line in pieces]
        assert texts == [row.split("\t")[column] for row in table[1:]]


def test_what_is_wrong_with_a_table_is_named_by_its_line(workplace):
    plugins.load(EXAMPLES / "tsv_dataset")
    path = workplace / "tables" / "wrong.tsv"
    path.write_text("zh\tdate\ten\n下雨\n雨\t1\train\n", encoding="utf-8")
    reader = open_spec(f"tsv:{path}", Request("cls", "en", "zh"))
    wrong, right = reader.read(reader.files(None))
    assert str(wrong) == f"{path}:2: too few columns: 1"
    assert (right.source, right.target) == ("rain", "雨")
    path.write_text("zh\tdate\n", encoding="utf-8")
    with pytest.raises(UserError, match="its first line names no column 'en'"):
        list(reader.read(reader.files(None)))


def test_a_folder_that_is_no_package_is_refused(forked, tmp_path):
    refused = forked("vhm", "--user-dir", tmp_path, "doctor", fails=True)
    assert refused.stderr.startswith(f"vhm: error: --user-dir {tmp_path}: holds no __init__.py")
