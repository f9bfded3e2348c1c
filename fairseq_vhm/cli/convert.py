"""``vhm convert``: checkpoints of VHM's released code and mT5s of HuggingFace's, to and fro."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.cli.options import option
from fairseq_vhm.cli.terminal import present
from fairseq_vhm.errors import UserError

_RELEASED, _HUGGINGFACE = "A checkpoint of the released code", "An mT5 (--arch hf_mt5)"
FairseqTask = Literal["cross_lingual_summarization", "many_to_many_summarization"]


def command(
    source: Annotated[
        Path,
        typer.Argument(
            help="A checkpoint-step-NUMBER of the released code; a checkpoint of hf_mt5 (--to-hf); a folder "
            "of HuggingFace's (--from-hf)."
        ),
    ],
    out: options.Out,
    vocab: Annotated[
        list[Path] | None,
        option("Its vocabulary file; twice: of source and target, which must be equal.", panel=_RELEASED),
    ] = None,
    source_lang: Annotated[str | None, option("Language of the documents.", panel=_RELEASED)] = None,
    target_lang: Annotated[str | None, option("Language of the summaries.", panel=_RELEASED)] = None,
    without_latents: Annotated[
        bool,
        option(
            "Leave latents and Eq. 8 out, as the released beam search does.",
            "--without-latents",
            panel=_RELEASED,
        ),
    ] = False,
    to_hf: Annotated[
        bool, option("Write a folder that HuggingFace loads.", "--to-hf", panel=_HUGGINGFACE)
    ] = False,
    tokenizer: Annotated[
        Path | None,
        option("Folder of its tokenizer; else where the run began, if that is there.", panel=_HUGGINGFACE),
    ] = None,
    from_hf: Annotated[
        bool, option("Write OUT/checkpoint.pt, for fairseq-generate.", "--from-hf", panel=_HUGGINGFACE)
    ] = False,
    data: Annotated[
        Path | None, option("DATA to use it with, prepared with its vocabulary.", panel=_HUGGINGFACE)
    ] = None,
    task: Annotated[
        FairseqTask | None,
        option("Task to use it for; else many_to_many_summarization.", panel=_HUGGINGFACE),
    ] = None,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Convert a checkpoint of the released code (XL2248/VHM) so that fairseq decodes with it, or an mT5.

    Examples:
        vhm convert zhen/checkpoint-step-400000 --vocab vocab.shared.zhen.txt \\
            --source-lang zh --target-lang en --out converted
        vhm convert RUN/checkpoint_best.pt --to-hf --tokenizer MT5 --out FOLDER
        vhm convert MT5 --from-hf --data DATA --out RUN0
    """
    import fairseq_vhm

    _check_flags(
        {"--to-hf": to_hf, "--from-hf": from_hf},
        {"--vocab": vocab, "--source-lang": source_lang, "--target-lang": target_lang},
        {"--tokenizer": tokenizer},
        {"--data": data, "--task": task},
    )
    fairseq_vhm.register()
    logging.getLogger("hydra").setLevel(logging.WARNING)
    if to_hf or from_hf:
        report = _convert_mt5(source, out, tokenizer if to_hf else None, data, task)
    else:
        assert vocab and source_lang and target_lang  # _check_flags asks for them
        report = _convert_released(source, out, vocab, source_lang, target_lang, not without_latents)
    present(report, _as_text(report, out), json, quiet)


def _as_text(report: dict, out: Path) -> str:
    lines = [f"{out}: {report['parameters']:,} parameters"]
    for name, value in report.items():
        if name not in ("parameters", "checkpoint", "folder", "flags"):
            lines.append(f"  {name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    return "\n".join(lines)


def _check_flags(kinds: dict, of_released: dict, to_hf: dict, from_hf: dict) -> None:
    """Refuse flags of another kind of conversion, and missing ones."""
    chosen = [flag for flag, given in kinds.items() if given]
    if len(chosen) == 2:
        raise UserError("--to-hf and --from-hf: give one of them")
    kind = chosen[0] if chosen else "the released code's"
    own = {"--to-hf": to_hf, "--from-hf": from_hf}.get(kind, of_released)
    required = {"--to-hf": (), "--from-hf": ("--data",)}.get(kind, tuple(of_released))
    if missing := [flag for flag in required if not own[flag]]:
        raise UserError(f"{', '.join(missing)}: needed to convert {kind if not chosen else f'with {kind}'}")
    for flag, value in (of_released | to_hf | from_hf).items():
        if value and flag not in own:
            raise UserError(f"{flag}: does not go with {kind}; drop it")


def _convert_mt5(
    source: Path, out: Path, tokenizer: Path | None, data: Path | None, task: str | None
) -> dict:
    from fairseq_vhm.conversion.hf_mt5 import DEFAULT_TASK, from_huggingface, to_huggingface

    if data is None:
        return to_huggingface(source, out, tokenizer)
    return from_huggingface(source, data, out, task or DEFAULT_TASK)


def _convert_released(
    released: Path, out: Path, vocab: list[Path], source_lang: str, target_lang: str, latents: bool
) -> dict:
    from fairseq_vhm.conversion.convert import Conversion, convert

    return convert(Conversion(released, tuple(vocab), source_lang, target_lang, out, latents))
