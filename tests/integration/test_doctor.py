"""``vhm doctor`` as a user runs it, here and where something is missing."""

import json
import sys

import pytest

from fairseq_vhm import doctor, supported


@pytest.fixture(scope="module")
def report(run):
    """The JSON report of this environment."""
    return json.loads(run("vhm", "doctor", "--json").stdout)


def test_this_environment_is_found_sound(report):
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert report["ok"] is True
    required = ("python", "torch", "numpy", "fairseq", "fairseq, compiled", "plugin")
    assert [states[name] for name in required] == ["ok"] * len(required)
    details = {check["name"]: check["detail"] for check in report["checks"]}
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in details["python"]
    assert supported.TORCH in details["torch"] and supported.NUMPY in details["numpy"]


def test_the_lines_say_the_same_as_the_json(run, report):
    lines = run("vhm", "doctor").stdout.splitlines()
    assert len(lines) == len(report["checks"])
    for line, check in zip(lines, report["checks"], strict=True):
        assert line.startswith(check["state"]) and check["name"] in line


def test_a_missing_required_part_is_exit_status_1_with_its_remedy(run, tmp_path):
    broken = tmp_path / "fairseq"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('broken on purpose')")
    process = run("vhm", "doctor", PYTHONPATH=str(tmp_path), fails=True)
    assert process.returncode == 1
    [line] = [line for line in process.stdout.splitlines() if line.startswith("missing fairseq ")]
    assert "broken on purpose" in line and "pip install fairseq-fixed" in line
    assert "Traceback" not in process.stderr


def test_missing_perl_is_told_and_no_failure(run, tmp_path):
    checks = json.loads(run("vhm", "doctor", "--json", PATH=str(tmp_path)).stdout)["checks"]
    [perl] = [check for check in checks if check["name"] == "ROUGE-1.5.5"]
    assert perl["state"] == "absent" and perl["remedy"] == "apt install perl"


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("2.6.0", "ok"),
        ("2.13.0+cpu", "ok"),
        ("2.13.1.dev3", "ok"),
        ("2.13.0+", "ok"),
        ("2.5.1", "missing"),
        ("2.14.0+cu130", "missing"),
    ],
)
def test_versions_are_held_against_the_supported_range(version, state):
    check = doctor.check_version("torch", ">=2.6,<2.14", version)
    assert check.state == state
    assert bool(check.remedy) == (state == "missing")


def test_optional_groups_are_never_a_failure():
    checks = [
        doctor.Check("extra x", "absent", "no y", "pip install y"),
        doctor.Check("a", "ok", ""),
    ]
    assert doctor.healthy(checks)
    assert not doctor.healthy([*checks, doctor.Check("b", "missing", "none")])


def test_a_package_that_is_not_there_is_missing_with_the_command_that_installs_it():
    check = doctor.check_package("no_such_package", ">=1")
    assert (check.state, check.remedy) == ("missing", "pip install 'no_such_package>=1'")
    assert "No module named 'no_such_package'" in check.detail


def test_a_name_that_the_plugin_does_not_register_is_a_missing_part(monkeypatch):
    assert doctor.check_registrations().state == "ok"
    monkeypatch.setitem(doctor.REGISTERED, "task", "of_another_version")
    check = doctor.check_registrations()
    assert (check.state, check.detail) == ("missing", "not registered: of_another_version")


@pytest.mark.parametrize(
    ("requirement", "extra", "state", "lacking"),
    [
        ("numpy", "", "ok", ""),
        ("numpy<1", "", "missing", "no numpy<1"),
        ("no-such-package>=2", "", "missing", "no no-such-package>=2"),
        ('no-such-package; extra == "x"', "x", "absent", "no no-such-package"),
        ('no-such-package; extra == "x"', "", "ok", ""),
        ('no-such-package; extra == "x" and python_version < "3"', "x", "ok", ""),
    ],
)
def test_a_requirement_counts_for_its_own_group_where_it_is_concerned(requirement, extra, state, lacking):
    check = doctor._group("packages", [requirement], extra)
    assert check.state == state and check.detail.startswith(lacking)
    wanted = "fairseq-vhm[x]" if extra else "fairseq-vhm"
    assert check.remedy == (f"pip install '{wanted}'" if lacking else "")
