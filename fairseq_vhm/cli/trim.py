"""``vhm trim``: a pre-trained model reduced to the vocabulary of the user's texts."""

from pathlib import Path
from typing import Annotated

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.cli.options import option
from fairseq_vhm.cli.terminal import present
from preprocess.progress import show_progress


def command(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint, such as mbart.cc25's model.pt.")],
    dictionary: Annotated[Path, option("The dictionary that it was trained with.", "--dict")],
    out: options.Out,
    spm: Annotated[Path | None, option("Its SentencePiece model; texts are then raw.")] = None,
    text: Annotated[
        list[Path] | None, option("Texts, one a line; without --spm segmented; may be repeated.")
    ] = None,
    data: Annotated[
        list[Path] | None, option("A folder of fairseq-preprocess, made with --dict; may be repeated.")
    ] = None,
    langs: Annotated[str | None, option("Languages of its training, or mbart25, if it does not say.")] = None,
    keep_characters: Annotated[
        bool, option("Keep every single character, so that other texts meet no unknown ones.")
    ] = True,
    lowercase: Annotated[bool, option("Lower-case the texts first.", "--lowercase")] = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Reduce the vocabulary and the embeddings of a checkpoint to what texts need.

    Examples:
        vhm trim mbart.cc25/model.pt --dict mbart.cc25/dict.txt --spm mbart.cc25/sentence.bpe.model \\
            --text corpus/train.en --text corpus/train.zh --out mbart-en-zh
    """
    import fairseq_vhm

    fairseq_vhm.register()
    from fairseq_vhm.trimming import Request, trim

    request = Request(
        checkpoint,
        dictionary,
        out,
        spm,
        tuple(text or ()),
        tuple(data or ()),
        langs,
        keep_characters,
        lowercase,
    )
    with show_progress(quiet) as progress:
        figures = trim(request, progress.track)
    present(figures.as_json(), f"{figures.table().plain()}\n\n{out}: written", json, quiet)
