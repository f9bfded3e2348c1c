"""``vhm score`` and ``vhm compare`` with models from disk: tiny ones of random weights."""

import json

import pytest
import tiny_encoders

from fairseq_vhm.metrics.lase import score_lase
from fairseq_vhm.text.encoders import SentenceEncoder
from fairseq_vhm.text.langid import FastTextIdentifier

HYPOTHESES = ["the court opened on monday", "rain fell and rain fell", "das gericht am montag"]
OTHERS = ["the court", "rain fell here", "the court opened and it was monday"]
REFERENCES = ["the court opened on a monday", "rain fell", "the court was open on monday"]
SOURCES = ["das gericht", "rain fell and it was monday", "das gericht am montag"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, lines in {"hyp": HYPOTHESES, "other": OTHERS, "ref": REFERENCES, "src": SOURCES}.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    tiny_encoders.bert(folder / "bert")
    tiny_encoders.sentence_transformer(folder / "labse")
    tiny_encoders.language_model(folder / "lid.bin")
    return folder


def resources(files) -> list:
    return [
        *("--encoder", files / "bert", "--labse", files / "labse", "--lid", files / "lid.bin"),
        *("--src", files / "src", "--device", "cpu"),
    ]


@pytest.fixture(scope="module")
def scored(run, files):
    """``vhm score`` with every resource given and no ``--metrics``: all there are."""
    out = files / "scores.json"
    process = run(
        "vhm", "score", "--hyp", files / "hyp", "--ref", files / "ref", "--lang", "en",
        *resources(files), "--cache", files / "cache", "--json", out,
    )  # fmt: skip
    return process, json.loads(out.read_text())


def test_with_all_resources_every_metric_is_computed_and_shown(scored):
    process, document = scored
    lase = {"lase", "lase_meaning", "lase_language", "lase_length"}
    free = {"rouge1", "rouge2", "rougeL", "bleu", "chrf", "offtarget", "copy", "length"}
    assert set(document["metric"]) == {*free, *lase, "bertscore", "moverscore"}
    rows = {line.split()[0]: line.split() for line in process.stdout.splitlines()}
    for name in (*lase, "moverscore"):
        parts = document["metric"][name]
        shown = [float(cell) for cell in rows[name][1:] if cell != "-"]
        assert shown == pytest.approx([parts[part] for part in ("value", "low", "high")], abs=0.0051)
    assert rows["bertscore"][2] == f"{document['metric']['bertscore']['p']:.2f}"
    assert "Traceback" not in process.stderr


def test_signatures_name_the_models_and_their_weights(scored, files):
    signature = scored[1]["signature"]
    assert "labse" in signature["lase"] and "lid.bin" in signature["lase"]
    assert "bert" in signature["bertscore"] and "bert" in signature["moverscore"]
    assert "lid.bin" in signature["offtarget"]


def test_the_commands_lase_is_the_librarys(scored, files):
    several = [[reference] for reference in REFERENCES]
    sentences = SentenceEncoder(files / "labse", "cpu")
    scores = score_lase(HYPOTHESES, several, "en", sentences, FastTextIdentifier(files / "lid.bin"))
    for score in scores:
        assert scored[1]["metric"][score.name]["value"] == pytest.approx(score.value, abs=1e-4)


def test_off_target_and_copied_outputs_are_found(scored):
    metric = scored[1]["metric"]
    assert metric["offtarget"]["value"] == pytest.approx(100 / 3, abs=0.01)
    assert metric["offtarget"]["in_de"] == 1
    assert metric["copy"]["whole"] == pytest.approx(100 / 3, abs=0.01)  # line 3


def test_embeddings_are_kept_in_the_cache_and_give_the_same_figures(run, scored, files):
    assert any((files / "cache").iterdir())
    out = files / "again.json"
    run(
        "vhm", "score", "--hyp", files / "hyp", "--ref", files / "ref", "--lang", "en", "--metrics", "lase",
        *resources(files), "--cache", files / "cache", "--json", out,
    )  # fmt: skip
    again = json.loads(out.read_text())["metric"]
    assert again == {name: parts for name, parts in scored[1]["metric"].items() if name.startswith("lase")}


def test_compare_takes_the_same_models_and_marks_by_the_better_side(run, files):
    out = files / "compare.json"
    run(
        "vhm", "compare", "--hyp", f"one={files / 'hyp'}", "--hyp", f"two={files / 'other'}",
        "--ref", files / "ref", "--lang", "en", "--metrics", "lase,offtarget,copy", "--test", "bootstrap",
        "--resamples", 200, *resources(files), "--json", out,
    )  # fmt: skip
    document = json.loads(out.read_text())
    by_metric = {one["metric"]: one for one in document["comparisons"]}
    assert by_metric["offtarget"]["better"] == "lower" and by_metric["offtarget"]["difference"] < 0
    assert by_metric["copy"]["better"] == "neither"
    of_system = document["systems"]["two"]["metric"]["lase"]["value"]
    assert by_metric["lase"]["value"] == pytest.approx(of_system, abs=1e-4)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--metrics", "lase"], "--metrics lase needs --labse and --lid"),
        (["--metrics", "copy"], "--metrics copy needs --src"),
        (["--encoder", "nowhere"], "--encoder nowhere"),
        (["--labse", "nowhere", "--lid", "nowhere"], "nowhere"),
        (["--metrics", "offtarget", "--lang", "tlh"], "--lang tlh"),
    ],
)
def test_a_missing_model_is_one_line_before_anything_is_scored(run, files, flags, said):
    process = run(
        "vhm", "score", "--hyp", files / "hyp", "--ref", files / "ref", "--lang", "en", *flags, fails=True
    )
    assert process.returncode == 1 and process.stdout == ""
    [line] = process.stderr.strip().splitlines()
    assert said in line


def test_sources_of_another_length_are_refused(run, files):
    (files / "short").write_text("one\n")
    process = run(
        "vhm", "score", "--hyp", files / "hyp", "--ref", files / "ref", "--lang", "en",
        "--src", files / "short", fails=True,
    )  # fmt: skip
    assert "short has 1 lines" in process.stderr
