"""``vhm prepare``: raw corpora to prepared folders."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fairseq_vhm.cli import options
from fairseq_vhm.cli.commands import Group
from fairseq_vhm.cli.options import option
from fairseq_vhm.cli.terminal import present
from fairseq_vhm.files import check_folder, write_text
from fairseq_vhm.names import TASKS
from fairseq_vhm.text.lexicon import lexicon_text
from fairseq_vhm.text.words import CHINESE_WORDS
from preprocess.collect import DEDUP
from preprocess.crosssum.inputs import find_inputs
from preprocess.crosssum.prepare import prepare_crosssum
from preprocess.crosssum.settings import LEAKS, CrossSumSettings
from preprocess.crosssum.summary import print_corpus
from preprocess.encoding import available_cores
from preprocess.lexicon import LexiconInputs, LexiconSettings, prepare_lexicon
from preprocess.progress import show_progress
from preprocess.readers import READERS, SPLITS, ReaderOptions
from preprocess.records import ON_ERROR
from preprocess.settings import SEGMENTATIONS, TrioSettings
from preprocess.summary import print_lexicon, print_summary
from preprocess.symbols import write_symbols
from preprocess.trio import prepare_trio

app = Group()

_FORMATS = ", ".join(READERS)
_CORPUS, _SEGMENTATION, _CHECKS = "Corpora", "Segmentation", "Checks"
_TEXT, _KEPT = "Parallel text and its alignments", "What is kept"


_OnError = Annotated[str, option("What to do with a bad text or row.", values=ON_ERROR, panel=_CHECKS)]


def _spec(help_text: str) -> typer.models.OptionInfo:
    return option(help_text, panel=_CORPUS, metavar="FORMAT:PATH")


@app.callback()
def prepare() -> None:
    """Turn raw corpora into folders that fairseq-train reads."""


@app.command()
def trio(
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    source_lang: options.SourceLang,
    target_lang: options.TargetLang,
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
        int, option("Draw N training pairs for each part that a corpus lacks.", panel=_CORPUS)
    ] = TrioSettings.hold_out,
    ncls_articles: Annotated[
        str | None, option("LCSTS PART_I.txt, where Zh2EnSum's documents are.", panel=_CORPUS)
    ] = ReaderOptions.ncls_articles,
    ignore_tag: Annotated[
        list[str] | None, option("Tag of a block format to pass over; may repeat.", panel=_CORPUS)
    ] = None,
    lcsts_min_label: Annotated[
        int, option("Lowest human label of LCSTS pairs to keep.", panel=_CORPUS)
    ] = ReaderOptions.lcsts_min_label,
    segmentation: Annotated[
        str, option("subword is SentencePiece, joined.", values=SEGMENTATIONS, panel=_SEGMENTATION)
    ] = TrioSettings.segmentation,
    vocab_size: Annotated[
        int, option("SentencePiece pieces, or words of the dictionary.", panel=_SEGMENTATION)
    ] = TrioSettings.vocab_size,
    character_coverage: Annotated[
        float, option("Share of all characters that pieces cover.", panel=_SEGMENTATION)
    ] = TrioSettings.character_coverage,
    spm_sample_mib: Annotated[
        int, option("Train SentencePiece on a sample of about this size.", panel=_SEGMENTATION)
    ] = TrioSettings.spm_sample_mib,
    spm_model: Annotated[
        str | None, option("Use this SentencePiece model.", "--spm", "--spm-model", panel=_SEGMENTATION)
    ] = TrioSettings.spm_model,
    dictionary: Annotated[
        str | None, option("Use this fairseq dictionary.", "--dict", panel=_SEGMENTATION)
    ] = TrioSettings.dictionary,
    chinese_words: Annotated[
        str, option("Chinese words.", values=CHINESE_WORDS, panel=_SEGMENTATION)
    ] = TrioSettings.chinese_words,
    lowercase: Annotated[
        bool, option("Lower-case the texts first.", "--lowercase", panel=_SEGMENTATION)
    ] = TrioSettings.lowercase,
    max_source_length: Annotated[
        int, option("Cut sources to this many symbols; 0: never.", panel=_SEGMENTATION)
    ] = TrioSettings.max_source_length,
    max_target_length: Annotated[
        int, option("Cut training targets to this many symbols; 0: never.", panel=_SEGMENTATION)
    ] = TrioSettings.max_target_length,
    on_error: _OnError = TrioSettings.on_error,
    dedup: Annotated[
        str, option("What to do with training pairs that are also held out.", values=DEDUP, panel=_CHECKS)
    ] = TrioSettings.dedup,
    seed: options.Seed = TrioSettings.seed,
    workers: options.Workers = available_cores(),
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Prepare the three tasks of a pair of languages, binarized with one joined dictionary.

    Examples:
        vhm prepare trio DATA --source-lang en --target-lang zh --vocab-size 1500 \\
            --cls lines:corpus/cls --mt lines:corpus/mt --ms lines:corpus/ms
    """
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
    present(manifest, partial(print_summary, manifest, out, is_new), json, quiet)


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
        list[str] | None, option("Training file, folder or quoted pattern; may repeat.", panel=_CORPUS)
    ] = None,
    valid: Annotated[list[str] | None, option("Validation file, likewise.", panel=_CORPUS)] = None,
    test: Annotated[list[str] | None, option("Test file, likewise.", panel=_CORPUS)] = None,
    lang: Annotated[
        str | None, option("Language of files that do not tell it: en; or two: en-bn.", panel=_CORPUS)
    ] = CrossSumSettings.lang,
    vocab_size: Annotated[
        int, option("SentencePiece pieces.", panel=_SEGMENTATION)
    ] = CrossSumSettings.vocab_size,
    character_coverage: Annotated[
        float, option("Share of characters with a piece of their own.", panel=_SEGMENTATION)
    ] = CrossSumSettings.character_coverage,
    spm_alpha: Annotated[
        float,
        option(
            "Languages share SentencePiece's text by size to this power; 1: as they are.", panel=_SEGMENTATION
        ),
    ] = CrossSumSettings.spm_alpha,
    spm_sample_mib: Annotated[
        int, option("Train SentencePiece on a sample of about this size.", panel=_SEGMENTATION)
    ] = CrossSumSettings.spm_sample_mib,
    spm_model: Annotated[
        str | None, option("Use this SentencePiece model.", "--spm", panel=_SEGMENTATION)
    ] = CrossSumSettings.spm_model,
    mt5: Annotated[
        str | None, option("Use the vocabulary of the mT5 in this folder.", panel=_SEGMENTATION)
    ] = CrossSumSettings.mt5,
    max_source_length: Annotated[
        int, option("Cut articles to this many symbols; 0: never.", panel=_SEGMENTATION)
    ] = CrossSumSettings.max_source_length,
    on_error: _OnError = CrossSumSettings.on_error,
    dedup: Annotated[
        str, option("What to do with training rows that are also held out.", values=LEAKS, panel=_CHECKS)
    ] = CrossSumSettings.dedup,
    seed: options.Seed = CrossSumSettings.seed,
    workers: options.Workers = available_cores(),
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Prepare XL-Sum, CrossSum or other pairs of many languages, each text once.

    Examples:
        vhm prepare crosssum DATA CrossSum_v1.0
        vhm prepare crosssum DATA aligned/pairs --mt5 mt5-base
    """
    by_split: dict[str, Iterable[str]] = {"train": train or (), "valid": valid or (), "test": test or ()}
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
    present(manifest, partial(print_corpus, manifest, out, is_new), json, quiet)


@app.command()
def lexicon(
    out: Annotated[Path, typer.Argument(help="The file to write: source, target, probability.")],
    data: Annotated[
        Path | None, option("Prepared folder, whose MT training text is used.", panel=_TEXT)
    ] = None,
    source: Annotated[Path | None, option("Or: source side, as it was binarised.", panel=_TEXT)] = None,
    target: Annotated[Path | None, option("Target side, line by line with it.", panel=_TEXT)] = None,
    alignments: Annotated[
        Path | None, option("Word alignments, I-J (Pharaoh); without, eflomal makes them.", panel=_TEXT)
    ] = None,
    reverse_alignments: Annotated[
        Path | None, option("Those of the other direction, source first as well.", panel=_TEXT)
    ] = None,
    min_probability: Annotated[
        float, option("Drop translations less probable than this.", panel=_KEPT)
    ] = LexiconSettings.min_probability,
    candidates: Annotated[
        int, option("Most translations of a word.", panel=_KEPT)
    ] = LexiconSettings.candidates,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Make a bilingual lexicon for --arch ats_transformer from word alignments.

    Examples:
        vhm prepare lexicon lexicon.tsv --data DATA
    """
    check_folder(out, "OUT")
    inputs = LexiconInputs(data, source, target, alignments, reverse_alignments)
    with show_progress(quiet) as progress:
        entries, account = prepare_lexicon(inputs, LexiconSettings(min_probability, candidates), progress)
    write_text(out, lexicon_text(entries))
    present(account, partial(print_lexicon, account, out), json, quiet)


@app.command()
def symbols(
    data: Annotated[Path, typer.Argument(help="Prepared folder.")],
    out: Annotated[Path, typer.Argument(help="Prefix of the files to write: OUT.SRC, OUT.TGT.")],
    task: Annotated[str, option("Whose text.", values=TASKS, panel=_CORPUS)] = "mt",
    split: Annotated[str, option("Which part of it.", values=SPLITS, panel=_CORPUS)] = "train",
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Write the symbols of a prepared text as lines, for a word aligner or to look at.

    Examples:
        vhm prepare symbols DATA mt.train --task mt --split train
    """
    check_folder(out, "OUT")
    with show_progress(quiet) as progress:
        written = [str(path) for path in write_symbols(data, task, split, out, progress)]
    present({"files": written}, "\n".join(written), json, quiet)
