"""``vhm compare`` as a user runs it."""

import json
import os
import random
import threading

import pytest
from scipy.stats import ttest_rel

from fairseq_vhm.metrics.rouge import score_rouge

WORDS = ["court", "storm", "rain", "city", "trade", "bank", "vote", "train", "river", "school", "fire"]
COUNT = 60


def spoiled(texts: list[str], share: float, seed: int) -> list[str]:
    """Texts with that share of their words replaced."""
    draw = random.Random(seed)
    return [
        " ".join(draw.choice(WORDS) if draw.random() < share else word for word in text.split())
        for text in texts
    ]


@pytest.fixture(scope="module")
def texts():
    draw = random.Random(1)
    references = [" ".join(draw.choices(WORDS, k=draw.randint(6, 14))) for _ in range(COUNT)]
    shares = {"weak": 0.6, "same": 0.6, "good": 0.3}
    outputs = {name: spoiled(references, share, seed) for seed, (name, share) in enumerate(shares.items())}
    return {"ref": references, **outputs}


@pytest.fixture(scope="module")
def files(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    for name, lines in texts.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    log = [f"H-{number}\t-0.5\t{line}\n" for number, line in enumerate(texts["good"])]
    (folder / "good.log").write_text("noise\n" + "".join(reversed(log)))
    (folder / "short").write_text("one\n")
    return folder


@pytest.fixture(scope="module")
def compared(run, files, tmp_path_factory):
    """The process and the JSON of three systems against the first."""
    folder = tmp_path_factory.mktemp("compared")
    process = run(
        *("vhm", "compare", "--ref", files / "ref", "--lang", "en", "--metrics", "rouge,bleu"),
        *("--hyp", files / "weak", "--hyp", f"same={files / 'same'}", "--hyp", f"Good one={files / 'good'}"),
        *("--json", folder / "out.json", "--latex", folder / "out.tex"),
    )
    return process, json.loads((folder / "out.json").read_text()), (folder / "out.tex").read_text()


def test_scores_are_those_of_vhm_score(compared, run, files, tmp_path):
    _, document, _ = compared
    arguments = ("--hyp", files / "good", "--ref", files / "ref", "--lang", "en", "--metrics", "rouge,bleu")
    run("vhm", "score", *arguments, "--json", tmp_path / "scores.json")
    assert document["systems"]["Good one"] == json.loads((tmp_path / "scores.json").read_text())
    assert (document["n"], document["baseline"]) == (COUNT, "weak")


def test_the_t_test_is_scipys_on_the_scores_of_the_sentences(compared, texts):
    references = [[text] for text in texts["ref"]]
    good, weak = (score_rouge(texts[name], references, "en") for name in ("good", "weak"))
    found = {
        (one["metric"], one["test"]): one for one in compared[1]["comparisons"] if one["system"] == "Good one"
    }
    for first, second in zip(good, weak, strict=True):
        expected = ttest_rel(first.per_segment, second.per_segment)
        ours = found[first.name, "t-test"]
        assert ours["p"] == pytest.approx(expected.pvalue)
        assert (ours["low"], ours["high"]) == pytest.approx(tuple(expected.confidence_interval()))
    assert set(found) - {("bleu", "bootstrap")} == {
        (metric, test) for metric in ("rouge1", "rouge2", "rougeL") for test in ("bootstrap", "t-test")
    }


def test_daggers_mark_what_is_higher_beyond_chance(compared):
    process, document, latex = compared
    rows = {line.split("  ")[0]: line for line in process.stdout.splitlines()[:5]}
    assert rows["Good one"].count("‡") == 4
    assert "†" not in rows["same"] + rows["weak"] and "‡" not in rows["same"] + rows["weak"]
    assert r"$^{\ddagger}$" in latex and "‡" not in latex and latex.startswith("% bootstrap: paired-")
    for comparison in document["comparisons"]:
        assert (comparison["p_corrected"] < 0.01) == (comparison["system"] == "Good one")


def test_the_tables_say_how_they_were_made(compared):
    process, document, _ = compared
    settings = {"test": "both", "correction": "holm", "resamples": 10_000, "seed": 1, "alpha": 0.05}
    assert document["settings"] == settings
    for comparison in document["comparisons"]:
        assert comparison["signature"] in process.stdout and comparison["metric_signature"] in process.stdout
    assert "‡ p < 0.01, by both tests; p corrected by Holm for 2 comparisons of each metric" in process.stdout
    assert "bleu: figures of the whole corpus, tested by the bootstrap alone" in process.stdout
    assert process.stderr == ""


def comparisons(run, files, tmp_path, *arguments, hyps=("weak", "good")) -> list[dict]:
    given = [part for hyp in hyps for part in ("--hyp", files / hyp)]
    options = ("--ref", files / "ref", "--lang", "en", "--metrics", "chrf", "--resamples", 200)
    run("vhm", "compare", *given, *options, "--json", tmp_path / "out.json", *arguments)
    return json.loads((tmp_path / "out.json").read_text())["comparisons"]


def test_another_baseline_turns_the_difference_around(run, files, tmp_path):
    [there] = comparisons(run, files, tmp_path)
    [back] = comparisons(run, files, tmp_path, "--baseline", "good", "--seed", 1)
    assert (there["system"], back["system"]) == ("good", "weak")
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["p"] == back["p"]


def test_all_pairs_are_compared_and_corrected_by_choice(run, files, tmp_path):
    names = ("weak", "same", "good")
    arguments = ("--all-pairs", "--correction", "bonferroni", "--alpha", 0.01)
    found = comparisons(run, files, tmp_path, *arguments, hyps=names)
    assert [(one["system"], one["baseline"]) for one in found] == [
        ("same", "weak"),
        ("good", "weak"),
        ("good", "same"),
    ]
    for one in found:
        assert one["p_corrected"] == pytest.approx(min(1, 3 * one["p"]))
        assert "interval:percentile-99|p:two-sided|correction:bonferroni|family:3" in one["signature"]


def test_a_log_compares_as_its_lines(run, files, tmp_path):
    [lines] = comparisons(run, files, tmp_path)
    [log] = comparisons(run, files, tmp_path, hyps=("weak", "good.log"))
    assert log.pop("system") == "good.log"
    assert {key: lines[key] for key in log} == log


def test_equal_outputs_are_told_and_do_not_differ(run, files, tmp_path):
    process = run(
        *("vhm", "compare", "--hyp", f"a={files / 'good'}", "--hyp", f"b={files / 'good'}"),
        *("--ref", files / "ref", "--lang", "en", "--json", tmp_path / "out.json", "--resamples", 99),
    )
    assert process.stderr == "vhm: warning: a and b hold the same outputs\n"
    found = json.loads((tmp_path / "out.json").read_text())["comparisons"]
    assert {(one["difference"], one["low"], one["high"], one["p"]) for one in found} == {(0, 0, 0, 1)}


def test_references_from_a_pipe_are_read_once(run, files, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[(files / "ref").read_bytes()], daemon=True)
    writer.start()
    process = run(
        *("vhm", "compare", "--hyp", files / "weak", "--hyp", files / "good", "--ref", pipe),
        *("--lang", "en", "--metrics", "chrf", "--resamples", 99),
    )
    writer.join()
    assert "good" in process.stdout


def test_comparing_loads_neither_torch_nor_fairseq(run, files):
    process = run(
        *("vhm", "compare", "--hyp", files / "weak", "--hyp", files / "good", "--ref", files / "ref"),
        *("--lang", "en", "--resamples", 99),
        PYTHONPROFILEIMPORTTIME="1",
    )
    loaded = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert "scipy.stats" in loaded
    assert not {"torch", "fairseq"} & loaded


@pytest.mark.parametrize(
    ("hyps", "arguments", "complaint"),
    [
        (["weak"], [], "--hyp: give two outputs or more to compare"),
        (["weak", "weak"], [], "--hyp: two are named weak; name them, --hyp NAME=FILE"),
        (["weak", "=good"], [], "=good: give it as FILE or NAME=FILE"),
        (["weak", "absent"], [], "absent: cannot be read: No such file or directory"),
        (["weak", "short"], [], "short has 1 lines, "),
        (
            ["weak", "good"],
            ["--baseline", "best"],
            "--baseline best: no output of that name; there are weak, good",
        ),
        (["weak", "good"], ["--metrics", "rogue"], "--metrics: unknown metric 'rogue'"),
        (
            ["weak", "good"],
            ["--metrics", "bleu", "--test", "t-test"],
            "--test t-test: bleu is a figure of the whole",
        ),
        (["weak", "good"], ["--resamples", "0"], "--resamples 0: give 1 or more"),
        (["weak", "good"], ["--alpha", "5"], "--alpha 5.0: a level lies between 0 and 1"),
        (
            ["weak", "good"],
            ["--latex", "nowhere/out.tex"],
            "--latex nowhere/out.tex: there is no folder nowhere",
        ),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(run, files, tmp_path, hyps, arguments, complaint):
    given = [part for hyp in hyps for part in ("--hyp", hyp if "=" in hyp else files / hyp)]
    options = ("--ref", files / "ref", "--lang", "en", "--json", tmp_path / "out.json")
    process = run("vhm", "compare", *given, *options, *arguments, fails=True)
    [line] = process.stderr.strip().splitlines()
    assert process.returncode == 1 and process.stdout == ""
    assert line.startswith("vhm: error: ") and complaint in line
    assert not list(tmp_path.iterdir())
