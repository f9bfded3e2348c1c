"""A user's folder is imported as the package that it is, or refused by what is wrong with it."""

import sys

import pytest

from fairseq_vhm import plugins
from fairseq_vhm.errors import UserError


@pytest.fixture
def imports(monkeypatch):
    """The search path and the modules are put back."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def package(folder, text: str = ""):
    folder.mkdir()
    (folder / "__init__.py").write_text(text)
    return folder


def test_a_package_is_imported_once_under_its_folders_name(imports, tmp_path, monkeypatch):
    folder = package(tmp_path / "my-metrics_of_a_test", "loaded = []\nfrom . import part\n")
    (folder / "part.py").write_text("")
    (tmp_path / "link").symlink_to(folder)
    for given in (folder, tmp_path / "link", tmp_path / "x" / ".." / folder.name):
        plugins.load(given)
        module = sys.modules[folder.name]
        module.loaded.append(given)
    assert len(module.loaded) == 3 and f"{folder.name}.part" in sys.modules


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("json", "'json' is another module's name; rename it"),
        ("sys", "'sys' is another module's name; rename it"),
        ("v1.2", "a dot in the name of a package leads into another; rename it"),
    ],
)
def test_a_name_that_means_another_module_is_refused(imports, tmp_path, name, said):
    with pytest.raises(UserError, match=f"^--user-dir {tmp_path / name}: {said}"):
        plugins.load(package(tmp_path / name, "raise AssertionError('imported')"))


def test_a_folder_without_a_package_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no __init__.py; give the folder of a Python package"):
        plugins.load(tmp_path)
