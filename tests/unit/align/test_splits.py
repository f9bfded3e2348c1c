"""Splits: nothing that is joined, however indirectly, is in two of them, in whatever languages."""

from collections import Counter

import aligned
import numpy as np
import pytest
from aligned import Page, Sets, at_cosine, read_pairs, read_splits

from fairseq_vhm.align.settings import SPLITS, Pairing, Splitting
from fairseq_vhm.errors import UserError

LEFT_OUT = "left-out"
LANGUAGES = ("am", "en", "fr", "ur")


def splits_of(out):
    return {row["url"]: row["split"] for row in read_splits(out)}


def chain(*parts, cosine=0.9):
    """Pages (language, split) in a plane, each at a cosine to the next alone."""
    turn = np.arccos(cosine)
    return [
        Page(language, str(i), np.array([np.cos(i * turn), np.sin(i * turn)]), split)
        for i, (language, split) in enumerate(parts)
    ]


def test_train_at_the_far_end_of_a_chain_from_test_is_left_out(aligning):
    pages = chain(("am", "test"), ("en", "train"), ("fr", "train"), ("ur", "valid"), ("am", None))
    out, report = aligning(pages)
    found = [splits_of(out)[page.url] for page in pages]
    assert found == ["test", LEFT_OUT, LEFT_OUT, LEFT_OUT, "test"]
    assert report.counts["articles_left_out"] == 3 and report.counts["pairs"] == 0
    assert report.counts["pairs_left_out"] == len(read_pairs(out)) == 4
    assert {row["split"] for row in read_pairs(out)} == {LEFT_OUT}


def test_with_move_they_are_taken_along_and_counted(aligning):
    pages = chain(("am", "test"), ("en", "train"), ("fr", "train"), ("ur", "valid"), ("am", None))
    out, report = aligning(pages, splitting=Splitting("move"))
    assert set(splits_of(out).values()) == {"test"}
    assert report.counts["articles_moved"] == 3 and report.counts["pairs_left_out"] == 0


@pytest.mark.parametrize(
    ("parts", "expected"),
    [(("valid", "train"), "valid"), (("test", "valid"), "test"), (("train", None), "train")],
)
def test_evaluation_wins_over_training_and_test_over_validation(aligning, parts, expected):
    pages = chain(*zip(("am", "en"), parts, strict=True))
    out, _ = aligning(pages, splitting=Splitting("move"))
    assert set(splits_of(out).values()) == {expected}


def test_a_link_that_is_not_mutual_joins_too(aligning):
    """English b is over the threshold to French x, whose best is a: under --match mutual a pair of a and x
    in training must not stand beside b in test."""
    x, a = np.array([1.0, 0, 0]), np.array([0.95, np.sqrt(1 - 0.95**2), 0])
    b = np.array([0.74, 0, np.sqrt(1 - 0.74**2)])
    pages = [Page("fr", "x", x, "train"), Page("en", "a", a, "train"), Page("en", "b", b, "test")]
    out, report = aligning(pages)
    assert report.counts["mutual_pairs"] == 0
    assert splits_of(out) == {pages[0].url: LEFT_OUT, pages[1].url: LEFT_OUT, pages[2].url: "test"}


@pytest.mark.parametrize(("cosine", "joined"), [(0.7351, True), (0.7349, False)])
def test_links_just_over_the_threshold_join_and_those_just_below_do_not(aligning, cosine, joined):
    first, second = at_cosine(cosine, 0, 2)
    out, _ = aligning([Page("en", "1", first, "train"), Page("fr", "1", second, "test")])
    assert (splits_of(out)["https://news/en/1"] == LEFT_OUT) is joined


@pytest.mark.parametrize(
    "twin",
    [
        {"summary": "Rain,  in the NORTH"},  # of "rain in the north!"
        {"text": "One text\nof  both."},
        {"text": "Rain in the north"},  # the other's summary
        {"name": "first"},  # one address, two versions
    ],
)
def test_equal_texts_within_a_language_are_in_one_split(aligning, twin):
    first = Page(
        "en", "first", np.array([1.0, 0]), "train", summary="rain in the north!", text="one text of both"
    )
    second = {"name": "second", "summary": "another", "text": "different"} | twin
    pages = [
        first,
        Page("en", vector=np.array([0, 1.0]), split="test", **second),
        Page("fr", "x", np.array([1.0, 0]), "train"),
    ]
    out, report = aligning(pages)
    assert report.counts["pairs_left_out"] == 1 and splits_of(out)[pages[2].url] == LEFT_OUT


def test_equal_summaries_of_two_languages_are_in_one_split_whatever_their_vectors(aligning):
    pages = [
        Page("en", "1", np.array([1.0, 0]), "train", summary="Live!"),
        Page("fr", "1", np.array([0, 1.0]), "test", summary="live"),
    ]
    out, _ = aligning(pages)
    assert splits_of(out) == {pages[0].url: LEFT_OUT, pages[1].url: "test"}


def tangled(seed, size=60, width=5, unsplit=0.2):
    """Pages so near one another that chains run through languages and splits; some texts are equal."""
    draw = np.random.default_rng(seed)
    topics = draw.normal(size=(40, width))
    for language in LANGUAGES:
        for number in range(size):
            vector = topics[draw.integers(40)] + 0.3 * draw.normal(size=width)
            split = None if draw.random() < unsplit else SPLITS[draw.choice(3, p=[0.8, 0.1, 0.1])]
            text = f"common {draw.integers(50)}" if draw.random() < 0.05 else None
            images = (f"image{draw.integers(100)}",)
            yield Page(language, f"{number:02d}", vector.astype(np.float32), split, images, text=text)


def joined(pages, pairing):
    """What is joined, by comparing every page with every other: each page's nearest in each language."""
    sets = Sets()
    unit = np.stack([p.vector / np.linalg.norm(p.vector) for p in pages]).astype(np.float64)
    cosines = unit @ unit.T
    for i, page in enumerate(pages):
        for language in set(LANGUAGES) - {page.language}:
            qualified = [
                j
                for j, other in enumerate(pages)
                if other.language == language
                and cosines[i, j]
                >= (pairing.shared_threshold if set(page.images) & set(other.images) else pairing.threshold)
            ]
            if qualified:
                sets.join(page.url, pages[max(qualified, key=lambda j: cosines[i, j])].url)
        for other in pages[:i]:
            if page.text is not None and page.text == other.text:
                sets.join(page.url, other.url)
    return sets


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("conflict", ["drop", "move"])
@pytest.mark.parametrize("match", ["mutual", "best"])
def test_nothing_joined_is_in_two_splits_and_existing_ones_are_kept(aligning, seed, conflict, match):
    pages, pairing = list(tangled(seed)), Pairing(0.97, 0.9, match=match, induced=True)
    out, report = aligning(pages, pairing=pairing, splitting=Splitting(conflict))
    found, sets = splits_of(out), joined(pages, pairing)
    given = {page.url: page.split for page in pages}
    seen: dict[str, set] = {}
    for page in pages:
        seen.setdefault(sets.find(page.url), set()).add(found[page.url])
    assert all(len(splits - {LEFT_OUT}) == 1 for splits in seen.values())
    if conflict == "drop":
        assert all(given[url] in (None, split) for url, split in found.items() if split != LEFT_OUT)
    else:
        assert LEFT_OUT not in found.values()
        moved = sum(given[url] not in (None, split) for url, split in found.items())
        assert moved == report.counts["articles_moved"] > 0
    for url, split in given.items():  # no test article is ever lost, nor trained on
        assert split != "test" or found[url] == "test"
    rows = read_pairs(out)
    for row in rows:
        both = {found[row["source_url"]], found[row["target_url"]]}
        assert row["split"] == (both.pop() if len(both) == 1 else LEFT_OUT)
    assert Counter(row["split"] for row in rows)["train"] > 5
    assert report.counts["units_of_several_articles"] == sum(
        count > 1 for count in Counter(sets.find(page.url) for page in pages).values()
    )


def test_shares_are_drawn_by_unit_and_not_by_its_size(aligning):
    """Large units must not go to test more often, as the least of many digests would send them."""
    draw = np.random.default_rng(0)
    pages, width = [], 64
    vectors = draw.normal(size=(1200, width))
    for unit in range(1200):
        copies = range(8) if unit % 2 else range(1)
        pages += [
            Page(LANGUAGES[i % 4], f"{unit}-{i}", vectors[unit], None, text=f"text {unit}") for i in copies
        ]
    out, _ = aligning(pages, splitting=Splitting(valid_share=0.15, test_share=0.25))
    found = splits_of(out)
    units = {url: int(url.rpartition("/")[2].partition("-")[0]) for url in found if url.endswith("-0")}
    for size in (0, 1):  # units of one article, and of eight
        drawn = [found[url] for url, unit in units.items() if unit % 2 == size]
        shares = {split: drawn.count(split) / len(drawn) for split in SPLITS}
        assert abs(shares["test"] - 0.25) < 0.06 and abs(shares["valid"] - 0.15) < 0.06


def test_a_drawn_split_does_not_depend_on_what_else_is_there(aligning):
    draw = np.random.default_rng(1)
    vectors = draw.normal(size=(60, 32))
    pages = [Page("en" if i % 2 else "fr", str(i), vectors[i], None) for i in range(60)]
    whole, _ = aligning(pages)
    half, _ = aligning(pages[:30], name="half")
    assert splits_of(half).items() <= splits_of(whole).items()


@pytest.mark.parametrize(
    "settings",
    [
        {"valid_share": -0.1},
        {"test_share": 1.1},
        {"valid_share": 0.6, "test_share": 0.6},
        {"conflict": "keep"},
    ],
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UserError):
        Splitting(**settings)


def test_the_slow_union_of_these_tests_joins_chains():
    sets = aligned.Sets()
    for pair in ("ab", "cd", "bc"):
        sets.join(*pair)
    assert sets.find("a") == sets.find("d") != sets.find("e")
