"""The wheel and the sdist: complete, and at work where only they are."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from commands import REPOSITORY, TASK, TEST_SIZE, hypotheses, training

import fairseq_vhm

PACKAGES = ("fairseq_vhm", "preprocess")
SHIPPED = {".py", ".html", ".css", ".js", ".typed"}
IN_SDIST = {"benchmarks", "docs", "examples", "tests", *PACKAGES}


def files_below(folder: Path) -> set[str]:
    """The files of a folder of the clone, by their paths in it."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(REPOSITORY)) for path in paths}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """``make dist``: the sdist, and the wheel that is built from it alone."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, REPOSITORY]
    subprocess.run(command, check=True)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A folder into which nothing but the wheel was installed."""
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(built[0]).extractall(folder)
    return folder


def test_the_wheel_holds_every_file_of_the_packages_and_the_licence(built):
    names = set(zipfile.ZipFile(built[0]).namelist())
    packaged = {name for name in names if ".dist-info/" not in name}
    expected = set().union(*(files_below(REPOSITORY / package) for package in PACKAGES))
    assert packaged == {name for name in expected if Path(name).suffix in SHIPPED}
    assert {Path(name).suffix for name in expected} <= SHIPPED | {".md", ".sh"}  # of preprocess, for a clone
    assert "fairseq_vhm/py.typed" in packaged
    assert any(name.endswith("LICENSE") for name in names - packaged)


def test_the_wheel_names_its_version_licence_and_command(built, installed):
    (info,) = installed.glob("*.dist-info")
    about = (info / "METADATA").read_text(encoding="utf-8")
    assert re.search(rf"^Version: {re.escape(fairseq_vhm.__version__)}$", about, re.MULTILINE)
    assert re.search(r"^License(-Expression)?: MIT$", about, re.MULTILINE)
    assert "vhm = fairseq_vhm.cli:main" in (info / "entry_points.txt").read_text(encoding="utf-8")


def test_the_sdist_holds_the_clone(built):
    with tarfile.open(built[1]) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    for folder in IN_SDIST:
        assert files_below(REPOSITORY / folder) <= names
    assert {"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "requirements.txt"} <= names


def test_the_changelog_has_the_version_and_what_it_promises():
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{fairseq_vhm.__version__}]" in text
    assert "weights_only=True" in text.partition("## [Unreleased]")[0]


def test_the_wheel_trains_and_generates_in_another_folder(installed, toy_data, forked, tmp_path):
    plugin = ("--user-dir", installed / "fairseq_vhm", "--cpu")
    arguments = training(toy_data, "run", *plugin, updates=2)
    forked("fairseq-train", *arguments, cwd=tmp_path, PYTHONPATH="")
    checkpoint = tmp_path / "run" / "checkpoint_last.pt"
    process = forked(
        "fairseq-generate", toy_data, *plugin, *TASK, "--path", checkpoint, cwd=tmp_path, PYTHONPATH=""
    )
    assert len(hypotheses(process)) == TEST_SIZE


def test_the_wheels_own_command_starts(installed, tmp_path):
    program = f"import sys; sys.path.insert(0, {str(installed)!r}); sys.argv = ['vhm', '--version']; "
    program += "import fairseq_vhm.cli; print(fairseq_vhm.__file__); fairseq_vhm.cli.main()"
    command = [sys.executable, "-c", program]
    process = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    path, version = process.stdout.splitlines()
    assert Path(path).is_relative_to(installed)
    assert version == f"vhm {fairseq_vhm.__version__}"
