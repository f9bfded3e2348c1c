"""The rows of ``examples/`` build what they name; ``examples/run.py`` trains, generates and scores them."""

import json
import shutil
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import yaml
from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from many import write_toy_corpus

EXAMPLES = Path(__file__).parents[2] / "examples"
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


def test_stages_follow_each_other_and_a_rows_own_command_decodes(run, toy_data, scale_file, tmp_path):
    text = toy_data.parent / "text" / "cls" / "test.en"
    row = {
        "train": {"latents": "none", "tasks": "cls"},
        "stages": [{"name": "first", "train": {"max-update": 2}}, {"train": {"max-update": 3}}],
        "command": f"python -c \"import shutil; shutil.copy('{text}', 'RUN/copied')\"",
        "outputs": "RUN/copied",
    }
    (tmp_path / "row.yaml").write_text(yaml.safe_dump(row))
    command = [EXAMPLES / "run.py", tmp_path / "row.yaml", "--scale", scale_file]
    run("python", *command, "--data", toy_data, "--out", tmp_path)
    folder = tmp_path / "row" / "seed1"
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
