"""``vhm prepare``: raw corpora to prepared folders."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fairseq_vhm.files import check_folder, write_text
from fairseq_vhm.text.lexicon import lexicon_text
from preprocess.crosssum.inputs import find_inputs
from preprocess.crosssum.prepare import prepare_crosssum
from preprocess.crosssum.settings import CrossSumSettings
from preprocess.crosssum.summary import print_corpus
from preprocess.encoding import available_cores
from preprocess.lexicon import LexiconInputs, LexiconSettings, prepare_lexicon
from preprocess.progress import show_progress
from preprocess.readers import READERS, ReaderOptions
from preprocess.settings import TrioSettings
from preprocess.summary import print_lexicon, print_summary
from preprocess.symbols import write_symbols
from preprocess.trio import prepare_trio

app = typer.Typer(no_args_is_help=True)

_FORMATS = ", ".join(READERS)
_CORPUS, _SEGMENTATION, _CHECKS, _RUN = "Corpora", "Segmentation", "Checks", "Run"
_TEXT, _KEPT = "Parallel text and its alignments", "What is kept"


def _option(help_text: str, panel: str, *names: str, **more: Any) -> typer.models.OptionInfo:
    return typer.Option(*names, help=help_text, rich_help_panel=panel, **more)


def _spec(help_text: str) -> typer.models.OptionInfo:
    return _option(help_text, _CORPUS, metavar="FORMAT:PATH")


@app.callback()
def prepare() -> None:
    """Turn raw corpora into folders that fairseq-train reads."""


@app.command()
def trio(
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    source_lang: Annotated[str, _option("Language of the documents.", _CORPUS)],
    target_lang: Annotated[str, _option("Language of the summaries.", _CORPUS)],
    cls: Annotated[str, _spec(f"Cross-lingual pairs; FORMAT is one of {_FORMATS}.")],
    mt: Annotated[str | None, _spec("Translations.")] = None,
    ms: Annotated[str | None, _spec("Documents with summaries in their own language.")] = None,
    cls_valid: Annotated[str | None, _spec("CLS validation part, if apart.")] = None,
    cls_test: Annotated[str | None, _spec("CLS test part, if apart.")] = None,
    mt_valid: Annotated[str | None, _spec("MT validation part, if apart.")] = None,
    mt_test: Annotated[str | None, _spec("MT test part, if apart.")] = None,
    ms_valid: Annotated[str | None, _spec("MS validation part, if apart.")] = None,
    ms_test: Annotated[str | None, _spec("MS test part, if apart.")] = None,
    hold_out: Annotated[
        int, _option("Draw N training pairs for each part that a corpus lacks.", _CORPUS)
    ] = TrioSettings.hold_out,
    ncls_articles: Annotated[
        str | None, _option("LCSTS PART_I.txt, where Zh2EnSum's documents are.", _CORPUS)
    ] = ReaderOptions.ncls_articles,
    ignore_tag: Annotated[
        list[str] | None, _option("Tag of a block format to pass over; may repeat.", _CORPUS)
    ] = None,
    lcsts_min_label: Annotated[
        int, _option("Lowest human label of LCSTS pairs to keep.", _CORPUS)
    ] = ReaderOptions.lcsts_min_label,
    segmentation: Annotated[
        str, _option("subword (SentencePiece, joined) or word.", _SEGMENTATION)
    ] = TrioSettings.segmentation,
    vocab_size: Annotated[
        int, _option("SentencePiece pieces, or words of the dictionary.", _SEGMENTATION)
    ] = TrioSettings.vocab_size,
    character_coverage: Annotated[
        float, _option("Share of all characters that pieces cover.", _SEGMENTATION)
    ] = TrioSettings.character_coverage,
    spm_sample_mib: Annotated[
        int, _option("Train SentencePiece on a sample of about this size.", _SEGMENTATION)
    ] = TrioSettings.spm_sample_mib,
    spm_model: Annotated[
        str | None, _option("Use this SentencePiece model.", _SEGMENTATION)
    ] = TrioSettings.spm_model,
    dictionary: Annotated[
        str | None, _option("Use this fairseq dictionary.", _SEGMENTATION, "--dict")
    ] = TrioSettings.dictionary,
    chinese_words: Annotated[
        str, _option("Chinese words: jieba or char.", _SEGMENTATION)
    ] = TrioSettings.chinese_words,
    lowercase: Annotated[bool, _option("Lower-case both sides.", _SEGMENTATION)] = TrioSettings.lowercase,
    max_source_length: Annotated[
        int, _option("Cut sources to this many symbols; 0: never.", _SEGMENTATION)
    ] = TrioSettings.max_source_length,
    max_target_length: Annotated[
        int, _option("Cut training targets to this many symbols; 0: never.", _SEGMENTATION)
    ] = TrioSettings.max_target_length,
    on_error: Annotated[
        str, _option("What to do with a bad text: stop or drop.", _CHECKS)
    ] = TrioSettings.on_error,
    dedup: Annotated[
        str, _option("Training pairs that are also held out: report or drop.", _CHECKS)
    ] = TrioSettings.dedup,
    seed: Annotated[int, _option("Seed of samples and draws.", _RUN)] = TrioSettings.seed,
    workers: Annotated[int, _option("Processes.", _RUN, min=1)] = available_cores(),
    overwrite: Annotated[bool, _option("Replace OUT if it was prepared from something else.", _RUN)] = False,
    quiet: Annotated[bool, _option("No progress.", _RUN)] = False,
    as_json: Annotated[bool, _option("Print the manifest as JSON.", _RUN, "--json")] = False,
) -> None:
    """Prepare the three tasks of a pair of languages, binarized with one joined dictionary."""
    specs = {
        "cls": {"train": cls, "valid": cls_valid, "test": cls_test},
        "mt": {"train": mt, "valid": mt_valid, "test": mt_test},
        "ms": {"train": ms, "valid": ms_valid, "test": ms_test},
    }
    settings = TrioSettings(
        source_lang=source_lang,
        target_lang=target_lang,
        specs=specs,
        segmentation=segmentation,
        vocab_size=vocab_size,
        character_coverage=character_coverage,
        spm_sample_mib=spm_sample_mib,
        spm_model=spm_model,
        dictionary=dictionary,
        chinese_words=chinese_words,
        lowercase=lowercase,
        max_source_length=max_source_length,
        max_target_length=max_target_length,
        hold_out=hold_out,
        on_error=on_error,
        dedup=dedup,
        seed=seed,
        reader_options=ReaderOptions(ncls_articles, tuple(ignore_tag or ()), lcsts_min_label),
    )
    with show_progress(quiet) as progress:
        manifest, is_new = prepare_trio(settings, out, workers, overwrite, progress)
    if as_json:
        print(json.dumps(manifest, ensure_ascii=False, indent=2))
    else:
        print_summary(manifest, out, is_new)


@app.command()
def crosssum(
    out: Annotated[Path, typer.Argument(metavar="DATA", help="The folder to make.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...", help="Folders of .jsonl and .jsonl.gz whose names say the split; or files."
        ),
    ] = None,
    train: Annotated[
        list[str] | None, _option("Training file, folder or quoted pattern; may repeat.", _CORPUS)
    ] = None,
    valid: Annotated[list[str] | None, _option("Validation file, likewise.", _CORPUS)] = None,
    test: Annotated[list[str] | None, _option("Test file, likewise.", _CORPUS)] = None,
    lang: Annotated[
        str | None, _option("Language of files that do not tell it: en; or two: en-bn.", _CORPUS)
    ] = CrossSumSettings.lang,
    vocab_size: Annotated[int, _option("SentencePiece pieces.", _SEGMENTATION)] = CrossSumSettings.vocab_size,
    character_coverage: Annotated[
        float, _option("Share of characters with a piece of their own.", _SEGMENTATION)
    ] = CrossSumSettings.character_coverage,
    spm_alpha: Annotated[
        float,
        _option("Languages share SentencePiece's text by size to this power; 1: as they are.", _SEGMENTATION),
    ] = CrossSumSettings.spm_alpha,
    spm_sample_mib: Annotated[
        int, _option("Train SentencePiece on a sample of about this size.", _SEGMENTATION)
    ] = CrossSumSettings.spm_sample_mib,
    spm_model: Annotated[
        str | None, _option("Use this SentencePiece model.", _SEGMENTATION, "--spm")
    ] = CrossSumSettings.spm_model,
    mt5: Annotated[
        str | None, _option("Use the vocabulary of the mT5 in this folder.", _SEGMENTATION)
    ] = CrossSumSettings.mt5,
    max_source_length: Annotated[
        int, _option("Cut articles to this many symbols; 0: never.", _SEGMENTATION)
    ] = CrossSumSettings.max_source_length,
    on_error: Annotated[
        str, _option("What to do with a bad row: stop or drop.", _CHECKS)
    ] = CrossSumSettings.on_error,
    dedup: Annotated[
        str, _option("Training rows that are also held out: stop, drop or report.", _CHECKS)
    ] = CrossSumSettings.dedup,
    seed: Annotated[int, _option("Seed of the sample.", _RUN)] = CrossSumSettings.seed,
    workers: Annotated[int, _option("Processes.", _RUN, min=1)] = available_cores(),
    overwrite: Annotated[bool, _option("Replace DATA if it was prepared from something else.", _RUN)] = False,
    quiet: Annotated[bool, _option("No progress.", _RUN)] = False,
    as_json: Annotated[bool, _option("Print the manifest as JSON.", _RUN, "--json")] = False,
) -> None:
    """Prepare XL-Sum, CrossSum or other pairs of many languages, each text once."""
    by_split = {"train": train or (), "valid": valid or (), "test": test or ()}
    settings = CrossSumSettings(
        files=find_inputs(inputs or (), by_split),
        lang=lang,
        vocab_size=vocab_size,
        character_coverage=character_coverage,
        spm_alpha=spm_alpha,
        spm_sample_mib=spm_sample_mib,
        spm_model=spm_model,
        mt5=mt5,
        max_source_length=max_source_length,
        on_error=on_error,
        dedup=dedup,
        seed=seed,
    )
    with show_progress(quiet) as progress:
        manifest, is_new = prepare_crosssum(settings, out, workers, overwrite, progress)
    if as_json:
        print(json.dumps(manifest, ensure_ascii=False, indent=2))
    else:
        print_corpus(manifest, out, is_new)


@app.command()
def lexicon(
    out: Annotated[Path, typer.Argument(help="The file to write: source, target, probability.")],
    data: Annotated[
        Path | None, _option("Prepared folder, whose MT training text is used.", _TEXT)
    ] = None,
    source: Annotated[Path | None, _option("Or: source side, as it was binarised.", _TEXT)] = None,
    target: Annotated[Path | None, _option("Target side, line by line with it.", _TEXT)] = None,
    alignments: Annotated[
        Path | None, _option("Word alignments, I-J (Pharaoh); without, eflomal makes them.", _TEXT)
    ] = None,
    reverse_alignments: Annotated[
        Path | None, _option("Those of the other direction, source first as well.", _TEXT)
    ] = None,
    min_probability: Annotated[
        float, _option("Drop translations less probable than this.", _KEPT)
    ] = LexiconSettings.min_probability,
    candidates: Annotated[
        int, _option("Most translations of a word.", _KEPT)
    ] = LexiconSettings.candidates,
    quiet: Annotated[bool, _option("No progress.", _RUN)] = False,
    as_json: Annotated[bool, _option("Print the account as JSON.", _RUN, "--json")] = False,
) -> None:
    """Make a bilingual lexicon for --arch ats_transformer from word alignments."""
    check_folder(out, "OUT")
    inputs = LexiconInputs(data, source, target, alignments, reverse_alignments)
    with show_progress(quiet) as progress:
        entries, account = prepare_lexicon(
            inputs, LexiconSettings(min_probability, candidates), progress
        )
    write_text(out, lexicon_text(entries))
    if as_json:
        print(json.dumps(account, indent=2))
    else:
        print_lexicon(account, out)


@app.command()
def symbols(
    data: Annotated[Path, typer.Argument(help="Prepared folder.")],
    out: Annotated[Path, typer.Argument(help="Prefix of the files to write: OUT.SRC, OUT.TGT.")],
    task: Annotated[str, _option("cls, mt or ms.", _CORPUS)] = "mt",
    split: Annotated[str, _option("train, valid or test.", _CORPUS)] = "train",
    quiet: Annotated[bool, _option("No progress.", _RUN)] = False,
) -> None:
    """Write the symbols of a prepared text as lines, for a word aligner or to look at."""
    check_folder(out, "OUT")
    with show_progress(quiet) as progress:
        written = write_symbols(data, task, split, out, progress)
    print(*written, sep="\n")
