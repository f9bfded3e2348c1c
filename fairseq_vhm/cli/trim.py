"""``vhm trim``: a pre-trained model reduced to the vocabulary of the user's texts."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint, such as mbart.cc25's model.pt.")],
    dictionary: Annotated[Path, typer.Option("--dict", help="The dictionary that it was trained with.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    spm: Annotated[Path | None, typer.Option(help="Its SentencePiece model; texts are then raw.")] = None,
    text: Annotated[
        list[Path] | None, typer.Option(help="Texts, one a line; without --spm segmented. May repeat.")
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="A folder of fairseq-preprocess, made with --dict. May repeat.")
    ] = None,
    langs: Annotated[
        str | None, typer.Option(help="Languages of its training, or mbart25, if it does not say.")
    ] = None,
    keep_characters: Annotated[
        bool, typer.Option(help="Keep every single character, so that other texts meet no unknown ones.")
    ] = True,
    lowercase: Annotated[bool, typer.Option("--lowercase", help="Lower-case the texts first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Reduce the vocabulary and the embeddings of a checkpoint to what texts need.

    Example: vhm trim mbart.cc25/model.pt --dict mbart.cc25/dict.txt --spm mbart.cc25/sentence.bpe.model
    --text corpus/train.en --text corpus/train.zh --out mbart-en-zh
    """
    import fairseq_vhm

    fairseq_vhm.register()
    from tqdm import tqdm

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
    figures = trim(request, lambda items, name: tqdm(items, desc=name, leave=False, disable=None))
    print(json.dumps(figures.as_json(), indent=2) if as_json else figures.table().plain())
    print(f"{out}: written", file=sys.stderr)
