"""``vhm convert``: checkpoints of VHM's released code and mT5s of HuggingFace's, to and fro."""

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from fairseq_vhm.errors import UserError

_RELEASED, _HUGGINGFACE = "A checkpoint of the released code", "An mT5 (--arch hf_mt5)"


def _option(panel: str, text: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel)


def command(
    source: Annotated[
        Path,
        typer.Argument(
            help="checkpoint-step-NUMBER of the released code; a checkpoint of hf_mt5 (--to-hf); a folder of "
            "HuggingFace's (--from-hf)"
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder to make")],
    vocab: Annotated[
        list[Path] | None,
        _option(_RELEASED, "its vocabulary file; twice: of source and target, which must be equal"),
    ] = None,
    source_lang: Annotated[str | None, _option(_RELEASED, "language of the documents")] = None,
    target_lang: Annotated[str | None, _option(_RELEASED, "language of the summaries")] = None,
    without_latents: Annotated[
        bool,
        _option(
            _RELEASED, "leave latents and Eq. 8 out, as the released beam search does", "--without-latents"
        ),
    ] = False,
    to_hf: Annotated[
        bool, _option(_HUGGINGFACE, "write a folder that HuggingFace loads", "--to-hf")
    ] = False,
    tokenizer: Annotated[
        Path | None, _option(_HUGGINGFACE, "folder of its tokenizer (where the run began, if that is there)")
    ] = None,
    from_hf: Annotated[
        bool, _option(_HUGGINGFACE, "write OUT/checkpoint.pt, for fairseq-generate", "--from-hf")
    ] = False,
    data: Annotated[
        Path | None, _option(_HUGGINGFACE, "DATA to use it with, prepared with its vocabulary")
    ] = None,
    task: Annotated[
        str | None, _option(_HUGGINGFACE, "task to use it for (many_to_many_summarization)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print what was converted as JSON")] = False,
) -> None:
    """Convert a checkpoint of the released code (XL2248/VHM) so that fairseq decodes with it, or an mT5.

    Example: vhm convert zhen/checkpoint-step-400000 --vocab vocab.shared.zhen.txt --source-lang zh
    --target-lang en --out converted
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
        report = _convert_released(source, out, vocab, source_lang, target_lang, not without_latents)
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
        return
    print(f"{out}: {report['parameters']:,} parameters")
    for name, value in report.items():
        if name not in ("parameters", "checkpoint", "folder", "flags"):
            print(f"  {name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")


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
