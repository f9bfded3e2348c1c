"""Which folders are runs, what they hold and what they lack; where they were tested."""

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from reports import (
    inner_line,
    spoilt,
    write_checkpoint,
    write_log,
    write_outputs,
    write_run,
    write_scores,
    write_texts,
)

from fairseq_vhm.errors import UserError
from fairseq_vhm.report.overrides import Overrides, read_overrides
from fairseq_vhm.report.runs import Run, find_runs
from fairseq_vhm.report.texts import Given, find_place, languages_of, test_sets, told_apart

NONE = Overrides()


def test_runs_are_found_at_any_depth_by_what_they_hold(tmp_path):
    write_checkpoint(tmp_path / "zh2en" / "vhm" / "seed2")
    write_checkpoint(tmp_path / "zh2en" / "vhm" / "seed10")
    (tmp_path / "running").mkdir()
    write_log(tmp_path / "running")
    write_outputs(tmp_path / "published", ["a"], "test.hyp")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "log.txt").write_text("nothing of a run\n")
    names = [run.name for run in find_runs(tmp_path, NONE)]
    assert names == ["published", "running", "zh2en/vhm/seed2", "zh2en/vhm/seed10"]


def test_links_are_followed_and_one_that_leads_back_up_ends(tmp_path):
    write_checkpoint(tmp_path / "elsewhere" / "vhm")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "elsewhere" / "vhm")
    (tmp_path / "elsewhere" / "vhm" / "up").symlink_to(tmp_path / "elsewhere")
    assert [run.name for run in find_runs(tmp_path / "runs", NONE)] == ["linked"]


def test_a_folder_that_several_names_lead_to_is_one_run(tmp_path):
    """Counted twice it would be two seeds that agree to the last digit."""
    write_checkpoint(tmp_path / "runs" / "seed1")
    write_checkpoint(tmp_path / "runs" / ".store" / "x")
    (tmp_path / "runs" / "a").mkdir()
    (tmp_path / "runs" / "a" / "again").symlink_to(tmp_path / "runs" / "seed1")
    (tmp_path / "runs" / "latest").symlink_to("seed1")
    (tmp_path / "runs" / "named").symlink_to(".store/x")
    assert [run.name for run in find_runs(tmp_path / "runs", NONE)] == ["named", "seed1"]


def test_results_behind_a_link_below_a_run_are_its_own(tmp_path):
    write_checkpoint(tmp_path / "runs" / "vhm")
    write_outputs(tmp_path / "scratch", ["a"])
    (tmp_path / "runs" / "vhm" / "decoded").symlink_to(tmp_path / "scratch")
    (run,) = find_runs(tmp_path / "runs", NONE)
    assert run.outputs == tmp_path / "runs" / "vhm" / "decoded" / "test.log"


def test_a_name_of_figures_of_any_script_is_sorted(tmp_path):
    for name in ("run²", "²", "run10", "run9"):
        write_outputs(tmp_path / name, ["a"])
    names = [run.name for run in find_runs(tmp_path, NONE)]
    assert names.index("run9") < names.index("run10") and sorted(names) == ["run10", "run9", "run²", "²"]


def test_of_several_outputs_it_is_said_which_are_taken(tmp_path):
    write_checkpoint(tmp_path / "vhm")
    for beam in (4, 8):
        write_outputs(tmp_path / "vhm" / f"beam{beam}", ["a"])
    write_outputs(tmp_path / "vhm", ["a"], "z.hyp")
    (run,) = find_runs(tmp_path, NONE)
    assert run.outputs == tmp_path / "vhm" / "beam4" / "test.log"
    assert "outputs are taken from beam4/test.log, not from z.hyp, beam8/test.log" in run.missing


def test_outputs_named_in_report_toml_take_the_place_of_a_runs_own(tmp_path):
    write_outputs(tmp_path / "runs" / "a", ["a"])
    (tmp_path / "runs" / "report.toml").write_text('[runs.a]\noutputs = "../other"\n')
    (tmp_path / "other").write_text("b\n")
    (run,) = find_runs(tmp_path / "runs", read_overrides(tmp_path / "runs" / "report.toml"))
    assert run.name == "a" and run.outputs.resolve() == tmp_path / "other"


@pytest.mark.parametrize("table", [".", "zh2en"])
def test_outputs_for_several_runs_are_refused(table, tmp_path):
    """All of them would have the same scores."""
    for name in ("a", "b"):
        write_checkpoint(tmp_path / "zh2en" / name)
    (tmp_path / "hyp").write_text("b\n")
    settings = f'[runs."{table}"]\noutputs = "hyp"\n'
    (tmp_path / "report.toml").write_text(settings)
    with pytest.raises(UserError, match=r"outputs are of one run, not of .*zh2en/a, zh2en/b"):
        find_runs(tmp_path, read_overrides(tmp_path / "report.toml"))


def test_outputs_of_a_folder_that_is_a_run_itself_are_named_by_a_dot(tmp_path):
    write_checkpoint(tmp_path / "vhm")
    (tmp_path / "vhm" / "published").write_text("b\n")
    (tmp_path / "vhm" / "report.toml").write_text('[runs."."]\noutputs = "published"\n')
    (run,) = find_runs(tmp_path / "vhm", read_overrides(tmp_path / "vhm" / "report.toml"))
    assert run.name == "vhm" and run.outputs == tmp_path / "vhm" / "published"


def test_scores_of_a_pair_without_its_languages_are_named_and_left_out(tmp_path):
    write_scores(tmp_path / "m2m" / "scores.zh-Hant-en.json", rouge2=7)
    write_scores(tmp_path / "m2m" / "scores.zh-en.json", rouge2=8)
    (run,) = find_runs(tmp_path, NONE)
    assert list(run.pairs) == [("zh", "en")]
    assert run.missing == ["scores.zh-Hant-en.json: does not say which languages it is of (source, target)"]


def test_a_folder_that_is_a_run_itself_is_one(tmp_path):
    write_checkpoint(tmp_path / "vhm")
    (run,) = find_runs(tmp_path / "vhm", NONE)
    assert run.name == "vhm" and run.checkpoint.updates == 400


def test_results_below_a_run_are_its_own(tmp_path):
    write_checkpoint(tmp_path / "vhm")
    write_outputs(tmp_path / "vhm" / "decoded", ["a"], "generate-test.txt")
    write_outputs(tmp_path / "vhm" / "decoded", ["a"], "generate-valid.txt")
    write_scores(tmp_path / "vhm" / "decoded" / "scores.en-fr.json", rouge2=7, lase=50)
    (run,) = find_runs(tmp_path, NONE)
    assert run.outputs.name == "generate-test.txt"
    assert run.pairs["en", "fr"].headlines() == {"rouge2": 7, "lase": 50}
    assert run.missing == ["no training log"]


def test_what_a_run_lacks_is_said(tmp_path):
    (tmp_path / "running").mkdir()
    (tmp_path / "running" / "train.log").write_text(inner_line(150) + "\n")
    write_checkpoint(tmp_path / "bare")
    write_checkpoint(tmp_path / "broken").write_bytes(b"PK")
    write_log(tmp_path / "broken")
    write_checkpoint(tmp_path / "stopped")
    (tmp_path / "stopped" / "train.log").write_text(f"{inner_line(75)}\n{inner_line(50)}\n")
    bare, broken, running, stopped = find_runs(tmp_path, NONE)
    assert running.missing == [
        "no checkpoint: its settings are unknown",
        "training has not ended: its log stops at update 150",
        "no outputs and no scores",
    ]
    assert bare.missing == ["no training log", "no outputs and no scores"]
    assert "cut short or not a checkpoint" in broken.missing[0]
    assert "training has not ended: its log stops at update 50 of 400" in stopped.missing
    assert "its log is of several processes; figures go on from update 50" in stopped.missing


def test_scores_that_are_older_than_the_outputs_are_left_out(tmp_path):
    scores = write_scores(tmp_path / "vhm" / "scores.json", rouge1=1)
    outputs = write_outputs(tmp_path / "vhm", ["a"])
    os.utime(scores, (1, 1))
    os.utime(outputs, (2, 2))
    (run,) = find_runs(tmp_path, NONE)
    assert run.scores == []
    assert run.missing == ["scores.json is older than test.log and left out"]


def test_a_file_that_is_no_scores_is_named(tmp_path):
    write_outputs(tmp_path / "vhm", ["a"])
    for content in ("{", '{"metric": {"rouge1": 3}}', "[]"):
        (tmp_path / "vhm" / "scores.json").write_text(content)
        (run,) = find_runs(tmp_path, NONE)
        assert "scores.json is not what `vhm score --json` writes" in run.missing[0]


def test_no_runs_and_no_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint, log, outputs or scores"):
        find_runs(tmp_path, NONE)
    with pytest.raises(UserError, match="no such folder"):
        find_runs(tmp_path / "absent", NONE)


def test_the_nearest_table_of_report_toml_wins_key_by_key(tmp_path):
    (tmp_path / "ref").write_text("a\n")
    (tmp_path / "hyp").write_text("a\n")
    (tmp_path / "report.toml").write_text(
        '[runs.zh2en]\nreferences = ["ref"]\ntarget_lang = "en"\npost_process = "ncls"\n'
        '[runs."zh2en/tncls"]\nname = "TNCLS"\noutputs = "hyp"\npost_process = "none"\n'
    )
    overrides = read_overrides(tmp_path / "report.toml")
    (run,) = find_runs(tmp_path, overrides)
    assert (run.name, run.override.name, run.outputs) == ("zh2en/tncls", "TNCLS", tmp_path / "hyp")
    assert run.override.references == (tmp_path / "ref",)
    assert (run.override.target_lang, run.override.post_process) == ("en", "none")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[runs", "not TOML"),
        ("[run.a]\n", 'holds tables \\[runs.NAME\\] only, not "run"'),
        ("[runs]\na = 3\n", r'\[runs."a"\]: is not a table'),
        ('[runs.a]\nref = "x"\n', "unknown key ref; choose from name, outputs"),
        ('[runs.a]\nsource = "x"\n', "there is no such file"),
        ("[runs.a]\nname = 3\n", "name must be a text"),
        ('[runs.a]\npost_process = "bpe"\n', "post_process must be one of none, sentencepiece"),
        ('[runs.b]\nname = "x"\n', r'\[runs."b"\] is no run; there are a'),
    ],
)
def test_a_wrong_report_toml_is_one_line(text, complaint, tmp_path):
    write_outputs(tmp_path / "a", ["a"])
    (tmp_path / "report.toml").write_text(text)
    with pytest.raises(UserError, match=complaint):
        find_runs(tmp_path, read_overrides(tmp_path / "report.toml"))


def test_languages_and_texts_come_from_the_data_the_run_was_trained_from(tmp_path):
    references = write_texts(tmp_path / "work" / "DATA")
    write_run(tmp_path / "work" / "runs" / "vhm", "DATA", spoilt(references, 0.1))  # relative, as often
    runs = find_runs(tmp_path / "work" / "runs", NONE)
    (test,) = test_sets(runs, Given(), tmp_path / "work" / "runs")
    assert test.name == "zh2en" and test.lang == "en"
    assert [several[0] for several in test.references] == references
    assert test.sources[3].startswith("第3篇")


def test_the_users_references_are_for_outputs_of_their_language(tmp_path):
    write_texts(tmp_path / "en" / "DATA")
    write_texts(tmp_path / "zh" / "DATA", languages=("en", "zh"))
    for lang in ("en", "zh"):
        write_checkpoint(tmp_path / lang / "vhm", data=str(tmp_path / lang / "DATA"))
    (tmp_path / "ref").write_text("a\nb\n")
    en, zh = find_runs(tmp_path, NONE)
    given = Given(references=(tmp_path / "ref",), lang="en_XX")
    assert find_place(en, given, tmp_path).references == (tmp_path / "ref",)
    assert find_place(zh, given, tmp_path).references == (tmp_path / "zh/DATA/text/cls.test.zh",)
    given = Given(source=tmp_path / "src", lang="en_XX")
    assert find_place(en, given, tmp_path).source == tmp_path / "src"
    assert find_place(zh, given, tmp_path).source == tmp_path / "zh/DATA/text/cls.test.en"


def test_one_direction_on_two_data_sets_is_two_test_sets(tmp_path):
    for name in ("news", "science"):
        write_texts(tmp_path / name)
        write_checkpoint(tmp_path / "runs" / name, data=str(tmp_path / name))
    sets = test_sets(find_runs(tmp_path / "runs", NONE), Given(), tmp_path / "runs")
    assert [one.name for one in sets] == ["zh2en (news)", "zh2en (science)"]


def test_no_two_test_sets_have_one_name(tmp_path):
    """The page finds a test set, and files of figures are named, by it."""
    for name in ("a", "b"):
        write_texts(tmp_path / name / "news")
        write_checkpoint(tmp_path / "runs" / name, data=str(tmp_path / name / "news"))
    write_checkpoint(tmp_path / "runs" / "c", source_lang="zh", target_lang="en")
    sets = test_sets(find_runs(tmp_path / "runs", NONE), Given(), tmp_path / "runs")
    assert [one.name for one in sets] == ["zh2en (news)", "zh2en (news) 2", "zh2en (no reference)"]


def test_numbers_tell_names_apart_in_any_case():
    names = ["a", "A", "a 2", "b", "a"]
    apart = told_apart(names, " ")
    assert apart == ["a", "A 2", "a 2 2", "b", "a 3"]


def test_languages_are_found_beside_other_index_files(tmp_path):
    write_texts(tmp_path / "DATA")
    (tmp_path / "DATA" / "cls" / "lengths.idx").touch()
    write_checkpoint(tmp_path / "runs" / "vhm", data=str(tmp_path / "DATA"))
    (run,) = find_runs(tmp_path / "runs", NONE)
    assert languages_of(run, tmp_path / "DATA") == ("zh", "en")


def test_languages_of_data_of_one_task_are_those_of_its_own_files(tmp_path):
    """As fairseq-preprocess leaves them, without a folder for each task."""
    run = Run("vhm")
    (tmp_path / "cls").mkdir()
    (tmp_path / "cls" / "lengths.idx").touch()
    assert languages_of(run, tmp_path) == languages_of(run, None) == (None, None)
    (tmp_path / "train.en_XX-zh.zh.idx").touch()
    assert languages_of(run, tmp_path) == ("en_XX", "zh")


def test_a_run_of_unknown_language_needs_lang(tmp_path):
    write_outputs(tmp_path / "runs" / "a", ["a"])
    (tmp_path / "ref").write_text("a\n")
    runs = find_runs(tmp_path / "runs", NONE)
    with pytest.raises(UserError, match="the language of its outputs is unknown; give --lang"):
        test_sets(runs, Given(references=(tmp_path / "ref",)), tmp_path)
    (test,) = test_sets(runs, Given(references=(tmp_path / "ref",), lang="en"), tmp_path)
    assert test.name == "to en"


def test_outputs_without_references_are_said_to_lack_them(tmp_path):
    write_outputs(tmp_path / "a", ["a"])
    (run,) = runs = find_runs(tmp_path, NONE)
    test_sets(runs, Given(), tmp_path)
    assert "no reference for its outputs: give --ref" in run.missing[0]


def test_sources_and_references_unequal_in_number_are_refused(tmp_path):
    write_outputs(tmp_path / "a", ["a"])
    (tmp_path / "ref").write_text("a\n")
    (tmp_path / "src").write_text("a\nb\n")
    given = Given(tmp_path / "src", (tmp_path / "ref",), "en")
    with pytest.raises(UserError, match="src has 2 lines, .*ref has 1"):
        test_sets(find_runs(tmp_path, NONE), given, tmp_path)


# ---- what cannot be read -------------------------------------------------------------------------

UNREADABLE = Path("/proc/self/mem")
"""A file that opens and gives an error when it is read, to root too."""
NAMED = ("checkpoint_best.pt", "scores.json", "scores.en-fr.json", "test.hyp")

without_proc = pytest.mark.skipif(not UNREADABLE.exists(), reason="only Linux has it")


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def put(kind: str, path: Path) -> None:
    """Something else than a file that can be read."""
    match kind:
        case "folder":
            path.mkdir()
        case "link to nothing":
            path.symlink_to("gone")
        case "link to itself":
            path.symlink_to(path.name)
        case "link to a name too long":
            path.symlink_to("x" * 300)
        case "pipe":
            os.mkfifo(path)


KINDS = ("folder", "link to nothing", "link to itself", "link to a name too long", "pipe")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_under_a_files_name_is_named_and_nothing_waits_for_it(tmp_path, kind):
    write_log(make(tmp_path / "vhm"))
    for name in (*NAMED, "scores.pairs.json", "notes.log"):
        put(kind, tmp_path / "vhm" / name)
    (run,) = find_runs(tmp_path, NONE)
    for name in NAMED:
        assert f"{name} is no file, nor a link to one, and left out" in run.missing
    assert run.log.updates == 400 and not (run.checkpoint or run.outputs or run.scores or run.pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_that_are_no_file_are_refused(tmp_path, kind):
    put(kind, tmp_path / "report.toml")
    with pytest.raises(UserError, match=f"^{tmp_path}/report.toml: is no file, nor a link to one; write"):
        read_overrides(tmp_path / "report.toml")


@without_proc
def test_what_the_system_does_not_let_be_read_is_named(tmp_path):
    write_log(make(tmp_path / "vhm"))
    for name in (*NAMED, "more.log", "scores.pairs.json"):
        (tmp_path / "vhm" / name).symlink_to(UNREADABLE)
    (run,) = find_runs(tmp_path, NONE)
    for name in ("checkpoint_best.pt", "scores.json", "scores.en-fr.json", "more.log"):
        assert any(name in line for line in run.missing), name
    assert run.log.updates == 400
    (tmp_path / "report.toml").symlink_to(UNREADABLE)
    with pytest.raises(UserError, match=r"report.toml: cannot be read: .*; give another file"):
        read_overrides(tmp_path / "report.toml")


@contextmanager
def as_nobody():
    """Without root's right to read everything."""
    before = os.geteuid()
    os.seteuid(65534 if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


def test_what_the_user_has_no_right_to_read_is_named_and_the_rest_is_reported():
    with TemporaryDirectory() as folder:  # pytest's own is for its user alone
        runs = Path(folder)
        runs.chmod(0o755)
        for name in ("closed", "secret", "vhm"):
            write_log(make(runs / name))
        (runs / "secret" / "train.log").chmod(0)
        (runs / "closed").chmod(0)
        with as_nobody():
            closed, secret, vhm = find_runs(runs, NONE)
        (runs / "closed").chmod(0o755)
    refused = "cannot be read: Permission denied; give another file"
    assert f"{runs}/closed: {refused}" in closed.missing
    assert f"{runs}/secret/train.log: {refused}" in secret.missing
    assert vhm.log.updates == 400


def test_a_log_of_other_bytes_than_utf_8_is_read_where_it_is_a_log(tmp_path):
    path = write_log(make(tmp_path / "vhm"))
    path.write_bytes(b"\xff\xfe\n" + path.read_bytes() + b"\xe4\n")
    (run,) = find_runs(tmp_path, NONE)
    assert run.log.updates == 400


@pytest.mark.parametrize("data", ["x" * 300, "a\0b", "loop"])
def test_data_that_no_path_can_lead_to_is_not_there(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    write_checkpoint(tmp_path / "runs" / "vhm", data=data)
    (run,) = find_runs(tmp_path / "runs", NONE)
    assert find_place(run, Given(), tmp_path / "runs").references == ()
