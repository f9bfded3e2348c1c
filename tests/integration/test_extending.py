"""``examples/extending``: a latent, a task, a metric and a dataset of a user's own, by the real commands."""

import json
import random
import re
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
    text_of_test_set,
    training,
)

from fairseq_vhm.errors import UserError
from fairseq_vhm.tasks.evaluation import FurtherMetrics

EXAMPLES = REPOSITORY / "examples" / "extending"
MOST_LINES = 60


def plugin(name: str) -> tuple:
    """The flag that comes last and wins over ``--user-dir fairseq_vhm``."""
    return "--user-dir", EXAMPLES / name


def of_latent(parameters: dict, name: str) -> set[str]:
    """The networks of a latent in a checkpoint: prior, posterior."""
    found = {re.search(rf"hierarchy\.(\w+)\.{name}\.", parameter) for parameter in parameters}
    return {match[1] for match in found if match}


def test_every_example_is_shorter_than_60_lines_and_in_the_document():
    document = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
    modules = sorted(EXAMPLES.rglob("*.py"))
    assert [module.parent.name for module in modules] == [
        "novelty_metric", "title_task", "topic_latent", "tsv_dataset"
    ]  # fmt: skip
    for module in modules:
        assert len(module.read_text(encoding="utf-8").splitlines()) < MOST_LINES
        assert f"../examples/extending/{module.parent.name}/__init__.py" in document


@pytest.fixture(scope="module")
def with_topic(toy_data, forked, tmp_path_factory):
    """What training with the new latent printed, and its checkpoint."""
    folder = tmp_path_factory.mktemp("topic")
    flags = (*plugin("topic_latent"), "--latents", "mt,ms,topic,cls", "--latent-dim", 8)
    process = forked("fairseq-train", *training(toy_data, folder, *flags, updates=2))
    return process, folder / "checkpoint_last.pt"


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


@pytest.fixture(scope="module")
def with_titles(toy_data, tmp_path_factory):
    """The toy corpus, with its MS data as those of titles too."""
    data = shutil.copytree(toy_data, tmp_path_factory.mktemp("titles") / "DATA")
    shutil.copytree(data / "ms", data / "title")
    return data


def test_a_new_task_is_trained_with_its_own_latent_and_generated(with_titles, forked, tmp_path):
    flags = (*plugin("title_task"), "--tasks", "cls,mt,ms,title", "--latents", "mt,ms,title,cls")
    process = forked("fairseq-train", *training(with_titles, tmp_path, *flags, updates=3))
    first = logged(process, "train_inner")[0]
    assert first["nll_loss_title"] > 0
    assert first["kl_title"] > 0
    assert re.search(r"updates \(cls \d+, mt \d+, ms (\d+), title \1 mini-batches\)", process.stdout)
    checkpoint = tmp_path / "checkpoint_last.pt"
    state = read(checkpoint)
    assert of_latent(state["model"], "title") == {"prior", "posterior"}
    assert "decoder.fusion.projections.title.weight" in state["model"]
    own = forked(
        "fairseq-generate", *decoding(with_titles, checkpoint, *flags[:2], "--eval-task", "title")
    )
    assert len(hypotheses(own)) == TEST_SIZE
    assert printed(own, "S")[0].startswith("<title>")


def test_a_task_that_is_not_registered_is_refused(toy_data, forked):
    command = decoding(toy_data, "none.pt", "--eval-task", "title")
    refused = error_of(forked("fairseq-generate", *command, fails=True))
    assert refused.startswith("--eval-task title: choose from cls, mt, ms")


def test_a_new_metric_is_scored_shown_and_written(forked, tmp_path):
    (tmp_path / "out").write_text("the court sat\na cat\nrain fell\n")
    (tmp_path / "ref").write_text("the court opened\na cat\nit snowed\n")
    process = forked(
        "vhm", *plugin("novelty_metric"), "score", "--hyp", "out", "--ref", "ref", "--lang", "en",
        "--metrics", "rouge,novelty", "--json", "scores.json", cwd=tmp_path,
    )  # fmt: skip
    expected = 100 * (1 / 3 + 0 + 1) / 3
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["metric"]["novelty"]["value"] == pytest.approx(expected, abs=1e-4)
    assert re.search(rf"^novelty +{expected:.2f}", process.stdout, re.MULTILINE)
    assert list(scores["metric"]) == ["rouge1", "rouge2", "rougeL", "novelty"]


def test_validation_by_metrics_is_the_score_of_the_whole_output(toy_data, trained, forked, tmp_path):
    """chrF is made of counts, novelty is a mean: both over the batches as over one text."""
    checkpoint, names = trained / "checkpoint_last.pt", "novelty,chrf"
    flags = [*plugin("novelty_metric"), "--restore-file", checkpoint, "--reset-dataloader", "--lr", 0,
             "--valid-subset", "test", "--eval-metrics", names, "--max-tokens-valid", 60]  # fmt: skip
    process = forked("fairseq-train", *training(toy_data, tmp_path / "run", *flags, updates=61))
    found = logged(process, "test")[-1]
    restored = tmp_path / "run" / "checkpoint_last.pt"
    done = forked("fairseq-generate", *decoding(toy_data, restored, "--beam", 4, "--lenpen", 0.6))
    (tmp_path / "test.log").write_text(done.stdout)
    (tmp_path / "ref").write_text("\n".join(text_of_test_set(toy_data, language="zh")) + "\n")
    forked(
        "vhm", *plugin("novelty_metric"), "score", "--hyp", "test.log", "--ref", "ref", "--lang", "zh",
        "--metrics", names, "--json", "scores.json", cwd=tmp_path,
    )  # fmt: skip
    scores = json.loads((tmp_path / "scores.json").read_text())["metric"]
    for name in ("novelty", "chrf"):
        assert found[f"test_{name}"] == pytest.approx(scores[name]["value"], abs=0.006)


def test_a_metric_that_validation_does_not_know_is_refused_before_training(toy_data, forked, tmp_path):
    process = forked("fairseq-train", *training(toy_data, tmp_path, "--eval-metrics", "novelty"), fails=True)
    assert error_of(process).startswith("--eval-metrics: unknown metric 'novelty'; choose from rouge,")


def test_a_metric_that_needs_more_than_texts_is_refused_in_validation():
    with pytest.raises(UserError, match="copy needs --src"):
        FurtherMetrics(["copy"], "en")


@pytest.fixture
def tables(tmp_path):
    """A folder of tables whose columns stand in another order than source and target."""
    rng, folder = random.Random(5), tmp_path / "tables"
    folder.mkdir()
    for split, size in (("train", 80), ("valid", 5), ("test", 5)):
        rows = ["zh\tdate\ten"]
        for number in range(size):
            words = rng.choices(["court", "rain", "coast", "prices", "opened", "school"], k=12)
            rows.append(f"{''.join(rng.choices('法院周一开庭海岸下雨', k=6))}\t{number}\t{' '.join(words)}")
        (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def prepared(forked, out, tables, *flags, **how):
    arguments = [out, "--source-lang", "en", "--target-lang", "zh", "--cls", f"tsv:{tables}"]
    arguments += ["--vocab-size", 60, "--workers", 2, *flags]
    return forked("vhm", *plugin("tsv_dataset"), "prepare", "trio", *arguments, **how)


def test_a_new_dataset_is_prepared_by_its_columns(forked, tables, tmp_path):
    prepared(forked, tmp_path / "DATA", tables)
    for split in ("train", "test"):
        forked("vhm", "prepare", "symbols", "DATA", "text", "--task", "cls", "--split", split, cwd=tmp_path)
        rows = [row.split("\t") for row in (tables / f"{split}.tsv").read_text(encoding="utf-8").splitlines()]
        for name, column in (("en", 2), ("zh", 0)):
            pieces = (tmp_path / f"text.{name}").read_text(encoding="utf-8").splitlines()
            texts = [line.replace(" ", "").replace("▁", " ").strip() for line in pieces]
            assert texts == [row[column] for row in rows[1:]]


def test_what_is_wrong_with_a_table_is_named_by_its_line(forked, tables, tmp_path):
    table = tables / "valid.tsv"
    table.write_text(table.read_text(encoding="utf-8") + "下雨\n", encoding="utf-8")
    refused = prepared(forked, tmp_path / "DATA", tables, fails=True)
    assert f"{table}:7: too few columns" in refused.stderr


def test_a_folder_that_is_no_package_is_refused(forked, tmp_path):
    refused = forked("vhm", "--user-dir", tmp_path, "doctor", fails=True)
    assert refused.stderr.startswith(f"vhm: error: --user-dir {tmp_path}: holds no __init__.py")
