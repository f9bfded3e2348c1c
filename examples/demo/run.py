"""The main job on the bundled sample: write, prepare, train VHM and MT-MS-CLS, generate, score, report.

    python examples/demo/run.py OUT [--max-update N]

Every step is one of the commands that a user would give, printed before it runs.  Repeating it goes on
where it stopped.  Results: ``OUT/results.json``, ``OUT/curves.png``, ``OUT/report/``, ``OUT/runs/*``.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from curves import draw, read_log
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
TASKS = ("cls", "mt", "ms")
SYSTEMS = {"vhm": [], "mt_ms_cls": ["--latents", "none"]}
TITLES = {"vhm": "VHM", "mt_ms_cls": "MT-MS-CLS (no latents)"}
UPDATES = 1400
VOCABULARY = 1500
TRAINING = shlex.split(
    "--user-dir fairseq_vhm --task cross_lingual_summarization --arch vhm_transformer_tiny "
    "--encoder-embed-dim 128 --encoder-ffn-embed-dim 256 --decoder-embed-dim 128 "
    "--decoder-ffn-embed-dim 256 --encoder-attention-heads 4 --decoder-attention-heads 4 "
    "--dropout 0.1 --criterion elbo --label-smoothing 0.1 "
    "--latent-projection states --latent-projection-init identity --latent-activation none "
    "--kl-schedule linear --optimizer adam --adam-betas (0.9,0.998) --clip-norm 1.0 --lr 5e-3 "
    "--lr-scheduler inverse_sqrt --warmup-updates 200 --max-tokens 700 "
    "--max-source-positions 128 --max-target-positions 64 --validate-interval-updates 200 "
    "--save-interval-updates 200 --keep-interval-updates 1 --no-epoch-checkpoints --validate-interval 1000 "
    "--save-interval 1000 --best-checkpoint-metric loss_cls --log-format json --log-interval 25 "
    "--num-workers 0 --seed 1"
)
GENERATION = shlex.split(
    "--user-dir fairseq_vhm --task cross_lingual_summarization --beam 4 --lenpen 0.6 --max-len-b 40 "
    "--max-tokens 8000 --remove-bpe sentencepiece --num-workers 0"
)
EXAMPLES = (3, 57, 111)  # test documents that are shown

console = Console()


def say(title: str, command: list | None = None) -> None:
    """Announce a step and the command that it stands for."""
    console.print(f"\n[bold]{title}[/bold]")
    if command:
        console.print("  " + shlex.join(map(str, command)), style="dim", soft_wrap=True)


def call(*command, **options) -> subprocess.CompletedProcess:
    """Run one of this environment's commands; its failure ends the demo with its last lines."""
    done = subprocess.run([BIN / command[0], *map(str, command[1:])], text=True, **options)
    if done.returncode:
        sys.exit(f"demo: {command[0]} failed with status {done.returncode}:\n{(done.stderr or '')[-2000:]}")
    return done


def prepare(out: Path) -> Path:
    """Text and binarised data."""
    text, data = out / "text", out / "data"
    command = ["python", HERE / "corpus.py", text, "--seed", "1"]
    say("1. A bilingual news corpus, written by a program", command)
    call(*command)
    command = ["vhm", "prepare", "trio", data, "--source-lang", "en", "--target-lang", "zh"]
    command += [f for task in TASKS for f in (f"--{task}", f"lines:{text / task}")]
    command += ["--vocab-size", VOCABULARY, "--lowercase"]
    say("2. Subwords, one dictionary, fairseq's binary format", command)
    call(*command)
    return data



def train(out: Path, data: Path, updates: int) -> None:
    """Both systems side by side, one half of the cores each."""
    threads = str(max(1, (os.cpu_count() or 2) // len(SYSTEMS)))
    jobs = {}
    for name, flags in SYSTEMS.items():
        run = out / "runs" / name
        run.mkdir(parents=True, exist_ok=True)
        command = ["fairseq-train", data, *TRAINING, *flags, "--save-dir", run, "--max-update", updates]
        command += ["--kl-anneal-steps", updates // 2]
        say(f"3. Train {TITLES[name]}", command)
        with open(run / "train.log", "a", encoding="utf-8") as log:
            jobs[name] = subprocess.Popen(
                [BIN / command[0], *map(str, command[1:])],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": threads},
            )
    watch(jobs, out, updates)


def watch(jobs: dict[str, subprocess.Popen], out: Path, updates: int) -> None:
    """Progress bars until all jobs have ended; a failed one ends the demo."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bars = {name: progress.add_task(TITLES[name], total=updates) for name in jobs}
        while any(job.poll() is None for job in jobs.values()):
            time.sleep(1)
            for name, bar in bars.items():
                points = read_log(out / "runs" / name / "train.log")["train_inner"]
                progress.update(bar, completed=int(points[-1]["num_updates"]) if points else 0)
        for name, bar in bars.items():
            if jobs[name].returncode:
                log = (out / "runs" / name / "train.log").read_text(encoding="utf-8")
                sys.exit(f"demo: training {name} failed:\n{log[-3000:]}")
            progress.update(bar, completed=updates)


def generate(out: Path, data: Path, name: str) -> list[str]:
    """Summaries of the test documents in corpus order."""
    run = out / "runs" / name
    command = ["fairseq-generate", data, *GENERATION, "--path", run / "checkpoint_best.pt"]
    say(f"4. Generate with {TITLES[name]}", command)
    log = run / "test.log"
    with open(log, "w", encoding="utf-8") as file:
        call(*command, stdout=file, stderr=subprocess.PIPE)
    lines = [line.split("\t") for line in log.read_text(encoding="utf-8").splitlines()]
    outputs = {int(f[0][2:]): f[2] for f in lines if f[0].startswith("H-")}
    return [outputs[i] for i in sorted(outputs)]


def score(out: Path, data: Path, name: str) -> dict:
    """ROUGE of a system's generation log, as ``vhm score`` writes it."""
    run = out / "runs" / name
    command = ["vhm", "score", "--hyp", run / "test.log", "--ref", data / "text" / "cls.test.zh"]
    command += ["--lang", "zh", "--metrics", "rouge,bleu", "--json", run / "scores.json"]
    say(f"5. Score {TITLES[name]}", command)
    call(*command, stdout=subprocess.DEVNULL)
    return json.loads((run / "scores.json").read_text(encoding="utf-8"))["metric"]


def baselines(out: Path) -> dict[str, dict[str, float]]:
    """ROUGE of outputs that need no model."""
    done = call("python", HERE / "baselines.py", out / "text", "--json", stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def report(out: Path) -> Path:
    """Tables, figures, and the page on which outputs are read side by side."""
    command = ["vhm", "report", out / "runs", "--out", out / "report"]
    say("6. Report", command)
    call(*command, stdout=subprocess.DEVNULL)
    return out / "report" / "index.html"


def show(rows: dict[str, dict[str, float]]) -> None:
    """The table of systems and floors."""
    table = Table(title="CLS test set, ROUGE F1 (Chinese characters)")
    table.add_column("system")
    for metric in ("ROUGE-1", "ROUGE-2", "ROUGE-L"):
        table.add_column(metric, justify="right")
    for name, scores in rows.items():
        table.add_row(name, *(f"{scores[m]:.2f}" for m in ("rouge1", "rouge2", "rougeL")))
    console.print(table)


def show_examples(out: Path, outputs: dict[str, list[str]]) -> None:
    """Some documents with their reference and both outputs."""
    documents = (out / "text" / "cls.test.en").read_text(encoding="utf-8").splitlines()
    references = (out / "text" / "cls.test.zh").read_text(encoding="utf-8").splitlines()
    for i in EXAMPLES:
        console.print(f"\n[bold]{documents[i]}[/bold]")
        console.print(f"  {'reference':<12}{references[i]}")
        for name, texts in outputs.items():
            console.print(f"  {name:<12}{texts[i].replace(' ', '')}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for everything that is made")
    parser.add_argument("--max-update", type=int, default=UPDATES)
    given = parser.parse_args()
    out, started = given.out, time.monotonic()
    data = prepare(out)
    train(out, data, given.max_update)
    outputs = {name: generate(out, data, name) for name in SYSTEMS}
    rows = {TITLES[n]: {m: v["f"] for m, v in score(out, data, n).items() if "f" in v} for n in SYSTEMS}
    rows |= {f"{name} (no model)": scores for name, scores in baselines(out).items()}
    (out / "results.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    draw({TITLES[n]: out / "runs" / n / "train.log" for n in SYSTEMS}, out / "curves.png")
    page = report(out)
    say("7. Results")
    show(rows)
    show_examples(out, outputs)
    console.print(
        f"\n{(time.monotonic() - started) / 60:.1f} minutes. To read and compare the outputs, open {page}; "
        f"curves with each KL: {out / 'curves.png'}; table: {out / 'results.json'}; "
        f"logs and checkpoints: {out / 'runs'}.\n"
        "Your own data: vhm prepare trio DATA --cls lines:PREFIX ... (README, three steps), then the "
        "commands above with DATA in place of "
        f"{data} and a larger --arch, such as vhm_transformer."
    )


if __name__ == "__main__":
    main()
