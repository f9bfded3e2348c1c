"""Nothing asks for an address, at import or at work; what asks is ended by ``no_network.py``."""

import sys
from pathlib import Path

import pytest
from commands import decoding, text_of_test_set, training

HERE = Path(__file__).parent
SCRIPT, IMPORTS = HERE / "no_network.py", HERE / "import_all.py"
BIN = Path(sys.executable).parent


def test_no_module_asks_for_an_address_when_it_is_imported(forked):
    imported = forked(SCRIPT, IMPORTS).stdout.split()
    assert {"fairseq_vhm.metrics.lase", "fairseq_vhm.report.build", "preprocess.trio"} <= set(imported)


def test_training_generation_and_scoring_ask_for_no_address(forked, toy_data, tmp_path):
    forked(SCRIPT, BIN / "fairseq-train", *training(toy_data, tmp_path, updates=2))
    arguments = decoding(toy_data, tmp_path / "checkpoint_last.pt", "--beam", 1, "--max-len-b", 4)
    log = forked(SCRIPT, BIN / "fairseq-generate", *arguments)
    (tmp_path / "test.log").write_text(log.stdout)
    (tmp_path / "ref").write_text("\n".join(text_of_test_set(toy_data, language="zh")) + "\n")
    scoring = ("--hyp", tmp_path / "test.log", "--ref", tmp_path / "ref", "--lang", "zh")
    assert "rouge1" in forked(SCRIPT, BIN / "vhm", "score", *scoring).stdout


@pytest.mark.parametrize(
    "asking",
    [
        "socket.create_connection(('192.0.2.1', 80), 1)",
        "socket.getaddrinfo('example.org', 80)",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 80))",
    ],
)
def test_what_asks_for_an_address_is_ended(forked, tmp_path, asking):
    (tmp_path / "asks.py").write_text(f"import socket\ntry:\n    {asking}\nexcept OSError:\n    pass\n")
    process = forked(SCRIPT, tmp_path / "asks.py", fails=True)
    assert process.returncode == 99 and "no_network: socket." in process.stderr


def test_the_loopback_is_let_through(forked, tmp_path):
    text = "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
    (tmp_path / "asks.py").write_text(f"{text}socket.create_connection(server.getsockname())\n")
    forked(SCRIPT, tmp_path / "asks.py")
