"""A checkpoint, its dictionary and its SentencePiece model, reduced to the symbols that given texts need.

A row of the embeddings and of the output layer belongs to a symbol; rows of symbols that no text needs are
taken out, and everything else stays as it was.  So on texts inside the new vocabulary the segmentation and
the scores of the kept symbols are those of before.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from fairseq.data import Dictionary
from torch import Tensor

from fairseq_vhm.checkpoints import save
from fairseq_vhm.compat.checkpoints import read, settings_of
from fairseq_vhm.data.checks import AGAIN, read_binarised
from fairseq_vhm.data.languages import Languages, MarkedDictionary
from fairseq_vhm.errors import UserError
from fairseq_vhm.files import write_bytes, write_json
from fairseq_vhm.names import DICTIONARY_DIGEST, MASK
from fairseq_vhm.report.checkpoint import count_parameters
from fairseq_vhm.tables import Table
from fairseq_vhm.text.subword import MODEL_NAME, SubwordSegmenter, check_belongs
from fairseq_vhm.text.trimming import (
    count_symbols,
    is_character,
    pieces_to_keep,
    read_lines,
    read_model,
    trim_model,
)

CHECKPOINT, DICTIONARY, FIGURES = "model.pt", "dict.txt", "trim.json"
TABLES = ("embed_tokens.weight", "output_projection.weight", "output_projection.bias")
OWN_TASK = "cross_lingual_summarization"
CHECKED_LINES = 1000
MIB = 2**20
BYTES = 4  # float32
ADAM = 4  # weights, gradients, two moments
TOKENS = 1000

Track = Callable[[Iterable, str], Iterable]


@dataclass(frozen=True)
class Size:
    """What a vocabulary costs; memory in MiB, all in float32."""

    symbols: int
    pieces: int | None
    parameters: int

    @property
    def memory(self) -> dict[str, float]:
        """What is held, by name."""
        return {
            "weights": self.parameters * BYTES / MIB,
            "weights, gradients, Adam": self.parameters * BYTES * ADAM / MIB,
            f"logits of {TOKENS:,} target tokens": self.symbols * TOKENS * BYTES / MIB,
        }


@dataclass(frozen=True)
class Figures:
    """Before and after."""

    before: Size
    after: Size

    def table(self) -> Table:
        """For people."""
        rows = [["symbols", *(f"{size.symbols:,}" for size in (self.before, self.after))]]
        if self.before.pieces is not None:
            rows.append(["SentencePiece pieces", f"{self.before.pieces:,}", f"{self.after.pieces:,}"])
        rows.append(["parameters", f"{self.before.parameters:,}", f"{self.after.parameters:,}"])
        for name, mib in self.before.memory.items():
            rows.append([f"{name} (MiB)", f"{mib:,.0f}", f"{self.after.memory[name]:,.0f}"])
        return Table("vhm trim", ("", "before", "after"), rows, ("all memory in float32",))

    def as_json(self) -> dict:
        """For programs."""
        sizes = {"before": self.before, "after": self.after}
        return {when: asdict(size) | {"mib": size.memory} for when, size in sizes.items()}


@dataclass(frozen=True)
class Request:
    """What ``vhm trim`` is asked for.

    ``texts`` are raw with ``spm``, else segmented; ``data`` are folders of ``fairseq-preprocess``.
    ``langs`` as the task's flag, where the checkpoint does not say which languages it has.
    """

    checkpoint: Path
    dictionary: Path
    out: Path
    spm: Path | None = None
    texts: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    langs: str | None = None
    keep_characters: bool = True
    lowercase: bool = False

    def check(self) -> None:
        """Refuse what cannot be done before anything is read.

        Raises:
            UserError: names the flag and the remedy.
        """
        if not self.texts and not self.data:
            raise UserError("vhm trim needs the texts to trim for: give --text FILE or --data FOLDER")
        if self.lowercase and not self.spm:
            raise UserError("--lowercase goes with --spm: segmented texts are taken as they are")
        for flag, path in (("CHECKPOINT", self.checkpoint), ("--dict", self.dictionary)):
            if not path.is_file():
                raise UserError(f"{flag} {path}: missing file")
        if not self.out.parent.is_dir():
            raise UserError(f"--out {self.out}: there is no folder {self.out.parent}; create it first")
        if self.out.exists() and (self.out.is_file() or any(self.out.iterdir())):
            raise UserError(f"--out {self.out}: is there already; name a folder that is not")


def trim(request: Request, track: Track = lambda items, _: items) -> Figures:
    """Write ``model.pt``, ``dict.txt``, ``trim.json`` and, with ``spm``, ``spm.model``, whole or not at all.

    Args:
        track: wraps the lines of a text, given its name, to show progress.

    Raises:
        UserError: something is missing, does not belong together, or is not understood.
    """
    request.check()
    dictionary = _load_dictionary(request.dictionary)
    model = read_model(request.spm) if request.spm else None
    state = read(str(request.checkpoint))
    weights, rows = _weights(state, request.checkpoint)
    marks = _marks(request, state)
    _check_belongs(request, dictionary, marks, rows)
    _check_symbols(request, dictionary, state)
    used = _used(request, dictionary, track)
    if request.spm:
        check_belongs(used, request.dictionary, dictionary.symbols, request.spm)
    pieces = pieces_to_keep(model, used, request.keep_characters) if model else set()
    kept = _rows_to_keep(dictionary, {*used, *pieces, *marks}, request.keep_characters, rows)
    trimmed = _trim_weights(weights, kept, rows)
    before = Size(rows, len(model.pieces) if model else None, count_parameters(weights))
    after = Size(len(kept), len(pieces) if model else None, count_parameters(trimmed))
    figures = Figures(before, after)
    with TemporaryDirectory(dir=request.out.parent, prefix=f".{request.out.name}.") as folder:
        made = Path(folder) / request.out.name
        made.mkdir()
        if model:
            write_bytes(made / MODEL_NAME, trim_model(model, pieces))
            _check_segmentation(request, made / MODEL_NAME)
        _save_dictionary(dictionary, kept, made / DICTIONARY)
        write_json(made / FIGURES, figures.as_json())
        _note_dictionary(state, made / DICTIONARY)
        save({**state, "model": trimmed, "last_optimizer_state": None}, made / CHECKPOINT)
        made.replace(request.out)
    return figures


# ---- what belongs together ---------------------------------------------------------------------


def _load_dictionary(path: Path) -> MarkedDictionary:
    try:
        dictionary = MarkedDictionary.load(str(path))
    except (RuntimeError, ValueError, UnicodeError) as error:
        raise UserError(f"--dict {path}: not a dictionary of fairseq's ({error})") from error
    if len(set(dictionary.symbols)) < len(dictionary.symbols):
        raise UserError(f"--dict {path}: a symbol stands there twice, which vhm trim does not understand")
    return dictionary


def _weights(state: Mapping, path: Path) -> tuple[dict[str, Tensor], int]:
    """A checkpoint's parameters, and the number of symbols that they are for."""
    weights = dict(state["model"])
    sizes = {name: len(value) for name, value in weights.items() if name.endswith(TABLES)}
    if not sizes or any("adaptive_softmax" in name for name in weights):
        raise UserError(f"{path}: vhm trim knows plain embeddings and output layers; this one has others")
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        raise UserError(f"{path}: source and target need one joined dictionary, but its rows are: {found}")
    size = next(iter(sizes.values()))
    for name, value in weights.items():
        if value.dim() > 1 and size in value.shape and name not in sizes and ".layers." not in name:
            raise UserError(f"{path}: {name} is as long as the dictionary, and vhm trim does not know why")
    return weights, size


def _check_belongs(request: Request, dictionary: Dictionary, marks: list[str], rows: int) -> None:
    """Hold the rows of the embeddings against the dictionary and the marks behind it."""
    behind = [mark for mark in marks if mark not in dictionary]
    if rows != len(dictionary) + len(behind):
        named = f"{len(behind)} marks ({behind[0]} to {behind[-1]})" if behind else "no marks"
        raise UserError(
            f"{request.checkpoint} has {rows:,} symbols, but {request.dictionary} has {len(dictionary):,} "
            f"and its model adds {named}: give the --dict it was trained with, and --langs as in its training"
        )


def _check_symbols(request: Request, dictionary: MarkedDictionary, state: Mapping) -> None:
    """Hold the dictionary against the one that the checkpoint was trained with, where it says."""
    if settings_of(state).get(DICTIONARY_DIGEST) not in (None, dictionary.digest):
        raise UserError(
            f"--dict {request.dictionary}: holds other symbols than the one that {request.checkpoint} was "
            "trained with: give that one"
        )


def _marks(request: Request, state: Mapping) -> list[str]:
    """The symbols that the model's task puts behind those of the texts, unless they are among them."""
    settings = settings_of(state)
    languages = Languages.parse(request.langs or settings.get("langs"))
    if settings.get("task") == OWN_TASK:
        marked = MarkedDictionary()
        marked.pretraining = "encoder.pretraining_symbols" in state["model"]
        marked.mark(languages)
        return marked.symbols[marked.text_symbols :]
    if languages:
        return languages.symbols
    return [MASK] if settings.get("task") == "denoising" else []


# ---- what is needed ----------------------------------------------------------------------------


def _segmenter(request: Request, model: Path) -> Callable[[str], str]:
    return partial(SubwordSegmenter(model, request.lowercase).encode, lang="")


def _used(request: Request, dictionary: Dictionary, track: Track) -> Counter[str]:
    """How often the texts use each symbol."""
    encode = _segmenter(request, request.spm) if request.spm else str
    used: Counter[str] = Counter()
    for path in request.texts:
        used += count_symbols(encode, track(read_lines(path), path.name))
    for folder in request.data:
        used += _count_binarised(request, folder, dictionary, track)
    return used


def _count_binarised(request: Request, folder: Path, dictionary: Dictionary, track: Track) -> Counter[str]:
    """How often a prepared folder uses each symbol; its dictionary must be the checkpoint's."""
    others = sorted(folder.rglob("dict.*.txt"))
    indices = sorted(folder.rglob("*.idx"))
    if not indices or not others:
        raise UserError(f"--data {folder}: holds no texts and dictionaries that fairseq-preprocess made")
    for path in others:
        if _load_dictionary(path).symbols != dictionary.symbols:
            raise UserError(f"--data {folder}: {path} is another dictionary than {request.dictionary}")
    counts = np.zeros(len(dictionary), dtype=np.int64)
    for path in track(indices, folder.name):
        text = read_binarised(str(path.with_suffix("")))
        if text is None:
            raise UserError(f"--data {folder}: {path} is not of fairseq's mmap format; give --text instead")
        tokens = np.memmap(text.prefix + ".bin", dtype=text.dtype, mode="r")
        found = np.bincount(tokens, minlength=len(dictionary))
        if len(found) > len(dictionary):
            raise UserError(f"--data {folder}: {path} has symbols that its dictionary lacks; {AGAIN}")
        counts += found
    return Counter({dictionary.symbols[i]: int(counts[i]) for i in np.flatnonzero(counts)})


def _rows_to_keep(
    dictionary: Dictionary, needed: set[str], keep_characters: bool, rows: int
) -> Tensor:
    """Ids that stay, in their order: special symbols, what is needed, and the marks at the end."""
    special = dictionary.nspecial
    text = [
        i
        for i, symbol in enumerate(dictionary.symbols[special:], start=special)
        if symbol in needed or (keep_characters and is_character(symbol))
    ]
    return torch.tensor([*range(special), *text, *range(len(dictionary), rows)])


# ---- the new files -----------------------------------------------------------------------------


def _trim_weights(weights: Mapping[str, Tensor], kept: Tensor, rows: int) -> dict[str, Tensor]:
    """The parameters with the ``kept`` rows; tables that were one stay one."""
    tables: dict[tuple, Tensor] = {}

    def trimmed(name: str, value: Tensor) -> Tensor:
        if not name.endswith(TABLES):
            return value
        key = (value.data_ptr(), value.shape)
        if key not in tables:
            tables[key] = value.index_select(0, kept)
        return tables[key]

    return {name: trimmed(name, value) for name, value in weights.items()}


def _save_dictionary(dictionary: Dictionary, kept: Tensor, path: Path) -> None:
    trimmed = Dictionary()
    for i in kept.tolist():
        if dictionary.nspecial <= i < len(dictionary):
            trimmed.add_symbol(dictionary.symbols[i], n=dictionary.count[i])
    trimmed.save(str(path))


def _note_dictionary(state: Mapping, path: Path) -> None:
    """Put the new dictionary's digest in the place of the old one's, where the settings have one."""
    settings: Any = settings_of(state)
    if DICTIONARY_DIGEST in settings:
        settings[DICTIONARY_DIGEST] = _load_dictionary(path).digest


def _check_segmentation(request: Request, model: Path) -> None:
    """Segment the beginning of each text with the old and with the new model."""
    assert request.spm is not None, "there is a trimmed model of it"
    before, after = _segmenter(request, request.spm), _segmenter(request, model)
    for path in request.texts:
        for number, line in enumerate(islice(read_lines(path), CHECKED_LINES), start=1):
            if before(line) != after(line):
                raise UserError(f"{path}:{number}: would be segmented in another way; nothing was written")
