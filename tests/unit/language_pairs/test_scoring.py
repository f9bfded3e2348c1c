"""Scores of pairs are those of the metrics on each pair's texts, with every text read by a model once."""

import math

import fasttext
import many_languages as many
import numpy as np
import pytest

from fairseq_vhm.language_pairs.examples import PairExamples, read_examples
from fairseq_vhm.language_pairs.scoring import score_pairs, source_name, usual_metrics
from fairseq_vhm.metrics.display import as_json
from fairseq_vhm.metrics.evaluation import evaluate
from fairseq_vhm.metrics.lase import NAMES
from fairseq_vhm.metrics.resources import Given, Resources

METRICS = ["rouge", "lase", "offtarget", "length"]


def untracked(things, _):
    return things


@pytest.fixture(scope="module")
def examples(corpus, outputs, tmp_path_factory):
    path = many.write_outputs(tmp_path_factory.mktemp("log") / "test.log", outputs)
    return read_examples(corpus, "test", path).pairs


@pytest.fixture(scope="module")
def scored(examples, models):
    return {one.name: one for one in score_pairs(examples, METRICS, Resources(METRICS, models), untracked)}


def test_each_pair_scores_as_its_texts_alone(examples, scored, models):
    for pair in examples:
        references = [[reference] for reference in pair.references]
        resources = Resources(METRICS, models)
        alone = evaluate(pair.hypotheses, references, pair.target, METRICS, resources=resources)
        document = as_json(alone, len(pair.hypotheses))
        found = scored[f"{pair.source}-{pair.target}"]
        assert found.count == document["n"] == many.COUNTS[pair.source, pair.target]
        for name, parts in document["metric"].items():
            assert found.metric[name] == pytest.approx(parts)
            assert found.signature[name] == document["signature"][name]


def test_chinese_is_read_by_characters_and_says_so(scored):
    assert "tok:zh-characters" in scored["en-zh-CN"].signature["rouge2"]
    assert "tok:by-script" in scored["en-de"].signature["rouge2"]


def test_lase_by_source_is_the_formula_with_lengths_in_labses_pieces(examples, scored, models):
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(models.labse), device="cpu")
    predict = fasttext.load_model(str(models.lid)).predict
    (pair,) = [one for one in examples if (one.source, one.target) == ("zh-CN", "en")]
    expected = []
    for output, own in zip(pair.hypotheses, pair.own, strict=True):
        one, two = encoder.encode([output, own])
        meaning = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
        labels, figures = predict(output, k=-1)
        place = labels.index("__label__en")
        confidence = 1.0 if place == 0 else float(figures[place])
        pieces = [len(encoder.tokenizer.tokenize(text)) for text in (output, own)]
        expected.append(meaning * confidence * min(1, math.exp(1 - pieces[0] / (pieces[1] + 6))))
    parts = scored["zh-CN-en"].metric["lase_source"]
    assert parts["value"] == pytest.approx(100 * np.mean(expected), abs=1e-3)
    assert parts["n"] == 2
    assert "refs-in:zh-CN" in scored["zh-CN-en"].signature["lase_source"]


def test_lase_by_source_needs_an_own_summary_in_another_language(scored):
    """German articles have none, and an English summary of an English article is the reference."""
    has = {name: "lase_source" in one.metric for name, one in scored.items()}
    assert has == {"en-de": True, "en-zh-CN": True, "zh-CN-en": True, "de-en": False, "en-en": False}
    assert set(map(source_name, NAMES)) <= set(scored["en-de"].metric)


def test_only_outputs_whose_article_has_a_summary_enter_lase_by_source(models):
    text, other = "das gericht wurde am montag", "the court opened on a monday"
    pair = PairExamples("en", "de", [text, "und"], [text, text], [other, None])
    alone = PairExamples("en", "de", [text], [text], [other])
    both, one = (
        score_pairs([p], ["lase"], Resources(["lase"], models), untracked)[0].metric["lase_source"]
        for p in (pair, alone)
    )
    assert both == pytest.approx(one) and both["n"] == 1


def test_each_text_is_embedded_and_identified_once_for_all_pairs(examples, models, monkeypatch):
    resources = Resources(METRICS, models)
    embedded, identified = [], []
    forward, tell = resources.labse._forward, resources.lid._identifier.probabilities
    monkeypatch.setattr(resources.labse, "_forward", lambda batch: embedded.extend(batch) or forward(batch))
    monkeypatch.setattr(
        resources.lid._identifier, "probabilities", lambda text: identified.append(text) or tell(text)
    )
    score_pairs([*examples, *examples], METRICS, resources, untracked)
    texts = {text for pair in examples for text in (*pair.hypotheses, *pair.references)}
    assert sorted(embedded) == sorted(texts | {own for pair in examples for own in pair.own if own})
    assert sorted(identified) == sorted(texts)


def test_a_target_that_the_identifier_does_not_know_is_scored_without_off_target(models):
    pair = PairExamples("en", "sw", ["habari za leo"], ["habari za jana"], [None])
    (found,) = score_pairs([pair], METRICS, Resources(METRICS, models), untracked)
    assert "offtarget" not in found.metric
    assert found.metric["rouge1"]["f"] == pytest.approx(100 * 2 / 3, abs=0.01)
    assert found.metric["lase_language"]["known"] == 0


def test_without_models_the_metrics_that_need_none_are_the_usual_ones(models):
    assert usual_metrics(Given()) == ["rouge", "offtarget", "length"]
    assert usual_metrics(models) == METRICS
