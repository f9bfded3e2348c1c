"""A flag that is missing or mistyped ends fairseq in a stack trace: an assertion, or an error further on.

:data:`SAID` is what fairseq says, and the flag to give.  A line of it goes when fairseq names the flag.
"""

import re
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

from omegaconf.errors import MissingMandatoryValue

_TASK = "give --task cross_lingual_summarization or many_to_many_summarization"
_PATH = "--path: missing; give --path the checkpoint's file name"
_PIECES = "give the spm.model that DATA was prepared with"
_JOINED = "sentencepiece, wordpiece, letter, silence, _EOW, subword_nmt, @@ and none"


class Said(NamedTuple):
    """An error of fairseq's: where it comes from, of which class, saying what, and our line for it."""

    file: str
    kind: type[BaseException]
    words: str  # a regular expression of all that it says; its groups are the line's {0}, {1}
    line: str


SAID = (
    Said("fairseq/options.py", RuntimeError, "", "--arch: missing; give --arch vhm_transformer"),
    Said("fairseq/options.py", KeyError, "None", f"--task: missing; {_TASK}"),
    Said(
        "fairseq/tasks/translation.py",
        Exception,
        "Could not infer language pair.*",
        f"DATA: not of --task translation, which fairseq takes where none is given; {_TASK}",
    ),
    Said(
        "fairseq/registry.py",
        ValueError,
        "optimizer is required!",
        "--optimizer: missing; give --optimizer adam",
    ),
    Said(
        "fairseq_cli/",
        AssertionError,
        "Must specify batch size.*",
        "--max-tokens: missing; give it, such as --max-tokens 4096, or --batch-size",
    ),
    Said("fairseq_cli/", AssertionError, "--path required.*", _PATH),
    Said("fairseq/utils.py", TypeError, ".*'NoneType' is not (?:iterable|a container.*)", _PATH),
    Said("fairseq/checkpoint_utils.py", AttributeError, "'NoneType' .* 'replace'", _PATH),
    Said("fairseq_cli/", AssertionError, "(--.*)", "{0}; mend one of them"),
    Said(
        "fairseq/data/data_utils.py",
        NotImplementedError,
        "Unknown post_process option: (.*)",
        f"--post-process (--remove-bpe) {{0}}: unknown; choose from {_JOINED}",
    ),
    Said(
        "fairseq/data/encoders/sentencepiece_bpe.py",
        MissingMandatoryValue,
        ".*",
        f"--bpe sentencepiece needs --sentencepiece-model: {_PIECES}",
    ),
    Said(
        "fairseq/data/encoders/sentencepiece_bpe.py",
        OSError,
        "file (.*) not found",
        f"--sentencepiece-model {{0}}: missing; {_PIECES}",
    ),
    Said(
        "fairseq/data/encoders/sentencepiece_bpe.py",
        RuntimeError,
        ".*could not parse ModelProto from (.*)",
        f"--sentencepiece-model {{0}}: not a SentencePiece model; {_PIECES}",
    ),
)


def in_plain_words(error: BaseException) -> str | None:
    """The line of :data:`SAID` for an error; ``None`` where it has none."""
    files = list(_files(error.__traceback__))
    for said in SAID:
        found = re.fullmatch(said.words, str(error), re.DOTALL)
        if found and type(error) is said.kind and any(said.file in file for file in files):
            return said.line.format(*found.groups())
    return None


def _files(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename
        trace = trace.tb_next
