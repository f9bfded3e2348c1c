"""Pairs: what is planted is found, a slow twin finds the same, and a pair has no direction."""

from itertools import combinations

import aligned
import numpy as np
import pytest
from aligned import Page, addresses, at_cosine, read_pairs

from fairseq_vhm.align.settings import Pairing
from fairseq_vhm.errors import UserError

LANGUAGES = ("bn", "en", "sr-cyrl", "yo")
PAIR = Pairing(threshold=0.735, shared_threshold=0.666)


def scattered(seed, size=40, width=8):
    """Pages of four languages around common topics, so that many cosines lie near the thresholds."""
    draw = np.random.default_rng(seed)
    topics = draw.normal(size=(12, width))
    for language in LANGUAGES:
        for number in range(size):
            vector = topics[draw.integers(12)] + 0.75 * draw.normal(size=width)
            images = tuple(f"image{i}" for i in draw.integers(0, 25, draw.integers(0, 3)))
            yield Page(language, f"{number:02d}", vector.astype(np.float32), images=images)


def slow_pairs(pages, pairing, common=20):
    """The definition, one pair of pages at a time: both directions' matches, and those that are mutual."""
    vectors = {
        p.url: p.vector.astype(np.float64) / np.linalg.norm(p.vector.astype(np.float64)) for p in pages
    }
    logos = {
        image
        for page in pages
        for image in page.images
        if sum(image in other.images for other in pages if other.language == page.language) > common
    }

    def match(page, language):
        """The nearest page of a language among those that qualify."""
        best = None
        for other in (p for p in pages if p.language == language):
            cosine = vectors[page.url] @ vectors[other.url]
            shared = (set(page.images) & set(other.images)) - logos
            least = pairing.shared_threshold if shared else pairing.threshold
            if cosine >= least and (best is None or cosine > best[0]):
                best = cosine, other.url
        return best and best[1]

    matches = {
        (page.url, match(page, language))
        for page in pages
        for language in LANGUAGES
        if language != page.language
    }
    found = {pair for pair in matches if pair[1]}
    mutual = {frozenset(pair) for pair in found if pair[::-1] in found}
    return {frozenset(pair) for pair in found}, mutual


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("match", ["best", "mutual"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_pairs_are_those_of_the_definition(aligning, seed, match, precision):
    pages = list(scattered(seed))
    if precision == "float16":  # what is kept is what is compared
        pages = [
            Page(p.language, p.name, np.float16(p.vector / np.linalg.norm(p.vector)), images=p.images)
            for p in pages
        ]
    out, _ = aligning(pages, precision=precision, pairing=Pairing(match=match))
    best, mutual = slow_pairs(pages, PAIR)
    assert addresses(read_pairs(out)) == (best if match == "best" else mutual)
    assert len(mutual) > 20 and len(best) > len(mutual)


def test_every_planted_pair_over_the_threshold_is_found_and_no_other(aligning):
    """Cosines from 0.5 to 1 in steps: those at the threshold and over it are found, so recall is known."""
    cosines = np.linspace(0.5, 1, 101)
    pages, expected = [], set()
    for place, cosine in enumerate(cosines):
        first, second = at_cosine(cosine, place, 2 * len(cosines))
        pages += [Page("en", f"{place:03d}", first), Page("yo", f"{place:03d}", second)]
        if cosine > 0.735 + 1e-6 or np.isclose(cosine, 0.735):
            expected.add(frozenset(page.url for page in pages[-2:]))
    out, report = aligning(pages, pairing=Pairing(threshold=0.735 - 1e-6))
    found = addresses(read_pairs(out))
    assert found == expected and len(expected) == 54
    assert report.counts["pairs"] == 54 and report.counts["best_pairs"] == 0


def test_shared_content_lowers_the_threshold_for_these_two_pages_only(aligning):
    pages = []
    for place, (cosine, images) in enumerate([(0.7, ("a",)), (0.7, ()), (0.6, ("b",)), (0.8, ("c",))]):
        first, second = at_cosine(cosine, place, 8)
        pages += [Page("en", str(place), first, images=images), Page("fr", str(place), second, images=images)]
    out, report = aligning(pages)
    rows = {row["source_url"][-1]: row for row in read_pairs(out)}
    assert {name: (row["cosine"], row["lowered"]) for name, row in rows.items()} == {
        "0": ("0.7000", "yes"),
        "3": ("0.8000", "no"),
    }
    assert report.counts["pairs_by_the_lower_threshold"] == 1


def test_a_page_that_shares_content_is_the_match_where_a_nearer_one_does_not_qualify(aligning):
    source = np.array([1.0, 0, 0])
    nearer, sharing = np.array([0.72, np.sqrt(1 - 0.72**2), 0]), np.array([0.68, 0, np.sqrt(1 - 0.68**2)])
    pages = [
        Page("en", "s", source, images=("i",)),
        Page("fr", "n", nearer),
        Page("fr", "h", sharing, images=("i",)),
    ]
    out, _ = aligning(pages)
    assert addresses(read_pairs(out)) == {frozenset({pages[0].url, pages[2].url})}
    over = [pages[0], Page("fr", "m", np.array([0.74, np.sqrt(1 - 0.74**2), 0])), pages[2]]
    out, _ = aligning(over, name="over")
    assert addresses(read_pairs(out)) == {frozenset({over[0].url, over[1].url})}


def test_an_image_on_many_pages_of_one_language_is_a_logo(aligning):
    pages = []
    for place in range(5):
        first, second = at_cosine(0.7, place, 10)
        pages += [
            Page("en", str(place), first, images=("logo",)),
            Page("fr", str(place), second, images=("logo",)),
        ]
    assert aligning(pages, name="few", pairing=Pairing(common_image=5))[1].counts["pairs"] == 5
    counts = aligning(pages, name="many", pairing=Pairing(common_image=4))[1].counts
    assert (counts["pairs"], counts["images_and_the_like"], counts["of_these_too_common"]) == (0, 1, 1)


@pytest.mark.parametrize("match", ["best", "mutual"])
def test_which_language_comes_first_does_not_matter(aligning, match):
    """The same pages with the languages' names exchanged: English is before Yoruba, and after Bengali."""
    pages = list(scattered(9))
    exchanged = dict(zip(LANGUAGES, LANGUAGES[::-1], strict=True))
    turned = [Page(exchanged[p.language], f"{p.language}-{p.name}", p.vector, images=p.images) for p in pages]
    names = {turned[i].url: page.url for i, page in enumerate(pages)}
    first, _ = aligning(pages, pairing=Pairing(match=match))
    second, _ = aligning(turned, name="turned", pairing=Pairing(match=match))
    renamed = {frozenset(names[url] for url in pair) for pair in addresses(read_pairs(second))}
    assert renamed == addresses(read_pairs(first))


def test_of_equal_summaries_in_a_language_the_first_by_address_is_paired(aligning):
    vector = np.array([1.0, 0])
    pages = [Page("en", name, vector, summary="the same") for name in ("b", "a", "c")]
    pages.append(Page("fr", "x", vector))
    out, report = aligning(pages, pairing=Pairing(match="best"))
    assert addresses(read_pairs(out)) == {frozenset({"https://news/en/a", "https://news/fr/x"})}
    assert report.counts["distinct_summaries"] == 2


# ---- groups --------------------------------------------------------------------------------------


def chain(cosine, languages):
    """Pages of languages in a row, each at a cosine to the next, in a plane."""
    turn = np.arccos(cosine)
    return [
        Page(language, "1", np.array([np.cos(i * turn), np.sin(i * turn)]))
        for i, language in enumerate(languages)
    ]


def test_induced_pairs_are_all_others_of_two_languages_within_a_group(aligning):
    pages = chain(0.9, LANGUAGES)  # cosines of the second and third neighbour: 0.62, 0.216
    out, _ = aligning(pages)
    direct = addresses(read_pairs(out))
    assert direct == {frozenset({a.url, b.url}) for a, b in zip(pages, pages[1:], strict=False)}
    out, report = aligning(pages, name="induced", pairing=Pairing(induced=True))
    assert addresses(read_pairs(out)) == {frozenset({a.url, b.url}) for a, b in combinations(pages, 2)}
    assert (report.counts["mutual_pairs"], report.counts["induced_pairs"]) == (3, 3)
    out, _ = aligning(pages, name="near", pairing=Pairing(induced=True, induced_threshold=0.5))
    assert addresses(read_pairs(out)) - direct == {
        frozenset({pages[i].url, pages[i + 2].url}) for i in range(2)
    }


def test_a_group_of_too_many_articles_induces_no_pairs_and_is_counted(aligning):
    pages = chain(0.9, LANGUAGES)
    pairing = Pairing(induced=True, largest_group=3)
    counts = aligning(pages, pairing=pairing)[1].counts
    assert (counts["pairs"], counts["groups_too_large_to_induce_pairs"]) == (3, 1)


@pytest.mark.parametrize("seed", range(3))
def test_induced_pairs_are_those_of_a_slow_union(aligning, seed):
    pages = list(scattered(seed))
    pairing = Pairing(0.9, 0.9, induced=True, largest_group=1000)
    out, _ = aligning(pages, pairing=pairing)
    sets, (_, mutual) = aligned.Sets(), slow_pairs(pages, pairing)
    for pair in mutual:
        sets.join(*pair)
    expected = {
        frozenset({a.url, b.url})
        for a, b in combinations(pages, 2)
        if a.language != b.language and sets.find(a.url) == sets.find(b.url)
    }
    assert addresses(read_pairs(out)) == expected and len(expected) > len(mutual)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 1.5}, "--threshold 1.5: a cosine"),
        ({"shared_threshold": -1.01}, "--shared-threshold -1.01: a cosine"),
        ({"threshold": 0.5}, "--shared-threshold 0.666: greater than --threshold 0.5"),
        ({"match": "some"}, "--match some: choose from mutual, best"),
        ({"largest_group": 1}, "--largest-group 1: give a number from 2 on"),
        ({"common_image": 0}, "--common-image 0"),
        ({"induced_threshold": 2}, "--induced-threshold 2"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Pairing(**settings)
