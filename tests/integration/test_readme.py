"""Every command of the README, run in order as it stands there; only sizes and lengths are cut down."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")

SMALL = (
    "--cpu --max-update 3 --num-workers 0 --encoder-layers 1 --decoder-layers 1 --encoder-embed-dim 16 "
    "--decoder-embed-dim 16 --encoder-ffn-embed-dim 16 --decoder-ffn-embed-dim 16 --max-tokens 4096"
)
CUT = {  # what a command is given on top, so that it ends within seconds
    "corpus.py corpus": "corpus.py corpus --cls-train 300 --mt-train 400 --ms-train 300",
    "--vocab-size 1500": "--vocab-size 900",
    "--save-dir runs/vhm": f"--save-dir runs/vhm {SMALL}",
    "--save-dir runs/base": f"--save-dir runs/base {SMALL}",
    "--save-dir runs/m2m": f"--save-dir runs/m2m {SMALL}",
    "--max-len-b 84": "--max-len-b 4 --cpu --max-tokens 8000",
    "--max-len-b 40": "--max-len-b 4 --cpu --max-tokens 8000",
    "< corpus/cls.test.en": "--max-len-b 4 --cpu < first.en",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder that looks like the repository to the README's commands."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("examples", "fairseq_vhm", "preprocess"):
        (folder / name).symlink_to(REPOSITORY / name)
    return folder


def write_rows(folder: Path) -> None:
    """The folder of rows that the README takes to be there: the demo's documents with both summaries."""
    (folder / "rows").mkdir()
    for split in ("train", "valid", "test"):
        names = (f"ms.{split}.en", f"ms.{split}.en_sum", f"cls.{split}.zh")
        sides = [(folder / "corpus" / name).read_text(encoding="utf-8").splitlines() for name in names]
        with (folder / "rows" / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for number, (document, *summaries) in enumerate(zip(*sides, strict=False)):
                for language, summary in zip(("en", "zh"), summaries, strict=True):
                    row = {"source_lang": "en", "target_lang": language}
                    row |= {"source": document, "target": summary}
                    row |= {"source_id": f"{split}{number}:en", "target_id": f"{split}{number}:{language}"}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def shell(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_every_command_of_the_readme_runs(workplace):
    used = set()
    outputs = []
    for block in blocks("bash"):
        for old, new in CUT.items():
            if old in block:
                used.add(old)
                block = block.replace(old, new)
        if "first.en" in block:
            shell("head -n 3 corpus/cls.test.en > first.en", workplace)
        if "prepare crosssum" in block:
            write_rows(workplace)
        outputs.append(shell(block, workplace))
    assert used == set(CUT), "the README no longer says what this test cuts down"
    everything = "\n".join(outputs)
    assert everything.count("\nH-") + everything.startswith("H-") == 3  # fairseq-interactive
    assert "ROUGE" in everything or "rouge" in everything
    assert (workplace / "curves.png").stat().st_size > 10_000
    assert (workplace / "runs" / "m2m" / "scores.en-zh.json").exists()
    assert (workplace / "runs" / "base" / "checkpoint_last.pt").exists()


def test_the_python_of_the_readme_runs(workplace):
    (code,) = blocks("python")
    (workplace / "usage.py").write_text(code, encoding="utf-8")
    assert shell("python usage.py", workplace).strip().startswith("[")
