"""Segmentation that is named on the command line."""

from pathlib import Path

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.pipeline.segmentation import segmenter_of

TEXT = "The cat doesn't sit here, it sat there. "


@pytest.fixture
def corpus(tmp_path) -> Path:
    path = tmp_path / "text"
    path.write_text(TEXT * 30 + "\n")
    return path


def segmenter(spec: str, target: str = "en"):
    return segmenter_of("mt", spec, Path("none"), "en", target)


def test_none_takes_the_text_as_it_is():
    assert segmenter("none").encode("a b@@ c", "en") == segmenter("none").decode("a b@@ c", "en") == "a b@@ c"


def test_sentencepiece_is_the_librarys_own(corpus):
    import sentencepiece

    prefix = str(corpus.with_name("spm"))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=prefix, vocab_size=20, minloglevel=2
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model").encode(TEXT, out_type=str)
    found = segmenter(f"sentencepiece:{prefix}.model")
    assert found.encode(TEXT, "en") == " ".join(pieces)
    assert found.decode(" ".join(pieces), "en") == TEXT.strip()


def test_moses_and_subword_nmt_come_back_to_the_text(corpus):
    learn_bpe = pytest.importorskip("subword_nmt.learn_bpe")
    codes = corpus.with_name("codes")
    with corpus.open() as text, codes.open("w") as written:
        learn_bpe.learn_bpe(text, written, 8)
    found = segmenter(f"moses+subword_nmt:{codes}")
    symbols = found.encode(TEXT, "en")
    assert "@@" in symbols and "&apos;t" in symbols.replace("@@ ", "")
    assert found.decode(symbols, "en") == TEXT.strip()
    assert "@@" in segmenter(f"subword_nmt:{codes}").encode("there", "en")


def test_what_is_no_model_is_refused_with_the_flag(corpus):
    for kind in ("sentencepiece", "moses+subword_nmt"):
        path = corpus.with_name("broken")
        path.write_bytes(b"#version: x\n\xff")
        with pytest.raises(UserError, match=r"^--mt-segmentation .*broken"):
            segmenter(f"{kind}:{path}")


def test_an_unknown_kind_a_missing_file_and_a_folder_without_are_refused(tmp_path):
    for spec, said in (
        ("spm", "--mt-segmentation spm: give data, none, sentencepiece:MODEL"),
        ("none:file", "--mt-segmentation none:file: give data"),
        (f"sentencepiece:{tmp_path / 'x'}", "sentencepiece:.*x is missing"),
        ("data", "--mt-data none: `vhm prepare` left no segmentation there"),
    ):
        with pytest.raises(UserError, match=said):
            segmenter(spec)
