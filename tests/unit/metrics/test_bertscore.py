"""BERTScore against the bert-score library's own scoring."""

import numpy as np
import pytest
import tiny_encoders

from fairseq_vhm.metrics.bertscore import score_bertscore, usual_layer
from fairseq_vhm.text.encoders import TokenEncoder

OUTPUTS = ["the court opened here on monday", "a cat sat on a mat", "zoo", "法院今天开庭，", "a < b <unk>"]
REFERENCES = ["a court opened on monday, here", "the cat sat", "the rain fell here", "北京法院开庭。", "a b"]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / f"tiny-{request.param}"
    if request.param == "bert":
        return tiny_encoders.bert(path)
    # The library asks for a blank before the first word, but transformers 5 does not hear it there.
    return tiny_encoders.roberta(path, stated_limit=tiny_encoders.POSITIONS, add_prefix_space=True)


@pytest.fixture(scope="module")
def encoder(folder):
    return TokenEncoder(folder, "cpu")


def one_each(references):
    return [[reference] for reference in references]


@pytest.mark.parametrize("layer", range(tiny_encoders.LAYERS + 1))
def test_scores_are_the_librarys(folder, layer):
    import bert_score

    scored = score_bertscore(OUTPUTS, one_each(REFERENCES), TokenEncoder(folder, "cpu", layer=layer))
    precision, recall, f1 = bert_score.score(
        OUTPUTS, REFERENCES, model_type=str(folder), num_layers=layer, device="cpu", use_fast_tokenizer=True
    )
    assert scored.per_segment == pytest.approx((100 * f1).tolist(), abs=1e-3)
    assert scored.parts["f"] == scored.value == pytest.approx(100 * f1.mean().item(), abs=1e-3)
    assert scored.parts["p"] == pytest.approx(100 * precision.mean().item(), abs=1e-3)
    assert scored.parts["r"] == pytest.approx(100 * recall.mean().item(), abs=1e-3)
    assert f"|layer:{layer}|" in scored.signature


def test_a_text_scores_100_against_itself(encoder):
    scored = score_bertscore(OUTPUTS, one_each(OUTPUTS), encoder)
    assert scored.per_segment == pytest.approx([100] * len(OUTPUTS), abs=1e-3)


@pytest.mark.parametrize(("output", "reference"), [("", "the cat"), ("the cat", " \n"), ("", "")])
def test_an_empty_side_scores_0_beside_others_that_do_not(encoder, output, reference):
    scored = score_bertscore([output, "rain"], [[reference], ["rain"]], encoder)
    assert scored.per_segment == pytest.approx([0, 100], abs=1e-3)


def test_exchanged_sides_exchange_precision_and_recall(encoder):
    there = score_bertscore(OUTPUTS, one_each(REFERENCES), encoder)
    back = score_bertscore(REFERENCES, one_each(OUTPUTS), encoder)
    assert there.parts["p"] == pytest.approx(back.parts["r"], abs=1e-4)
    assert there.per_segment == pytest.approx(back.per_segment, abs=1e-4)


def test_scores_do_not_depend_on_batches_or_order(folder, encoder):
    plain = score_bertscore(OUTPUTS, one_each(REFERENCES), encoder).per_segment
    mixed = score_bertscore(OUTPUTS[::-1], one_each(REFERENCES[::-1]), TokenEncoder(folder, "cpu", 1))
    assert mixed.per_segment[::-1] == pytest.approx(plain, abs=1e-3)


def test_of_several_references_the_one_of_highest_f_or_the_mean(encoder):
    both = [[one, two] for one, two in zip(REFERENCES, REFERENCES[::-1], strict=True)]
    apart = [score_bertscore(OUTPUTS, one_each(side), encoder) for side in zip(*both, strict=True)]
    figures = np.array([score.per_segment for score in apart])
    best = score_bertscore(OUTPUTS, both, encoder, "best")
    mean = score_bertscore(OUTPUTS, both, encoder, "mean")
    assert best.per_segment == pytest.approx(figures.max(axis=0), abs=1e-4)
    assert mean.per_segment == pytest.approx(figures.mean(axis=0), abs=1e-4)
    assert "refs:2|multi:best" in best.signature


def test_parts_are_those_of_rouge_with_the_number_of_texts_cut(encoder):
    scored = score_bertscore(["the cat " * 40, "a cat"], [["rain"], ["rain fell"]], encoder)
    assert list(scored.parts) == ["f", "p", "r", "low", "high", "cut"]
    assert scored.parts["low"] <= scored.value <= scored.parts["high"]
    assert scored.parts["cut"] == 1 and "max:24|idf:no|rescaled:no" in scored.signature


def test_the_layer_is_the_librarys_for_models_it_knows_else_three_quarters_up(tmp_path):
    known = tiny_encoders.bert(tmp_path / "distilbert-base-uncased", layers=6)
    other = tiny_encoders.bert(tmp_path / "my-bert", layers=6)
    too_deep = tiny_encoders.bert(tmp_path / "bert-base-uncased", layers=2)
    assert usual_layer(TokenEncoder(known)) == 5  # bert_score.utils.model2layers
    assert usual_layer(TokenEncoder(other)) == 5  # of 6
    assert usual_layer(TokenEncoder(too_deep)) == 2  # the library's 9 is not there


@pytest.mark.parametrize("name", ["scibert", "t5-like"])
def test_the_folders_name_does_not_choose_another_kind_of_model(tmp_path, name):
    encoder = TokenEncoder(tiny_encoders.bert(tmp_path / name), "cpu")
    assert score_bertscore(["the cat"], [["the cat"]], encoder).value == pytest.approx(100, abs=1e-3)
