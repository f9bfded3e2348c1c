"""The rows of ``examples/`` build what they name; ``examples/run.py`` trains, generates and scores them."""

import json
import os
import shlex
import shutil
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import yaml
from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from many import write_toy_corpus

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
sys.path.insert(0, str(EXAMPLES))

import run as runner  # noqa: E402  (found by the line above)

ROWS = sorted([*EXAMPLES.glob("table*/*.yaml"), *EXAMPLES.glob("variants/*.yaml")])
CROSSSUM = sorted(EXAMPLES.glob("crosssum/*.yaml"))
SCALES = sorted((EXAMPLES / "scales").glob("*.yaml"))
TINY = {
    "train": {
        "arch": "vhm_transformer_tiny",
        "criterion": "elbo",
        "optimizer": "adam",
        "lr": 0.003,
        "max-tokens": 240,
        "max-update": 3,
        "no-epoch-checkpoints": True,
        "log-format": "json",
        "num-workers": 0,
        "cpu": True,
    },
    "generate": {"max-len-b": 5, "num-workers": 0, "cpu": True},
}


def model_of(row: Path, scale: dict, data: Path):
    """The model that ``fairseq-train`` would build for a row, and its task."""
    job = runner.Job(yaml.safe_load(row.read_text()) or {}, scale, data, Path("runs"), 1, 1.0)
    _, settings = job.stages[-1]
    settings = {**settings, "save-dir": "runs", "seed": 1}
    arguments = [str(data), *job.common, *job.flags(settings)]
    args = options.parse_args_and_arch(options.get_training_parser(), arguments)
    config = convert_namespace_to_omegaconf(args)
    task = tasks.setup_task(config.task)
    return task.build_model(config.model), task


@pytest.fixture(scope="module")
def data(toy_data, tmp_path_factory) -> Path:
    """The toy corpus with a lexicon, which some rows need."""
    folder = shutil.copytree(toy_data, tmp_path_factory.mktemp("examples") / "DATA")
    (folder / "lexicon.tsv").write_text("w0\tw20\t1.0\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("row", ROWS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_row_builds_at_the_demos_scale(data, row):
    scale = yaml.safe_load((EXAMPLES / "scales" / "demo.yaml").read_text())
    assert sum(p.numel() for p in model_of(row, scale, data)[0].parameters()) > 100_000


@pytest.mark.parametrize("scale", SCALES, ids=lambda path: path.stem)
def test_every_flag_of_a_scale_is_one_of_fairseqs(toy_data, scale):
    job = runner.Job({}, yaml.safe_load(scale.read_text()), toy_data, Path("runs"), 1, 1.0)
    settings = {**job.scale["train"], "save-dir": "runs"}
    arguments = [str(toy_data), *job.common, *job.flags(settings)]
    args = options.parse_args_and_arch(options.get_training_parser(), arguments)
    assert args.criterion == settings["criterion"]


@pytest.mark.parametrize("row", CROSSSUM, ids=lambda path: path.stem)
def test_a_row_of_crosssum_builds_and_has_directions_to_train(tmp_path, row):
    data = write_toy_corpus(tmp_path / "DATA")
    scale = yaml.safe_load((EXAMPLES / "scales" / "crosssum_demo.yaml").read_text())
    model, task = model_of(row, scale, data)
    task.load_dataset("train", combine=True)
    assert task.dataset("train").counts
    assert bool(model.latent_sizes) == (row.stem == "vhm")


LATENTS = {
    "vhm": ("mt,ms,cls", True),
    "mt_ms_cls": ("", False),
    "without_z_mt": ("ms,cls", True),
    "without_z_ms": ("mt,cls", True),
    "without_locals": ("cls", False),
    "without_z_cls": ("mt,ms", False),
    "without_hierarchy": ("mt,ms,cls", False),
}


@pytest.mark.parametrize("name", LATENTS)
def test_an_ablation_removes_what_its_row_says(toy_data, name):
    (row,) = EXAMPLES.glob(f"table*/{name}.yaml")
    hierarchy = model_of(row, TINY, toy_data)[0].encoder.hierarchy
    latents, linked = LATENTS[name]
    assert ",".join(hierarchy.names if hierarchy else ()) == latents
    assert bool(hierarchy and hierarchy.parents) == linked


def test_the_baselines_of_zhu_have_a_decoder_for_each_of_their_tasks(toy_data):
    for name, listed in {"ms_cls": ["cls", "ms"], "mt_cls": ["cls", "mt"]}.items():
        model, task = model_of(EXAMPLES / "table4" / f"{name}.yaml", TINY, toy_data)
        assert list(model.decoder.decoders) == listed == list(task.tasks)


@pytest.fixture(scope="module")
def scale_file(toy_data, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scale") / "tiny.yaml"
    reference = toy_data.parent / "text" / "cls" / "test.zh"
    scale = {**TINY, "score": {"ref": str(reference), "lang": "zh", "metrics": "rouge"}}
    path.write_text(yaml.safe_dump(scale))
    return path


@pytest.mark.parametrize(("name", "runs"), [("few_shot", 5 * 5), ("study", 10 * 2 * 3)])
def test_a_list_stands_for_its_rows_and_the_command_line_wins(name, runs):
    def jobs(**given):
        rest = {"scale": EXAMPLES / "scales" / "demo.yaml", "data": Path("DATA"), "out": Path("runs")}
        given = {"fractions": None, "seeds": None, **given}
        return runner.jobs_of(Namespace(rows=[EXAMPLES / f"{name}.yaml"], **rest, **given))

    listed = jobs()
    assert len(listed) == len({job.folder for job in listed}) == runs
    assert Path("runs/vhm-0.1/seed1") in {job.folder for job in listed}
    assert jobs(seeds=[7], fractions=[0.5])[0].folder.parts[2] == "seed7"
    assert {job.fraction for job in jobs(fractions=[0.5])} == {0.5}


def test_one_command_trains_generates_and_scores_and_does_nothing_twice(run, toy_data, scale_file, tmp_path):
    command = [EXAMPLES / "run.py", EXAMPLES / "table4" / "tncls.yaml", "--scale", scale_file]
    command += ["--data", toy_data, "--out", tmp_path, "--seeds", "1,2", "--fractions", "0.5", "--jobs", 2]
    first = run("python", *command)
    assert first.stdout.count("fairseq-train") == first.stdout.count("vhm score") == 2
    for seed in (1, 2):
        folder = tmp_path / "tncls-0.5" / f"seed{seed}"
        scores = json.loads((folder / "scores.json").read_text())["metric"]
        assert set(scores) == {"rouge1", "rouge2", "rougeL"}
        assert f"'seed': {seed}" in (folder / "train.log").read_text()
        assert "cls_fraction': 0.5" in (folder / "train.log").read_text()
    again = run("python", *command)
    assert again.stdout.strip() == f"vhm report {tmp_path} --out {tmp_path / 'report'}"
    others_are_refused_beside_what_has_ended(run, command, toy_data, scale_file, tmp_path)


def others_are_refused_beside_what_has_ended(run, command, toy_data, scale_file, runs):
    """Another scale or DATA than the runs have; the same by other paths is no other."""
    longer = yaml.safe_load(scale_file.read_text())
    longer["train"]["max-update"] = 24
    (runs / "longer.yaml").write_text(yaml.safe_dump(longer))
    refused = f"run.py: {runs / 'tncls-0.5' / 'seed1'}: train ended with other settings ("
    changed = run("python", *command, "--scale", runs / "longer.yaml", fails=True).stderr
    assert changed == f"{refused}--max-update 3, now 24); choose another --out\n"
    elsewhere = run("python", *command, "--data", runs / "NOSUCH", fails=True).stderr
    assert f"{refused}fairseq-train {toy_data}, now fairseq-train {runs / 'NOSUCH'});" in elsewhere
    assert "fairseq" not in run("python", *command, "--data", os.path.relpath(toy_data, REPOSITORY)).stdout
    (mark := runs / "tncls-0.5" / "seed1" / "train.finished").rename(runs / "mark")
    interrupted = run("python", *command, "--scale", runs / "longer.yaml", fails=True).stderr
    assert interrupted == changed.replace("train ended", "train began")
    (runs / "mark").rename(mark)
    for mark in runs.rglob("*.finished"):
        mark.write_text("")  # as versions before this left it
    assert "fairseq" not in run("python", *command, "--scale", runs / "longer.yaml").stdout


def test_stages_follow_each_other_and_a_rows_own_commands_run_in_folders_with_blanks(
    run, toy_data, scale_file, tmp_path
):
    text = toy_data.parent / "text" / "cls" / "test.en"
    copy = "python -c 'import shutil, sys; shutil.copy(*sys.argv[1:])'"
    row = {
        "needs": {"RUN/needed": f"{copy} {shlex.quote(str(text))} RUN/needed"},
        "train": {"latents": "none", "tasks": "cls"},
        "stages": [{"name": "first", "train": {"max-update": 2}}, {"train": {"max-update": 3}}],
        "command": f"{copy} RUN/needed RUN/copied",
        "outputs": "RUN/copied",
    }
    (tmp_path / "row.yaml").write_text(yaml.safe_dump(row))
    folder = tmp_path / "runs of DATA" / "row" / "seed1"
    folder.mkdir(parents=True)
    command = [EXAMPLES / "run.py", tmp_path / "row.yaml", "--scale", scale_file]
    run("python", *command, "--data", toy_data, "--out", tmp_path / "runs of DATA")
    assert f"loading pretrained model from {folder / 'first'}" in (folder / "train.log").read_text()
    assert (folder / "copied").read_text() == text.read_text()
    assert json.loads((folder / "scores.json").read_text())["n"] == len(text.read_text().splitlines())


def test_a_failing_step_ends_the_run_with_its_log_named(run, toy_data, scale_file, tmp_path):
    row = tmp_path / "wrong.yaml"
    row.write_text("train: {latents: nonsense}")
    command = [EXAMPLES / "run.py", row, "--scale", scale_file, "--data", toy_data, "--out", tmp_path]
    process = run("python", *command, fails=True)
    assert "train.log" in process.stderr and "--latents nonsense" in process.stderr
    assert not list(tmp_path.glob("wrong/seed1/*.finished"))


def test_of_a_failed_command_the_words_are_shown_and_not_the_frame_around_them(forked, tmp_path):
    log = tmp_path / "log"
    log.write_text(forked("vhm", "score", "--nosuch", fails=True).stderr, encoding="utf-8")
    assert runner.last_words(log).startswith("No such option: --nosuch")


@pytest.mark.parametrize(
    ("row", "scale", "flags", "message"),
    [
        ("", "", ["--fractions", "0.1,10"], "fraction 10: give a share, above 0 and at most 1; 0.1 is 10 %"),
        ("", "", ["--fractions", "nan"], "fraction nan: give a share"),
        ("rows: [row.yaml]\nfractions: [50]", "", [], "fraction 50: give a share"),
        ("", "", ["--seeds", "a"], "error: argument --seeds: invalid seeds value: 'a'"),
        ("", "", ["--fractions", "a"], "error: argument --fractions: invalid shares value: 'a'"),
        ("", "", ["--jobs", "0"], "error: argument --jobs: invalid runs value: '0'"),
        ("seeds: []", "", [], "row.yaml: seeds has to be a list of whole numbers"),
        ("seeds: one", "", [], "row.yaml: seeds has to be a list of whole numbers"),
        ("train: [latents]", "", [], "row.yaml: train has to be flags, with a value each"),
        ("needs: {a: 1}", "", [], "row.yaml: needs has to be files, with the command line that makes each"),
        ("", "source: zh\ntarget: en", [], "says zh to en, but DATA was prepared for en to zh; leave source"),
        ("", "", ["--data", "NO"], "NO/manifest.json: names no languages; prepare it with vhm prepare trio"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line_before_anything_runs(
    monkeypatch, capsys, tmp_path, row, scale, flags, message
):
    monkeypatch.chdir(tmp_path)
    Path("DATA").mkdir()
    Path("DATA/manifest.json").write_text('{"settings": {"source_lang": "en", "target_lang": "zh"}}')
    Path("row.yaml").write_text(row)
    Path("scale.yaml").write_text((EXAMPLES / "scales" / "demo.yaml").read_text() + scale)
    given = ["run.py", "row.yaml", "--scale", "scale.yaml", "--data", "DATA", "--out", "runs", *flags]
    monkeypatch.setattr(sys, "argv", given)
    with pytest.raises(SystemExit) as ended:
        runner.main()
    said = capsys.readouterr().err.strip().splitlines()[-1:] if ended.value.code == 2 else [ended.value.code]
    assert len(said) == 1 and said[0].startswith("run.py: ") and message in said[0]
    assert not Path("runs").exists()
