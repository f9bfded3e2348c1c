"""The commands of ``docs/``, run as they stand there, on files of the names that they use."""

import gzip
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import many_languages
import pytest
import tiny_encoders
from commands import REPOSITORY, of_page

from fairseq_vhm.data.corpus import Corpus

DOCS = REPOSITORY / "docs"
EXAMPLES = REPOSITORY / "examples"
sys.path.insert(0, str(EXAMPLES))

import run as runner  # noqa: E402  (found by the line above)

ENGLISH = ["the court opened on monday .", "rain fell on the coast .", "a cat sat here .", "prices rose ."]
OTHER = ["the court opened .", "rain fell .", "a dog sat here .", "prices fell again ."]
CHINESE = ["法院周一开庭。", "海岸下雨。", "一只猫坐在这里。", "物价上涨。"]
NOT_RUN = {
    "docs/metrics.md": ["resultofpaper"],  # outputs that others have published
    "docs/human_eval.md": ["human-eval results"],  # needs what annotators did: tests/browser
}
RUN_ELSEWHERE = {
    "align.md": "test_align_cli.py",
    "data.md": "test_prepare_trio.py",
    "extending.md": "test_extending.py",
    "hostile_input.md": "../unit/test_hostile_input.py",
    "many_to_many.md": "test_many_to_many.py",
    "mbart.md": "test_mbart_commands.py",  # these three on small models, in the place of those to download
    "mt5.md": "test_mt5_commands.py",
    "pipeline.md": "test_docs_pipeline.py",
    "plan.md": "test_doctor_plan.py",
    "reliability.md": "test_distributed.py",
    "troubleshooting.md": "test_doctor.py",
}
LANGUAGES = {"source_lang": "en", "target_lang": "bn"}
ON_OWN_DATA = ("own_data.md", "few_shot.md", "collapse.md")
"""Pages whose commands follow each other."""
CUT = {  # so that a command ends within seconds
    "--max-update 1400": "--max-update 2 --cpu --num-workers 0",
    "--max-len-b 60": "--max-len-b 4 --cpu --num-workers 0",
    "--valid-subset test": "--valid-subset test --cpu --num-workers 0",
}


def commands(document: str, program: str = "vhm ") -> list[str]:
    """The commands of a program in a page, but for those that are not run."""
    skipped = NOT_RUN.get(f"docs/{document}", [])
    return [line for line in of_page(document, program) if not any(s in line for s in skipped)]


def pages(program: str = "") -> set[str]:
    """The pages that hold a command of a program."""
    return {path.name for path in DOCS.glob("*.md") if commands(path.name, program)}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, demo_like_run):
    folder = tmp_path_factory.mktemp("docs")
    texts = {
        **dict.fromkeys(("OUTPUT", "clsms"), OTHER),
        **dict.fromkeys(("REFERENCE", "reference"), ENGLISH),
        "tncls": [text.split()[0] for text in OTHER],
        "test.en": ENGLISH,
        "test.zh": CHINESE,
        "vhm.log": [text[1:] for text in CHINESE],
        "ms_cls.log": CHINESE[::-1],
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copytree(demo_like_run, folder / "RUNS" / "vhm")
    corpus = Corpus.open(many_languages.write_corpus(folder / "DATA"))
    examples = enumerate(many_languages.examples_of(corpus))
    many_languages.write_outputs(folder / "test.log", {number: own[2] for number, own in examples})
    tiny_encoders.sentence_transformer(folder / "LaBSE")
    tiny_encoders.language_model(folder / "lid.176.bin")
    return folder


@pytest.fixture(scope="module")
def demo_like_run(toy_data, trained, forked, tmp_path_factory):
    """A trained run with its outputs."""
    from commands import decoding

    folder = tmp_path_factory.mktemp("runs") / "vhm"
    folder.mkdir()
    shutil.copy(trained / "checkpoint_last.pt", folder)
    done = forked("fairseq-generate", *decoding(toy_data, trained / "checkpoint_last.pt"))
    (folder / "test.log").write_text(done.stdout, encoding="utf-8")
    return folder


@pytest.mark.parametrize("document", ["metrics.md", "report.md", "human_eval.md"])
def test_every_command_of_the_document_runs(forked, workplace, document):
    found = commands(document)
    assert found
    for command in found:
        arguments = shlex.split(command)
        if "human-eval" in arguments:
            arguments += ["--samples", "3"]  # of four lines
        forked(*arguments, cwd=workplace)
    made = {"metrics.md": "compare.tex", "report.md": "report/index.html", "human_eval.md": "study/key.json"}
    assert (workplace / made[document]).stat().st_size > 0


def test_the_texts_of_own_data_are_read_as_its_command_says(forked, tmp_path):
    """Up to the vocabulary, for which they are too few; ``test_prepare_trio.py`` has what follows."""
    row = {"article": "the river rose", "english": "river rises", "chinese": "河水上涨"}
    (tmp_path / "mine").mkdir()
    for split, size in (("train", 60), ("valid", 8), ("test", 9)):
        lines = (json.dumps({**row, "article": f"{split} {number}"}) + "\n" for number in range(size))
        (tmp_path / "mine" / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    for language, text in (("en", "a b"), ("zh", "河水")):
        lines = (f"{text} {number}\n" for number in range(450))
        (tmp_path / f"sentences.{language}").write_text("".join(lines), encoding="utf-8")
    command = commands("own_data.md", "vhm prepare")[0]
    done = forked(*shlex.split(command), cwd=tmp_path, fails=True)
    assert "--vocab-size 8000 is more than this text can fill" in done.stderr


def test_the_rows_of_crosssum_data_are_read_as_its_commands_say(forked, tmp_path):
    """Up to the vocabulary, too; ``test_prepare_crosssum.py`` has what follows."""

    def write(name: str, **row: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        opened = gzip.open if name.endswith(".gz") else open
        named = {key: f"{value} in {name}" for key, value in row.items()}
        with opened(tmp_path / name, "wt", encoding="utf-8") as file:
            file.write(json.dumps(named | LANGUAGES) + "\n")

    for split in ("train", "val", "test"):
        write(f"CrossSum/english-bengali_{split}.jsonl", text="an article", summary="its summary")
        write(f"XLSum/english_{split}.jsonl", text="another", summary="its own")
    for name in ("rows/part-0.jsonl", "rows/held-out.jsonl", "final.jsonl.gz"):
        write(name, source="a third", target="third")
    found = commands("crosssum_data.md")
    assert len(found) == 2
    for command in found:
        done = forked(*shlex.split(command), cwd=tmp_path, fails=True)
        assert "--vocab-size 64000 is more than this text can fill" in done.stderr


@pytest.fixture(scope="module")
def own_data(toy_data, tmp_path_factory) -> Path:
    """A folder with DATA as ``vhm prepare trio`` leaves it, of the toy corpus."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "fairseq_vhm").symlink_to(REPOSITORY / "fairseq_vhm")
    (folder / "DATA" / "text").mkdir(parents=True)
    for task in ("cls", "mt", "ms"):
        (folder / "DATA" / task).symlink_to(toy_data / task)
    for language in ("en", "zh"):
        text = toy_data.parent / "text" / "cls" / f"test.{language}"
        shutil.copy(text, folder / "DATA" / "text" / f"cls.test.{language}")
    segmentation = {"kind": "word", "chinese_words": "jieba", "lowercase": False}
    manifest = json.dumps({"segmentation": segmentation})
    (folder / "DATA" / "manifest.json").write_text(manifest, encoding="utf-8")
    shutil.copy(toy_data / "mt" / "dict.en.txt", folder / "DATA" / "dict.txt")
    return folder


@pytest.fixture
def texts_besides(toy_data, own_data, monkeypatch) -> dict[str, int]:
    """Monolingual texts of unequal number, in the pieces that the page's program makes of them."""
    sizes = {}
    for language, task in (("en", "mt"), ("zh", "cls")):
        lines = (toy_data.parent / "text" / task / f"train.{language}").read_text(encoding="utf-8")
        (own_data / f"texts.{language}").write_text(lines, encoding="utf-8")
        sizes[language] = len(lines.splitlines())
    monkeypatch.chdir(own_data)
    (program,) = re.findall(r"^```python\n(.*?)^```", (DOCS / "own_data.md").read_text(), re.M | re.S)
    exec(program, {})
    return sizes


def test_the_commands_of_own_data_few_shot_and_collapse_run_in_turn(forked, own_data, texts_besides):
    """Those that the README has too are left to ``test_readme.py``, ``run.py`` to the test below."""
    elsewhere = ("python", "vhm prepare", "vhm report", "mkdir")
    found = [one for page in ON_OWN_DATA for one in commands(page, "") if not one.startswith(elsewhere)]
    done, used = {}, set()
    for command in found:
        for old in filter(command.__contains__, CUT):
            used.add(old)
            command = command.replace(old, CUT[old])
        words, *logs = re.split(r" > | \| tee ", command)
        done[command] = forked(*shlex.split(words), cwd=own_data)
        for log in logs:
            (own_data / log.strip()).write_text(done[command].stdout, encoding="utf-8")
    assert used == set(CUT), "the pages no longer say what this test cuts down"
    printed = "".join(process.stdout for process in done.values())
    assert "cls train: 6 of 60 pairs in use (few-shot)" in printed
    (validated,) = (process.stdout for command, process in done.items() if "fairseq-validate" in command)
    (line,) = (line for line in validated.splitlines() if "valid on 'test' subset" in line)
    assert all(f"| {name} " in line for name in ("nll_loss_cls", "kl_cls", "kl_mt", "kl_ms", "au_cls"))
    check_monolingual_texts(forked, own_data, texts_besides, done)


def check_monolingual_texts(forked, own_data, texts_besides, done) -> None:
    """They hold no unknown symbol, and step 3 with the flags that the page adds reads them."""
    (written,) = (done[one].stdout for one in done if one.startswith("fairseq-preprocess"))
    for language, size in texts_besides.items():
        assert re.search(rf"\[{language}\] .*: {size} sents, .*, 0\.0% replaced", written)
    training = next(one for one in done if one.startswith("fairseq-train")).partition(" | tee ")[0]
    flags = ["--pretraining-tasks", "mlm,dae", "--save-dir", "runs/pretraining"]
    process = forked(*shlex.split(training), *flags, cwd=own_data)
    for language, size in texts_besides.items():
        assert f"loaded {size} examples from: DATA/mono/train.en-zh.{language}\n" in process.stdout


@pytest.mark.parametrize("page", sorted(pages("python examples/run.py")))
def test_the_rows_of_a_page_are_accepted_and_are_runs(monkeypatch, tmp_path, page):
    """``run.py`` itself is run by ``test_examples.py``, and every row built there."""
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(EXAMPLES)
    Path("DATA").mkdir()
    settings = {"source_lang": "en", "target_lang": "zh"}
    Path("DATA/manifest.json").write_text(json.dumps({"settings": settings}), encoding="utf-8")
    monkeypatch.setattr(runner, "provide", lambda job: None)
    for command in commands(page, "python examples/run.py"):
        jobs: list[runner.Job] = []
        monkeypatch.setattr(runner, "run", lambda job, device, jobs=jobs: jobs.append(job))
        monkeypatch.setattr(sys, "argv", shlex.split(command)[1:])
        runner.main()
        assert jobs and len({job.folder for job in jobs}) == len(jobs)
        assert all(list(runner.commands(job)) for job in jobs)


def test_every_page_with_commands_is_run_by_a_test():
    run_here = {"metrics.md", "report.md", "human_eval.md", "crosssum_data.md", *ON_OWN_DATA}
    run_here |= pages("python examples/run.py")
    assert pages() - run_here == RUN_ELSEWHERE.keys() - run_here
    assert all((Path(__file__).parent / name).is_file() for name in RUN_ELSEWHERE.values())
