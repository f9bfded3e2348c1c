"""``vhm report`` as a user runs it, on runs that fairseq trained and decoded."""

import json
import re

import pytest
from commands import decoding, logged, read, training
from reports import spoilt, write_outputs, write_texts

SYSTEMS = {"vhm/seed3": (), "vhm/seed4": ("--seed", 4), "base": ("--latents", "none")}
UPDATES = 8


@pytest.fixture(scope="module")
def trained_runs(forked, toy_data, tmp_path_factory):
    """Folder of runs that fairseq made; what each ``fairseq-train`` printed; and the test set's files."""
    folder = tmp_path_factory.mktemp("reports")
    printed = {}
    for name, flags in SYSTEMS.items():
        run = folder / "runs" / name
        run.mkdir(parents=True)
        flags = ("--validate-interval-updates", 4, "--no-epoch-checkpoints", *flags)
        done = forked("fairseq-train", *training(toy_data, run, *flags, updates=UPDATES))
        (run / "train.log").write_text(done.stdout, encoding="utf-8")
        decoded = forked("fairseq-generate", *decoding(toy_data, run / "checkpoint_last.pt", "--beam", 2))
        (run / "test.log").write_text(decoded.stdout, encoding="utf-8")
        printed[name] = done
    text = toy_data.parent / "text" / "cls"
    return folder / "runs", printed, ("--ref", text / "test.zh", "--src", text / "test.en", "--lang", "zh")


@pytest.fixture(scope="module")
def report(run, trained_runs, tmp_path_factory):
    """The finished process, and the folder that it wrote."""
    runs, _, texts = trained_runs
    out = tmp_path_factory.mktemp("out") / "report"
    return run("vhm", "report", runs, "--out", out, *texts), out


@pytest.fixture(scope="module")
def document(report):
    return json.loads((report[1] / "report.json").read_text(encoding="utf-8"))


def test_every_file_is_written_and_nothing_is_missing(report):
    process, out = report
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    figure = "figures/training_en2zh"
    texts = {"index.html", "report.md", "report.tex", "report.json"}
    assert files == texts | {f"{figure}.png", f"{figure}.svg"}
    complaints = process.stderr.splitlines()  # the toy corpus has no Chinese characters in its Chinese
    assert len(complaints) == len(SYSTEMS) and all("LATIN script" in line for line in complaints)
    assert process.stdout.splitlines()[-1].endswith(str(out / "index.html"))


def test_runs_are_what_their_checkpoints_say(document):
    found = {one["run"]: (one["system"], one["seed"], one["updates"]) for one in document["runs"]}
    assert found == {
        "vhm/seed3": ("VHM", 3, UPDATES),
        "vhm/seed4": ("VHM", 4, UPDATES),
        "base": ("MT-MS-CLS", 3, UPDATES),
    }


def test_parameters_are_those_that_fairseq_counted(document, trained_runs):
    for one in document["runs"]:
        said = re.search(r"num\. shared model params: ([\d,]+)", trained_runs[1][one["run"]].stdout)
        assert one["parameters"] == int(said[1].replace(",", ""))


def test_curves_are_those_that_fairseq_logged(document, trained_runs):
    data = curves(document)
    for name, process in trained_runs[1].items():
        for kind, prefix in (("train_inner", ""), ("valid", "valid_")):
            points = logged(process, kind)
            key = "nll_loss_cls"
            expected = [[p[f"{prefix}{k}"] for p in points] for k in ("num_updates", key)]
            assert data[name][kind][key] == expected
    assert "kl_cls" in data["vhm/seed3"]["train_inner"] and "kl_cls" not in data["base"]["train_inner"]
    assert "au_mt" in data["vhm/seed3"]["valid"]


def test_scores_are_those_of_vhm_score(run, document, trained_runs, tmp_path):
    runs, _, texts = trained_runs
    one, out = document["runs"][-1], tmp_path / "scores.json"
    hyp = runs / one["run"] / "test.log"
    run("vhm", "score", "--hyp", hyp, *texts[:2], "--lang", "zh", "--metrics", "rouge", "--json", out)
    scored = json.loads(out.read_text())
    for metric, parts in scored["metric"].items():
        assert one["scores"][metric] == parts["f"]
        assert one["signature"][metric] == scored["signature"][metric]


def test_the_table_has_seeds_together(document):
    (table,) = [one for one in document["tables"] if one["title"] == "Results on en2zh"]
    assert [row[0] for row in table["rows"]] == ["MT-MS-CLS", "VHM"]
    assert [row[-1] for row in table["rows"]] == ["1", "2"]


def test_markdown_latex_and_page_hold_the_same_tables(report, document):
    _, out = report
    texts = {name: (out / name).read_text(encoding="utf-8") for name in ("report.md", "report.tex")}
    for table in document["tables"]:
        assert all(table["title"] in text for text in texts.values())
        cells = [cell for row in table["rows"] for cell in row if re.fullmatch(r"[\d.]+", cell)]
        assert cells and all(cell in text for cell in cells for text in texts.values())
    data = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', (out / "index.html").read_text(), re.S
    )
    assert json.loads(data[1])["tables"] == document["tables"]


@pytest.fixture(scope="module")
def others(run, forked, toy_data, tmp_path_factory):
    """The report of further runs, and the folder of the runs.

    The seed of the first run with its log in other forms, a resumed run, one with shared tables.
    """
    folder = tmp_path_factory.mktemp("others")
    runs = {name: folder / "runs" / name for name in ("simple", "kept", "resumed", "shared")}
    for one in runs.values():
        one.mkdir(parents=True)
    validation = ("--validate-interval-updates", 4, "--no-epoch-checkpoints")
    for name, flags, updates in (
        ("simple", (*validation, "--log-format", "simple"), UPDATES),
        ("kept", (*validation, "--log-file", runs["kept"] / "kept.log"), UPDATES),
        ("resumed", (), UPDATES // 2),
        ("resumed", (), UPDATES),
        ("shared", ("--share-all-embeddings",), 1),
    ):
        done = forked("fairseq-train", *training(toy_data, runs[name], *flags, updates=updates))
        if name != "kept":
            with (runs[name] / "train.log").open("a", encoding="utf-8") as log:
                log.write(done.stdout)
    process = run("vhm", "report", folder / "runs", "--out", folder / "out")
    return process, json.loads((folder / "out" / "report.json").read_text()), runs


def curves(document: dict) -> dict:
    """Curves by run, of one test set."""
    return document["figures"]["training_en2zh"]["data"]


@pytest.mark.parametrize("form", ["simple", "kept"])
def test_other_forms_of_a_log_give_the_same_curves(form, others, document):
    assert curves(others[1])[form] == curves(document)["vhm/seed3"]


def test_a_resumed_run_has_each_update_once(others):
    updates, _ = curves(others[1])["resumed"]["train_inner"]["kl_weight"]
    assert updates == [float(update) for update in range(1, UPDATES + 1)]
    assert "vhm: warning: resumed: no outputs and no scores" in others[0].stderr


def test_shared_tables_are_counted_once(others):
    _, document, runs = others
    (found,) = [one for one in document["runs"] if one["run"] == "shared"]
    said = re.search(r"num\. shared model params: ([\d,]+)", (runs["shared"] / "train.log").read_text())
    assert found["parameters"] == int(said[1].replace(",", ""))
    weights = read(runs["shared"] / "checkpoint_last.pt")["model"]
    assert sum(tensor.numel() for tensor in weights.values()) > found["parameters"]


def test_outputs_of_others_need_neither_fairseq_nor_torch(run, tmp_path):
    references = write_texts(tmp_path / "DATA")
    for name, share in (("ours", 0.1), ("theirs", 0.5)):
        (tmp_path / "runs" / name).mkdir(parents=True)
        texts = "\n".join(spoilt(references, share)) + "\n"
        (tmp_path / "runs" / name / "test.hyp").write_text(texts)
    ref = tmp_path / "DATA" / "text" / "cls.test.en"
    process = run(
        *("vhm", "report", tmp_path / "runs", "--out", tmp_path / "out", "--ref", ref, "--lang", "en"),
        *("--baseline", "theirs"),
        PYTHONPROFILEIMPORTTIME="1",
    )
    loaded = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert "matplotlib" in loaded and not {"torch", "fairseq"} & loaded
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {one["system"] for one in document["comparisons"]} == {"ours"}
    assert document["tables"][0]["rows"][0][1].endswith("‡")


def test_a_report_inside_the_runs_is_no_run_when_it_is_made_again(run, tmp_path):
    references = write_texts(tmp_path / "DATA")
    write_outputs(tmp_path / "runs" / "a", references)
    texts = ("--ref", tmp_path / "DATA" / "text" / "cls.test.en", "--lang", "en")
    pages = []
    for _ in range(2):
        run("vhm", "report", tmp_path / "runs", "--out", tmp_path / "runs" / "report", *texts)
        pages.append((tmp_path / "runs" / "report" / "index.html").read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("absent", "--out", "out"), "absent: no such folder"),
        (("empty", "--out", "out"), "empty: holds no checkpoint, log, outputs or scores"),
        (("runs", "--out", "no/where"), "--out {}/no/where: there is no folder"),
        (("runs", "--out", "runs/a/test.log"), "runs/a/test.log: is a file"),
        (("runs", "--out", "out", "--ref", "absent", "--lang", "en"), "absent: cannot be read"),
        (("runs", "--out", "out", "--ref", "ref"), "the language of its outputs is unknown; give --lang"),
        (("runs", "--out", "out", "--settings", "absent"), "absent: there is no such file"),
        (("runs", "--out", "out", "--baseline", "ours"), "--baseline ours: no such system; there are a"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(run, arguments, complaint, tmp_path):
    (tmp_path / "empty").mkdir()
    write_outputs(tmp_path / "runs" / "a", ["one", "two"])
    (tmp_path / "ref").write_text("one\ntwo\n")
    paths = {"absent", "empty", "out", "no/where", "runs", "runs/a/test.log", "ref"}
    process = run(
        "vhm", "report", *(tmp_path / one if one in paths else one for one in arguments), fails=True
    )
    (line,) = process.stderr.strip().splitlines()
    assert process.returncode == 1 and process.stdout == ""
    assert line.startswith("vhm: error: ") and complaint.format(tmp_path) in line
    assert not (tmp_path / "out").exists()


def test_names_of_folders_send_no_escape_sequences_to_the_screen(run, tmp_path):
    folder = tmp_path / "runs" / "a\x1b]0;taken\x07"
    write_outputs(folder, ["one", "two"])
    (folder / "scores.json").write_text("{}")
    process = run("vhm", "report", tmp_path / "runs", "--out", tmp_path / "out")
    assert r"a\x1b]0;taken\x07: scores.json" in process.stderr
    assert (process.stdout + process.stderr).replace("\n", "").isprintable()
