"""Agreement against the worked examples of the papers that define it."""

import sys

import numpy as np
import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.human_eval.agreement import agreement, fleiss_kappa, item_ratings, krippendorff_alpha
from fairseq_vhm.human_eval.ratings import read_all

# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): four observers, twelve units.
OBSERVERS = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
# Fleiss, Psychological Bulletin 76(5), 1971, table 1: thirty patients, six diagnoses of each.
DIAGNOSES = """
444444 222555 233335 555555 222444 113333 333355 113334 114444 555555
144444 124444 222333 144444 224445 333335 111455 111112 224444 133555
555555 244444 224555 114444 144445 222224 111155 224444 133333 555555
"""


def array(rows) -> np.ndarray:
    return np.array([[np.nan if mark == "." else float(mark) for mark in row] for row in rows])


def test_alpha_of_krippendorff_s_example_is_his():
    assert krippendorff_alpha(array(OBSERVERS)) == pytest.approx(0.815, abs=0.0005)


def test_kappa_of_fleiss_s_example_is_his():
    assert fleiss_kappa(array(DIAGNOSES.split()).T) == pytest.approx(0.430, abs=0.0005)


def up(line, systems, criterion):
    return 1 + line % 5


def down(line, systems, criterion):
    return 5 - line % 5


def test_full_agreement_is_1(key, export):
    found = agreement(read_all([export("anna", up), export("ben", up)], key), key)
    assert [(one.alpha, one.kappa, one.equal) for one in found] == [(1, pytest.approx(1), 1)] * 3


def test_opposite_ratings_are_below_chance_for_alpha(key, export):
    found = agreement(read_all([export("anna", up), export("ben", down)], key), key)
    assert all(one.alpha < -0.3 for one in found)


def test_shares_of_equal_and_near_ratings_are_counted_once_for_a_shared_text(key, export):
    rated = {1: 4, 2: 5}
    paths = [export("anna", lambda *_: 3), export("ben", lambda line, *_: rated.get(line, 3))]
    [one, *_] = agreement(read_all(paths, key), key)
    assert one.texts == one.shared == 34  # 12 lines of three systems, less two for the text that they share
    assert (one.equal, one.within_one) == (pytest.approx(30 / 34), pytest.approx(31 / 34))


def test_two_different_ratings_are_enough_for_alpha_and_kappa(key, export):
    """Of 68 ratings one is no 3, so any other pair would be as likely to differ: by both formulas 0."""
    paths = [export("anna", lambda *_: 3), export("ben", lambda line, *_: 4 if line == 1 else 3)]
    [one, *_] = agreement(read_all(paths, key), key)
    assert one.alpha == pytest.approx(0, abs=1e-9) and one.kappa == pytest.approx(-1 / 67)


def test_texts_that_each_only_two_of_three_rated_have_an_alpha_and_no_kappa(key, export):
    key.orders["cleo"] = key.orders["anna"]

    def but(third: int):
        return lambda line, *_: None if line % 3 == third else 1 + line % 5

    paths = [export(name, but(third)) for third, name in enumerate(("anna", "ben", "cleo"))]
    for one in agreement(read_all(paths, key, lenient=True), key):
        assert (one.alpha, one.kappa, one.equal) == (1, None, 1)
        assert (one.texts, one.shared, one.reason) == (34, 0, "kappa: no text rated by all annotators")


def test_an_unfinished_sample_counts_for_alpha_among_the_others_and_not_for_kappa(key, export):
    def rate(line, systems, criterion):
        return 1 + (line + len(criterion)) % 5

    def but_line_3(line, systems, criterion):
        return None if line == 3 and criterion == "fluency" else rate(line, systems, criterion)

    read = read_all([export("anna", rate), export("ben", but_line_3)], key, lenient=True)
    assert np.isnan(item_ratings(read, key, "conciseness")).sum() == 3
    assert {one.shared for one in agreement(read, key)} == {31}


@pytest.mark.parametrize(
    ("rates", "reason"),
    [
        ([lambda line, *_: 1 + line % 5], "one annotator"),
        ([lambda *_: 4, lambda *_: 4], "all ratings are the same"),
        (
            [lambda line, *_: 2 if line < 7 else None, lambda line, *_: 3 if line >= 7 else None],
            "no text rated by two annotators",
        ),
    ],
)
def test_what_is_not_defined_is_none_with_its_reason(key, export, rates, reason):
    paths = [export(name, rate) for name, rate in zip(("anna", "ben"), rates, strict=False)]
    found = agreement(read_all(paths, key, lenient=True), key)
    assert [(one.alpha, one.kappa, one.reason) for one in found] == [(None, None, reason)] * 3
    shares = 1.0 if reason == "all ratings are the same" else None
    assert all((one.equal, one.within_one) == (shares, shares) for one in found)
    assert {one.texts == one.shared == 0 for one in found} == {shares is None}


def test_without_the_library_of_alpha_the_remedy_is_named(key, export, monkeypatch):
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    read = read_all([export("anna", up), export("ben", up)], key)
    with pytest.raises(UserError, match=r"pip install 'fairseq-vhm\[human-eval\]'"):
        agreement(read, key)
