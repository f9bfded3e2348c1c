"""vhm pipeline with models of HuggingFace's form, alone and beside a checkpoint of fairseq."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_seq2seq as tiny
import torch
from commands import decoding
from typer.testing import CliRunner

from fairseq_vhm.cli import app

VHM = str(Path(sys.executable).parent / "vhm")
SUMMARIES = {"max_length": 84, "no_repeat_ngram_size": 2}
TRANSLATIONS = {"max_length": 200}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of a summarizer of CrossSum's form and of a translator of M2M-100's."""
    folder = tmp_path_factory.mktemp("models")
    return tiny.mt5(folder / "mt5"), tiny.m2m(folder / "m2m", seed=1)


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    lines = [" ".join(tiny.WORDS[(i * k) % 10] for k in range(3 + i)) for i in range(7)]
    path = tmp_path_factory.mktemp("documents") / "docs.en"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path, lines


def vhm(*arguments, fails: bool = False) -> str:
    """The vhm command in this process; what it prints or, if it is to fail, its one line."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if fails:
        assert result.exit_code == 1, result.exception
        (line,) = result.stderr.splitlines()
        assert line.startswith("vhm: error: "), line
        return line.removeprefix("vhm: error: ")
    assert result.exit_code == 0, result.exception
    return result.stdout


def command(path, out, *models, direction=("en", "zh-CN")):
    languages = ("--source-lang", direction[0], "--target-lang", direction[1])
    given = ("--input", path, "--out", out, *languages, *models, "--cpu")
    return ["pipeline", "summarize-then-translate", *given]


def texts(out: Path, name: str) -> list[str]:
    return (out / name).read_text(encoding="utf-8").split("\n")[:-1]


def generated(folder, lines, drop, source=None, target=None, **search):
    """What ``generate`` writes for each line alone, without the first ``drop`` tokens."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True).eval()
    if source:
        tokenizer.src_lang = source
        search["forced_bos_token_id"] = tokenizer.get_lang_id(target)
    found = []
    for line in lines:
        with torch.inference_mode():
            inputs = tokenizer(line, return_tensors="pt", truncation=True, max_length=512)
            tokens = model.generate(**inputs, num_beams=4, length_penalty=0.6, **search)[0]
        found.append(" ".join(tokenizer.decode(tokens[drop:], skip_special_tokens=True).split()))
    return found


def test_two_models_of_huggingface_write_what_generate_writes(models, documents, tmp_path):
    path, lines = documents
    summarizer, translator = models
    given = ("--ms", summarizer, "--mt", translator, "--chunk", 3, "--json")
    printed = vhm(*command(path, tmp_path / "out", *given))
    from transformers import AutoTokenizer

    start = AutoTokenizer.from_pretrained(summarizer).convert_tokens_to_ids(tiny.STARTS["english"])
    summaries = generated(summarizer, lines, 1, decoder_start_token_id=start, **SUMMARIES)
    assert texts(tmp_path / "out", "source_summaries.txt") == summaries
    assert len(set(summaries)) > 3
    # Random output without sentence ends is one sentence, or pieces where it is longer than the model.
    short = [i for i, text in enumerate(summaries) if len(text) < 60]
    expected = generated(translator, [summaries[i] for i in short], 2, "en", "zh", **TRANSLATIONS)
    written = texts(tmp_path / "out", "summaries.txt")
    assert [written[i] for i in short] == expected and len(short) > 2
    assert json.loads(printed)["models"] == {"ms": str(summarizer), "mt": str(translator)}


def test_a_checkpoint_of_fairseq_summarises_and_a_model_of_huggingface_translates(
    forked, toy_data, trained, models, documents, tmp_path
):
    path, lines = documents
    checkpoint = trained / "checkpoint_last.pt"
    ms = ("--ms", checkpoint, "--ms-data", toy_data, "--ms-segmentation", "none")
    vhm(*command(path, tmp_path / "out", *ms, "--mt", models[1]))
    process = forked(
        "fairseq-interactive",
        *decoding(toy_data, checkpoint, "--eval-task", "ms", "--beam", 4, "--lenpen", 0.6),
        stdin="\n".join(lines),
    )
    summaries = [line.split("\t")[2] for line in process.stdout.splitlines() if line.startswith("D-")]
    assert texts(tmp_path / "out", "source_summaries.txt") == summaries
    expected = generated(models[1], summaries, 2, "en", "zh", **TRANSLATIONS)
    assert texts(tmp_path / "out", "summaries.txt") == expected


def test_a_killed_run_goes_on_and_chunks_do_not_change_the_texts(models, documents, tmp_path):
    path, _ = documents
    given = ("--ms", models[0], "--mt", models[1])
    vhm(*command(path, tmp_path / "whole", *given))
    argv = command(path, tmp_path / "killed", *given, "--chunk", 1)
    process = subprocess.Popen([VHM, *map(str, argv)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "work" / "translate" / "000001.json").exists():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    vhm(*argv)
    for name in ("source_summaries.txt", "summaries.txt"):
        assert texts(tmp_path / "killed", name) == texts(tmp_path / "whole", name)
    other = tiny.m2m(tmp_path / "other", seed=2)
    error = vhm(*command(path, tmp_path / "whole", "--ms", models[0], "--mt", other), fails=True)
    assert "was begun with another --mt" in error


def test_a_longer_document_is_cut_at_max_source_and_counted(models, documents, tmp_path):
    path, _ = documents
    given = ("--ms", models[0], "--mt", models[1], "--max-source", 8, "--json")
    counts = json.loads(vhm(*command(path, tmp_path / "out", *given)))["counts"]
    assert counts["documents cut to the model's length"] > 3
    assert counts["sentences translated in pieces"] > 3


def test_what_cannot_be_used_is_one_line_and_leaves_no_folder(models, documents, toy_data, tmp_path):
    from tiny_encoders import bert

    path, _ = documents
    ms, mt = models
    empty, encoder = tmp_path / "empty", bert(tmp_path / "bert")
    empty.mkdir()
    cases = [
        ((tmp_path / "none", "--mt-data", toy_data), "none: missing; give a checkpoint of"),
        ((tmp_path / "none",), "give --mt-data, the folder that it was trained on"),
        ((empty,), "holds no config.json and no weights"),
        ((encoder,), "is a bert model, which writes no text from another"),
        ((mt, "--mt-data", toy_data), "leave --mt-data out"),
        ((mt, "--ms-segmentation", "none"), "leave --ms-segmentation out"),
        ((mt, "--mt-gen-args", '{"max_len_b": 3}'), "'max_len_b' is no generation setting of transformers"),
        ((mt, "--mt-gen-args", '{"early_stopping": 3}'), "transformers refuses them"),
    ]
    for given, message in cases:
        line = vhm(*command(path, tmp_path / "out", "--ms", ms, "--mt", *given), fails=True)
        assert message in line
        assert not (tmp_path / "out").exists()
    error = vhm(*command(path, tmp_path / "out", "--ms", ms, "--mt", mt, direction=("fr", "zh")), fails=True)
    assert "does not know the language fr; it has en, zh-CN" in error


def test_without_transformers_one_line_says_what_to_install(models, documents, tmp_path):
    path, _ = documents
    code = (
        "import sys; sys.modules['transformers'] = None; from fairseq_vhm.cli import main; "
        "sys.argv = ['vhm', *sys.argv[1:]]; main()"
    )
    argv = command(path, tmp_path / "out", "--ms", models[0], "--mt", models[1], "--quiet")
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, argv)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    [line] = process.stderr.strip().splitlines()
    assert "needs transformers" in line and "pip install 'fairseq-vhm[mt5]'" in line
    assert not (tmp_path / "out").exists()
