"""mT5's vocabulary as ``DATA/dict.txt``; no torch.

The file lists every row of mT5's embeddings in the order of its ids, ``<pad>``, ``</s>`` and ``<unk>``
first, so that a symbol's line is its id (:mod:`~fairseq_vhm.data.dictionaries` reads it).  fairseq's own
reader, which puts its special symbols before the first line, refuses ``<pad>`` as a duplicate: the file is
never read with other ids.
"""

from pathlib import Path

from fairseq_vhm.errors import UserError, unreadable
from fairseq_vhm.files import write_text
from fairseq_vhm.text.mt5 import SPECIALS, read_rows

_COUNT = 1  # fairseq wants one beside each symbol


def write_dictionary(folder: Path, path: Path) -> int:
    """Write the dictionary of the mT5 in ``folder`` (``spiece.model``, ``config.json``); its size.

    Raises:
        UserError: a file is missing or no mT5's, or ``path`` cannot be written.
    """
    rows = read_rows(folder)
    write_text(Path(path), "".join(f"{symbol} {_COUNT}\n" for symbol in rows))
    return len(rows)


def is_mt5(path: Path) -> bool:
    """Whether ``dict.txt`` at ``path`` is of mT5's ids.

    Raises:
        UserError: there is no such file, or it is not UTF-8.
    """
    try:
        with Path(path).open(encoding="utf-8") as lines:
            return lines.readline().split(" ")[0] == SPECIALS[0]
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no dictionary, since it is not UTF-8 ({error})") from error
