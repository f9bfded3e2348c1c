"""What is refused of the annotators' files, and what is counted."""

import json
import re

import numpy as np
import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.human_eval.key import read_key
from fairseq_vhm.human_eval.ratings import checksum, findings, ratings_array, read_all


def all_threes(line, systems, criterion):
    return 3


def change(path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_rating(path, value) -> None:
    ratings = json.loads(path.read_text())["ratings"]
    ratings[next(iter(ratings))]["fluency"] = value
    change(path, ratings=ratings, checksum=checksum(ratings) if type(value) is int else "")


def test_whole_files_are_read_in_the_order_of_the_key(key, export):
    paths = [export("ben", all_threes), export("anna", all_threes)]
    read = read_all(paths, key)
    assert [one.annotator for one in read] == ["anna", "ben"]
    assert not list(findings(read, key))
    assert np.array_equal(ratings_array(read, key), np.full((2, 12, 3, 3), 3.0))


def test_a_shared_output_s_rating_is_every_one_of_its_systems(key, export):
    path = export("anna", lambda line, systems, name: 5 if len(systems) > 1 else 1)
    [by_sample] = ratings_array(read_all([path], key), key)
    assert (by_sample[0] == 5).all() and (by_sample[1:] == 1).all()


@pytest.mark.parametrize("value", [0, 6, -1, 3.5, 4.0, "4", None, True, [4]])
def test_a_rating_that_is_no_whole_number_from_1_to_5_is_refused(key, export, value):
    path = export("anna", all_threes)
    change_rating(path, value)
    with pytest.raises(UserError, match="fluency: .* is not a rating from 1 to 5"):
        read_all([path], key, lenient=True)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"study": "0123456789ab"}, "of study 0123456789ab, the key is of"),
        ({"annotator": "zoe"}, "annotator 'zoe' is not of this study; there are anna, ben"),
        ({"annotator": ["anna"]}, "annotator '['anna']' is not of this study"),
        ({"format": "something else"}, "not the file that the page exports"),
        ({"ratings": None}, "has no ratings"),
        ({"comments": []}, "has no comments"),
        ({"comments": {"99": "hm"}}, "comment on '99' is not one of this study's samples"),
        ({"ratings": {"999": {"fluency": 3}}}, "item '999' is not one of this study's"),
        ({"ratings": {"001": {"beauty": 3}}}, "item '001' is not one of this study's"),
        ({"ratings": {"001": 3}}, "item '001' is not one of this study's"),
    ],
)
def test_what_the_page_did_not_export_for_this_study_is_refused(key, export, changes, complaint):
    path = export("anna", all_threes)
    change(path, **changes)
    with pytest.raises(UserError, match=re.escape(complaint)) as refusal:
        read_all([path], key, lenient=True)
    assert str(refusal.value).startswith(f"{path}: ")


@pytest.mark.parametrize("content", [b"", b'{"format": ', b"[]", b"\xff\xfe", b"null"])
def test_a_damaged_file_is_refused_by_name(key, export, content):
    path = export("anna", all_threes)
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(str(path))):
        read_all([path], key, lenient=True)


def test_two_files_of_one_annotator_are_refused(key, export, texts):
    first = export("anna", all_threes)
    again = texts / "again.json"
    again.write_bytes(first.read_bytes())
    with pytest.raises(UserError, match="again.json: annotator anna again .*ratings-anna.json"):
        read_all([first, again], key, lenient=True)


def test_an_edited_file_is_refused_or_taken_and_stated(key, export):
    path = export("anna", all_threes)
    kept = json.loads(path.read_text())["checksum"]
    change_rating(path, 5)
    change(path, checksum=kept)
    with pytest.raises(UserError, match="was edited after its export"):
        read_all([path], key)
    stated = list(findings(read_all([path], key, lenient=True), key))
    assert stated[1] == f"{path}: was edited after its export; taken as it is"


def test_an_incomplete_file_is_refused_or_its_unfinished_samples_are_left_out(key, export):
    def all_but_one(line, systems, criterion):
        return None if line == 5 and "Beta" in systems and criterion == "fluency" else 3

    path = export("anna", all_but_one)
    total = sum(len(sample["items"]) for sample in key.samples) * 3
    with pytest.raises(UserError, match=f"1 of {total} ratings are missing; ask anna to finish"):
        read_all([path], key)
    read = read_all([path], key, lenient=True)
    assert list(findings(read, key)) == [
        "no ratings of ben (1 of 2 annotators)",
        f"{path}: 1 ratings are missing; 1 of 12 samples of anna are left out",
    ]
    missing = np.isnan(ratings_array(read, key))
    assert missing[0, 4].all() and missing.sum() == 9


def test_the_checksum_is_the_crc_32_of_the_sorted_lines():
    # printf '1 a 2\n1 b 3\n2 a 1' | gzip -c | tail -c 8 | head -c 4 | od -An -tx4
    assert checksum({"2": {"a": 1}, "1": {"b": 3, "a": 2}}) == "38e1bd54"


@pytest.mark.parametrize(
    "damage",
    [
        {"format": "x"},
        {"samples": []},
        {"samples": [{"items": {}}]},
        {"more": 1},
        {"systems": ["Alpha"]},
        {"systems": ["Alpha", "Beta", "Gamma", "Delta"]},
        {"orders": {"anna": [["001"]]}},
        {"orders": []},
    ],
)
def test_a_damaged_key_is_refused(key, texts, damage):
    path = texts / "study" / "key.json"
    change(path, **damage)
    with pytest.raises(UserError, match=re.escape(str(path))):
        read_key(path)


def test_a_key_in_which_a_sample_lacks_a_system_is_refused(key, texts):
    """Its mean would be of no rating."""
    path = texts / "study" / "key.json"
    content = json.loads(path.read_text())
    next(names for names in content["samples"][3]["items"].values()).clear()
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="key.json: a damaged key; the command that made it"):
        read_key(path)
