"""``vhm score`` as a user runs it."""

import json
from pathlib import Path

import pytest

HYPOTHESES = ["the court opened on monday .", "a storm is coming", "nothing"]
REFERENCES = ["the courts open on monday .", "the storm comes", "it rained all day ."]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("score")
    (folder / "hyp").write_text("\n".join(HYPOTHESES) + "\n")
    (folder / "ref").write_text("\n".join(REFERENCES) + "\n")
    lines = [{"refs": [one, two]} for one, two in zip(REFERENCES, HYPOTHESES, strict=True)]
    (folder / "refs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    log = [f"H-{n}\t-0.{n + 1}\t{text}\n" for n, text in reversed(list(enumerate(HYPOTHESES)))]
    (folder / "log").write_text("noise\n" + "".join(log))
    return folder


def error_line(process) -> str:
    """The one line of an error, checked to be one, with exit status 1 and nothing on stdout."""
    assert process.returncode == 1
    assert process.stdout == ""
    [line] = process.stderr.strip().splitlines()
    return line


def test_a_table_with_signatures_and_json_with_the_same_figures(run, files, tmp_path):
    out = tmp_path / "scores.json"
    process = run(
        "vhm",
        "score",
        "--hyp",
        files / "hyp",
        "--ref",
        files / "ref",
        "--lang",
        "en",
        "--json",
        out,
    )
    document = json.loads(out.read_text())
    assert document["n"] == 3
    rows = {line.split()[0]: line.split() for line in process.stdout.splitlines()}
    for name in ("rouge1", "rouge2", "rougeL"):
        parts = document["metric"][name]
        shown = [f"{parts[part]:.2f}" for part in ("f", "p", "r", "low")]
        assert rows[name][1:5] == shown
    # By hand, stemmed: 5 words of 5 and 5, 2 of 4 and 3, 0 of 1 and 4; a bootstrap of three is rough.
    assert document["metric"]["rouge1"]["f"] == pytest.approx(100 * (1 + 4 / 7 + 0) / 3, abs=3)
    assert document["signature"]["bleu"] in process.stdout
    assert process.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


def test_a_log_scores_as_its_lines(run, files, tmp_path):
    documents = []
    for hyp in ("hyp", "log"):
        out = tmp_path / hyp
        arguments = ("--hyp", files / hyp, "--ref", files / "ref", "--lang", "en", "--json", out)
        run("vhm", "score", *arguments, "--metrics", "bleu,chrf,length")
        documents.append(json.loads(out.read_text()))
    assert documents[0] == documents[1]


def test_several_references_swapped_roles_and_chosen_metrics_are_in_the_signature(run, files):
    process = run(
        *(
            "vhm",
            "score",
            "--hyp",
            files / "hyp",
            "--ref",
            files / "refs.jsonl",
            "--ref",
            files / "ref",
        ),
        *("--lang", "en_sum", "--metrics", "rouge", "--swap-roles", "--multi-ref", "mean"),
    )
    assert "|refs:3|multi:mean|roles:swapped|tok:en-rouge155" in process.stdout
    assert "bleu" not in process.stdout


def test_the_best_of_references_that_hold_the_output_is_100(run, files):
    process = run(
        "vhm", "score", "--hyp", files / "hyp", "--ref", files / "refs.jsonl", "--lang", "en"
    )
    assert process.stdout.splitlines()[1].split()[:2] == ["rouge1", "100.00"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"--metrics": "rouge,rogue"}, "--metrics: unknown metric 'rogue'; choose from"),
        ({"--hyp": "short"}, "short has 1 lines, "),
        ({"--hyp": "empty"}, "empty: is empty"),
        ({"--ref": "broken"}, "broken, line 2: not UTF-8"),
        ({"--ref": "absent"}, "absent: cannot be read: No such file or directory"),
        ({"--lang": "english"}, "--lang english: not a language code"),
        ({"--hyp": "pieces"}, "pieces: holds sentencepiece pieces"),
        ({"--json": "nowhere/out.json"}, "out.json: there is no folder "),
    ],
)
def test_bad_input_is_one_line_and_exit_status_1(run, files, changes, complaint):
    (files / "short").write_text("one\n")
    (files / "empty").write_text("")
    (files / "broken").write_bytes(b"a\n\xe4\xb8\nc\n")
    (files / "pieces").write_text("▁a ▁b\n" * 3)
    options = {"--hyp": "hyp", "--ref": "ref", "--lang": "en", "--metrics": "length"} | changes
    for name in {"--hyp", "--ref", "--json"} & set(options):
        options[name] = files / options[name]
    arguments = [part for option in options.items() for part in option]
    line = error_line(run("vhm", "score", *arguments, fails=True))
    assert line.startswith("vhm: error: ") and complaint in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_leaves_the_scores_on_the_screen_and_says_what_to_do(run, files):
    texts = ("--hyp", files / "hyp", "--ref", files / "ref", "--lang", "en", "--metrics", "length")
    process = run("vhm", "score", *texts, "--json", "/dev/full", fails=True)
    said = "/dev/full: cannot be written: No space left on device; make room and repeat the command"
    assert process.returncode == 1 and process.stderr.splitlines() == [f"vhm: error: {said}"]
    assert process.stdout == run("vhm", "score", *texts).stdout


def test_scoring_loads_neither_torch_nor_fairseq(run, files):
    process = run(
        *("vhm", "score", "--hyp", files / "hyp", "--ref", files / "ref", "--lang", "en"),
        PYTHONPROFILEIMPORTTIME="1",
    )
    loaded = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert "fairseq_vhm.metrics.rouge" in loaded and "rouge_score" in loaded
    assert not {"torch", "fairseq"} & loaded


def test_the_official_script_gives_the_same_table(run, files):
    from fairseq_vhm.errors import UserError
    from fairseq_vhm.metrics.rouge155 import find_perl, find_script

    try:
        find_perl(), find_script()
    except UserError as error:
        pytest.skip(str(error))
    arguments = ("vhm", "score", "--hyp", files / "hyp", "--ref", files / "ref", "--lang", "en")
    own, official = (
        run(*arguments, "--metrics", "rouge", *flags).stdout.splitlines()
        for flags in ((), ("--official",))
    )
    assert own[:5] == official[:5]
    assert "scorer:ROUGE-1.5.5.pl" in official[5]


def test_a_real_log_of_fairseq_generate_is_scored(forked, run, toy_data, trained, tmp_path):
    forked(
        *("fairseq-generate", toy_data, "--user-dir", "fairseq_vhm", "--cpu"),
        *("--task", "cross_lingual_summarization", "--path", trained / "checkpoint_last.pt"),
        *("--beam", 3, "--nbest", 2, "--results-path", tmp_path, "--max-len-b", 10),
    )
    log = tmp_path / "generate-test.txt"
    references = {}
    for line in log.read_text().splitlines():
        if line.startswith("T-"):
            number, text = line[2:].split("\t")
            references[int(number)] = text
    (tmp_path / "ref").write_text("".join(f"{references[n]}\n" for n in range(len(references))))
    out = tmp_path / "scores.json"
    run("vhm", "score", "--hyp", log, "--ref", tmp_path / "ref", "--lang", "en", "--json", out)
    assert json.loads(out.read_text())["n"] == len(references) == 13
    cut = log.read_text()[: log.read_text().rindex("\nD-")]
    (tmp_path / "cut").write_text(cut)
    process = run(
        "vhm",
        "score",
        "--hyp",
        tmp_path / "cut",
        "--ref",
        tmp_path / "ref",
        "--lang",
        "en",
        fails=True,
    )
    assert "cut short" in error_line(process)


@pytest.mark.parametrize("given", ["its own", "otherwise written", "another's"])
def test_references_that_are_not_those_of_the_log_are_told(forked, files, tmp_path, given):
    """Pieces, cut texts, unknown words, case and width are no other references."""
    told = {
        "its own": REFERENCES,
        "otherwise written": ["▁The ▁COURT s ▁open <unk>", "▁the ▁ｓｔｏｒｍ ▁comes", "▁it ▁rain ed ▁all"],
        "another's": ["法院周一开庭。", "a cat sat on the mat", "prices fell again in june ."],
    }[given]
    lines = [f"T-{n}\t{text}\n" for n, text in enumerate(told)]
    (tmp_path / "log").write_text((files / "log").read_text() + "".join(lines), encoding="utf-8")
    command = ("vhm", "score", "--hyp", tmp_path / "log", "--ref", files / "ref", "--lang", "en")
    said = forked(*command, "--metrics", "rouge").stderr
    assert said.count("none of 3 references is the one that the log has") == (given == "another's")
