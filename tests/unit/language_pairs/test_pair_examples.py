"""Outputs and references are joined by the number of the example, pair by pair."""

import json

import many_languages as many
import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.language_pairs.examples import read_examples
from fairseq_vhm.metrics.outputs import read_numbered


def flat(examples):
    return [
        (pair.source, pair.target, *texts)
        for pair in examples.pairs
        for texts in zip(pair.hypotheses, pair.references, pair.own, strict=True)
    ]


@pytest.mark.parametrize("name", ["test.log", "outputs.jsonl"])
def test_each_output_stands_with_the_reference_and_the_own_summary_of_its_example(
    corpus, outputs, tmp_path, name
):
    found = read_examples(corpus, "test", many.write_outputs(tmp_path / name, outputs))
    expected = [
        (source, target, outputs[number], reference, own)
        for number, (source, target, reference, own) in enumerate(many.examples_of(corpus))
    ]
    assert flat(found) == expected
    assert found.without_outputs == []
    assert {own is None for source, _, _, _, own in expected if source == "de"} == {True}


def test_pairs_without_any_output_are_named_and_the_others_taken(corpus, outputs, tmp_path):
    examples = many.examples_of(corpus)
    some = {n: text for n, text in outputs.items() if examples[n][1] == "en"}
    found = read_examples(corpus, "test", many.write_outputs(tmp_path / "test.log", some))
    assert [f"{pair.source}-{pair.target}" for pair in found.pairs] == ["de-en", "en-en", "zh-CN-en"]
    assert found.without_outputs == [("en", "de"), ("en", "zh-CN")]


def test_a_pair_with_some_of_its_outputs_is_refused(corpus, outputs, tmp_path):
    some = dict(list(outputs.items())[:-1])
    with pytest.raises(UserError, match=r"1 of the 2 sentences of zh-CN-en are missing \(first: 11\)"):
        read_examples(corpus, "test", many.write_outputs(tmp_path / "test.log", some))


def test_pieces_are_joined_unasked(tmp_path):
    path = many.write_outputs(tmp_path / "log", {3: "▁das ▁ge richt", 1: "▁法院 今天"})
    assert read_numbered(path, 4) == {1: "法院今天", 3: "das gericht"}


def test_plain_lines_are_one_for_each_example(tmp_path):
    (tmp_path / "hyp").write_text("one\ntwo\n")
    assert read_numbered(tmp_path / "hyp", 2) == {0: "one", 1: "two"}
    with pytest.raises(UserError, match="2 lines for 3 examples"):
        read_numbered(tmp_path / "hyp", 3)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (['{"id": 0, "output": "a"}', '{"id": 9, "output": "b"}'], "sentence 9 is unknown: there are 3"),
        (['{"id": 0, "output": "a"}', '{"id": 0, "output": "b"}'], "line 2: example 0 again"),
        (['{"id": "0", "output": "a"}'], "line 1: id is no whole number"),
        (['{"id": 0}'], 'line 1: not {"id": NUMBER, "output": TEXT}'),
        (["H-0\t-1\ta", "H-0\t-1\tb", "H-5\t-1\tb"], "sentence 5 is unknown"),
    ],
)
def test_other_lines_are_refused(tmp_path, lines, complaint):
    (tmp_path / "hyp").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as raised:
        read_numbered(tmp_path / "hyp", 3)
    assert complaint in str(raised.value)


def test_of_several_hypotheses_the_best_is_taken(tmp_path):
    (tmp_path / "log").write_text("H-1\t-2.0\tworse\nH-1\t-1.0\tbetter\nH-0\t-1\tonly\n")
    assert read_numbered(tmp_path / "log", 2) == {0: "only", 1: "better"}


def test_empty_outputs_are_outputs(tmp_path):
    (tmp_path / "o.jsonl").write_text(json.dumps({"id": 0, "output": ""}) + "\n")
    assert read_numbered(tmp_path / "o.jsonl", 1) == {0: ""}
