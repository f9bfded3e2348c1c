"""Word alignments: read in the Pharaoh format of any aligner, or made by ``eflomal``.

Pharaoh format: a line a sentence pair, of links ``I-J`` between word I of the source and word J of the
target, counted from 0.  Both directions of fast_align and eflomal are written source first.

eflomal (Östling and Tiedemann, 2016) is run as a program of its own; its licence is GPL-3.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from fairseq_vhm.errors import UserError
from preprocess.progress import Progress

ALIGNER = "eflomal-align"
_LINK = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")

Link = tuple[int, int]


class BadLinks(ValueError):
    """A line that is not an alignment of its sentence pair; the message says why."""


def parse_links(line: str, source_length: int, target_length: int) -> set[Link]:
    """The links of one sentence pair.

    Raises:
        BadLinks: something that is not a link, or a link to a word that is not there.
    """
    links = set()
    for text in line.split():
        found = _LINK.fullmatch(text)
        if not found:
            raise BadLinks(f"'{text[:40]}' is not a link I-J")
        link = int(found[1]), int(found[2])
        if link[0] >= source_length or link[1] >= target_length:
            raise BadLinks(
                f"link {text[:40]}, but the source has {source_length} words and the target {target_length} "
                "(words are counted from 0, source first)"
            )
        links.add(link)
    return links


def align(source: Path, target: Path, folder: Path, progress: Progress) -> tuple[Path, Path]:
    """Align two texts in both directions with eflomal; returns both files, made in ``folder``.

    Raises:
        UserError: eflomal is not installed, or it failed.
    """
    program = find_aligner()
    forward, reverse = folder / "forward", folder / "reverse"
    progress.stage(f"align {source.name} and {target.name} with eflomal, both directions")
    command = [program, "-s", source, "-t", target, "-f", forward, "-r", reverse, "--overwrite"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode or not (forward.is_file() and reverse.is_file()):
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise UserError(f"{ALIGNER} failed on {source} and {target}: {last[0]}")
    return forward, reverse


def find_aligner() -> str:
    """Path of eflomal's command.

    Raises:
        UserError: it is not installed.
    """
    beside = Path(sys.executable).with_name(ALIGNER)
    found = str(beside) if beside.is_file() else shutil.which(ALIGNER)
    if found is None:
        raise UserError(
            f"{ALIGNER} is not installed: pip install 'fairseq-vhm[lexicon]', or give --alignments made by "
            "another aligner (vhm prepare symbols writes the text that it has to read)"
        )
    return found
