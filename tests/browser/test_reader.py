"""The page of ``vhm report`` in a real browser."""

import json
import random
import re
from functools import cache

import pytest
from reports import spoilt, write_outputs, write_run, write_scores, write_texts

from fairseq_vhm.metrics.rouge import score_rouge
from fairseq_vhm.pages import render
from fairseq_vhm.report.build import Options, build, write

HOSTILE = [
    "<script>document.title = 'taken'</script> and </script> more",
    "<img src=x onerror=\"document.title = 'taken'\"> & &amp; \" ' ` ${1} \\u003c",
    "",
    "\u2028 line \u0000 separators \ufeff and <!-- --> ]]>",
]
ARABIC = "افتتح المتحف الجديد أبوابه يوم الاثنين"
CHINESE = ("里斯本飞行员因设备陈旧举行罢工", "不满设备陈旧，里斯本飞行员罢工")
LARGE = {"count": 3000, "systems": 4, "words": 500}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A report of three runs on one test set; the folder, and each run's outputs by its system."""
    folder = tmp_path_factory.mktemp("report")
    references = write_texts(folder / "DATA", count=60)
    outputs = {"VHM": spoilt(references, 0.2, 1), "MT-MS-CLS": spoilt(references, 0.3, 2)}
    write_run(folder / "runs" / "vhm", folder / "DATA", outputs["VHM"])
    write_run(folder / "runs" / "base", folder / "DATA", outputs["MT-MS-CLS"], latents="none")
    outputs["hostile"] = [HOSTILE[i % len(HOSTILE)].replace("\u0000", "") for i in range(60)]
    write_outputs(folder / "runs" / "hostile", outputs["hostile"], "test.hyp")
    (folder / "runs" / "report.toml").write_text(
        f'[runs.hostile]\nsource_lang = "zh"\ntarget_lang = "en"\n'
        f'source = "{folder}/DATA/text/cls.test.zh"\nreferences = ["{folder}/DATA/text/cls.test.en"]\n'
    )
    report = build(folder / "runs", Options(), lambda pairs, what: pairs)
    write(report, folder / "out")
    return folder / "out" / "index.html", references, outputs


@pytest.fixture
def scores(made):
    """ROUGE-L of each sentence by system, as the page has it."""
    _, references, outputs = made
    pairs = [[one] for one in references]
    return {
        name: [round(v, 2) for v in score_rouge(texts, pairs, "en")[2].per_segment]
        for name, texts in outputs.items()
    }


@pytest.fixture
def reader(open_page, made):
    """``reader("&sort=...")``: the page at its reader, with VHM as A and MT-MS-CLS as B."""

    def open_reader(state: str = "", **settings):
        page = open_page(made[0], **settings)
        goto(page, f"#view=reader&a=VHM&b=MT-MS-CLS{state}")
        return page

    return open_reader


def goto(page, state: str) -> None:
    page.evaluate("state => { location.hash = state; }", state)
    page.wait_for_function("location.hash && document.querySelector('#tab-reader[aria-selected=true]')")


def chosen(page) -> int:
    return int(re.search(r"\d+", page.locator("#example h2").inner_text())[0])


def listed(page) -> list[int]:
    """Numbers of the examples in order, as the script has them."""
    return page.evaluate("order.map(position => position + 1)")


def show(open_page, path, **sets):
    """A page of given test sets."""
    data = {"tables": [], "figures": [], "sets": [test_set(name, **one) for name, one in sets.items()]}
    path.write_text(render("reader", "Report", data), encoding="utf-8")
    return open_page(path)


def test_set(name, references, systems, sources=None, target_lang="en"):
    numbers = [float(i % 100) for i in range(len(references))]
    return {
        "name": name,
        "source_lang": "en",
        "target_lang": target_lang,
        "sources": sources,
        "references": [[one] for one in references],
        "metrics": ["rougeL"],
        "pair": [list(systems)[-1], list(systems)[0]],
        "systems": [
            {"name": system, "outputs": texts, "scores": {"rougeL": numbers}}
            for system, texts in systems.items()
        ],
    }


test_set.__test__ = False


def test_tables_and_figures_are_in_the_page(open_page, made):
    page = open_page(made[0])
    assert page.get_by_role("tab", name="Tables").get_attribute("aria-selected") == "true"
    table = page.get_by_role("region", name="Results on zh2en, table")
    assert table.locator("thead th").all_inner_texts()[:4] == ["system", "RG1", "RG2", "RGL"]
    page.get_by_role("tab", name="Figures").click()
    image = page.get_by_role("img", name=re.compile("^Training, zh2en"))
    assert image.evaluate("image => image.complete && image.naturalWidth") > 100


def test_markup_in_a_text_is_shown_as_text_and_does_nothing(open_page, made):
    page = open_page(made[0])
    goto(page, "#view=reader&a=hostile&b=VHM&marks=none&i=1")
    for text in HOSTILE[:2]:
        shown = page.get_by_role("region", name="hostile").locator(".text").inner_text()
        assert shown == text
        page.keyboard.press("j")
    assert "(empty)" in page.get_by_role("region", name="hostile").inner_text()
    assert page.title() == "Report of runs"


def test_markup_in_the_names_of_runs_is_shown_as_text_and_does_nothing(open_page, tmp_path):
    names = [
        "<img src=x onerror=\"document.title='taken'\">",
        "<script>document.title = 'taken'",
        r"a $\frac{ \input{x} % _ # & ^ ~",
        "escape \x1b[2J\x07 sequence",
    ]
    references = write_texts(tmp_path / "DATA", count=5)
    for number, name in enumerate(names):
        folder = tmp_path / "runs" / name
        write_run(folder, tmp_path / "DATA", spoilt(references, 0.1 * number, number), seed=number)
        (folder / "scores.json").write_text("{}")
    settings = [f"[runs.{json.dumps(name)}]\nname = {json.dumps(name)}\n" for name in names]
    (tmp_path / "runs" / "report.toml").write_text("".join(settings))
    report = build(tmp_path / "runs", Options(), lambda pairs, what: pairs)
    write(report, tmp_path / "out")
    page = open_page(tmp_path / "out" / "index.html")
    assert page.title() == "Report of runs"
    assert names[0] in page.locator("body").inner_text()
    assert page.locator("[onerror]").count() == 0
    assert page.locator("script").count() == 2


def test_at_first_the_full_model_stands_beside_the_baseline(open_page, made):
    page = open_page(made[0])
    page.get_by_role("tab", name="Reader").click()
    chosen = [page.get_by_label(f"System {side}").input_value() for side in "AB"]
    assert chosen == ["VHM", "MT-MS-CLS"]


def test_texts_and_scores_of_an_example_are_the_runs(reader, made, scores):
    page = reader("&i=7&marks=none")
    _, references, outputs = made
    assert page.get_by_role("region", name="Reference").locator(".text").inner_text() == references[6]
    for name in ("VHM", "MT-MS-CLS"):
        inside = page.get_by_role("region", name=name, exact=True)
        assert inside.locator(".text").inner_text() == outputs[name][6]
        assert f"RGL {scores[name][6]:.1f}" in inside.locator(".scores").inner_text()


def test_examples_are_filtered_by_difference_and_winner(reader, scores):
    gaps = [round(a - b, 2) for a, b in zip(scores["VHM"], scores["MT-MS-CLS"], strict=True)]
    page = reader()
    page.get_by_label("Difference at least").fill("15")
    assert listed(page) == [i + 1 for i, gap in enumerate(gaps) if abs(gap) >= 15]
    page.get_by_label("Better").select_option("B")
    expected = [i + 1 for i, gap in enumerate(gaps) if gap <= -15]
    assert listed(page) == expected and 0 < len(expected) < 60
    assert page.get_by_role("status").inner_text() == f"{len(expected)} of 60 examples"
    page.get_by_label("Difference at least").fill("0")
    page.get_by_label("Better").select_option("neither")
    assert listed(page) == [i + 1 for i, gap in enumerate(gaps) if gap == 0]


@pytest.mark.parametrize(
    ("order", "key"),
    [
        ("largest difference", lambda a, b: -abs(round(a - b, 2))),
        ("A best against B", lambda a, b: -round(a - b, 2)),
        ("B best against A", lambda a, b: round(a - b, 2)),
        ("highest score of A", lambda a, b: -a),
        ("lowest score of A", lambda a, b: a),
    ],
)
def test_examples_are_sorted_with_equals_in_the_order_of_the_corpus(reader, scores, order, key):
    page = reader()
    page.get_by_label("Order").select_option(order)
    keys = [key(a, b) for a, b in zip(scores["VHM"], scores["MT-MS-CLS"], strict=True)]
    assert listed(page) == [i + 1 for i in sorted(range(60), key=lambda i: (keys[i], i))]


def test_search_finds_in_every_text_and_marks_what_it_found(reader, made):
    _, references, outputs = made
    page = reader()
    page.get_by_label("Search").fill("WORD7 ")
    texts = [references, *outputs.values()]
    expected = [i + 1 for i in range(60) if any("word7 " in column[i].lower() for column in texts)]
    assert listed(page) == expected
    page.get_by_label("Search").fill("第12篇")
    assert listed(page) == [13]
    assert page.locator("mark.found").first.inner_text() == "第12篇"
    page.get_by_label("Search").fill("no such text")
    assert page.get_by_role("status").inner_text() == "0 of 60 examples"
    assert page.locator("#example").inner_text() == ""


def test_the_keyboard_alone_goes_through_the_examples(reader):
    page = reader()
    for key, number in (("j", 2), ("j", 3), ("k", 2), ("k", 1), ("k", 1)):
        page.keyboard.press(key)
        assert chosen(page) == number
    page.get_by_role("listbox").focus()
    for key, number in (("ArrowDown", 2), ("ArrowUp", 1), ("End", 60), ("ArrowDown", 60), ("Home", 1)):
        page.keyboard.press(key)
        assert chosen(page) == number
    active = page.get_by_role("listbox").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"
    page.keyboard.press("/")
    page.keyboard.type("jk")
    assert page.get_by_label("Search").input_value() == "jk" and listed(page) == []


def test_the_tabs_are_reached_by_arrows(open_page, made):
    page = open_page(made[0])
    page.get_by_role("tab", name="Tables").focus()
    for key, name in (("ArrowRight", "Figures"), ("ArrowRight", "Reader"), ("ArrowRight", "Tables")):
        page.keyboard.press(key)
        tab = page.get_by_role("tab", name=name)
        assert tab.get_attribute("aria-selected") == "true"
        assert tab.evaluate("tab => tab === document.activeElement")


def test_a_link_leads_another_reader_to_the_same_example(reader, open_page, made):
    page = reader()
    page.get_by_label("Order").select_option("largest difference")
    page.get_by_role("combobox", name="Score", exact=True).select_option("RG2")
    page.get_by_label("Difference at least").fill("5")
    page.keyboard.press("Escape")
    page.get_by_role("listbox").focus()
    page.keyboard.press("j")
    link = page.get_by_role("link", name="Link to this example").evaluate("link => link.href")
    other = open_page(made[0])
    other.goto(link)
    assert other.url == page.url == link
    assert listed(other) == listed(page) and chosen(other) == chosen(page)
    assert other.locator("#example").inner_text() == page.locator("#example").inner_text()
    assert other.get_by_label("Order").input_value() == "magnitude"


def test_a_link_into_another_test_set_leads_to_its_systems(open_page, tmp_path):
    """Also to a system that is shown at first on the first test set, and not on this one."""
    texts = ["one", "two"]
    page = show(
        open_page,
        tmp_path / "page.html",
        zh2en={"references": texts, "systems": {"base": texts, "VHM": texts}},
        en2zh={"references": texts, "systems": {"base": texts, "VHM": texts, "VHM + mBART": texts}},
    )
    goto(page, "#view=reader&set=en2zh&a=VHM&i=2")
    page.get_by_label("Order").select_option("largest difference")
    link = page.get_by_role("link", name="Link to this example").evaluate("link => link.href")
    other = open_page(tmp_path / "page.html")
    other.goto(link)
    labels = ("Test set", "System A", "System B", "Order")
    seen = [other.get_by_label(label).input_value() for label in labels]
    assert seen == ["en2zh", "VHM", "base", "magnitude"]


def test_a_broken_link_opens_the_page_all_the_same(open_page, made):
    page = open_page(made[0])
    goto(page, "#view=reader&set=none&a=nobody&metric=x&sort=y&i=9999&min=abc&marks=z")
    assert len(listed(page)) == 60 and chosen(page) == 1


def test_where_two_systems_differ_is_marked_and_nothing_else(reader, made):
    _, references, outputs = made
    page = reader("&i=3")
    for name in ("VHM", "MT-MS-CLS"):
        inside = page.get_by_role("region", name=name, exact=True)
        assert inside.locator(".text").inner_text() == outputs[name][2]
    a, b = (outputs[name][2].split() for name in ("VHM", "MT-MS-CLS"))
    inside = page.get_by_role("region", name="VHM", exact=True)
    marked = sum(len(text.split()) for text in inside.locator("mark").all_inner_texts())
    assert marked == len(a) - common_length(tuple(a), tuple(b))
    page.get_by_label("Marked").select_option("what the reference has not")
    marked = [word for text in inside.locator("mark").all_inner_texts() for word in text.split()]
    assert set(marked) == {"other"}  # what the outputs were spoilt with


@cache
def common_length(a: tuple, b: tuple) -> int:
    """Length of a longest common subsequence by its definition."""
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + common_length(a[1:], b[1:])
    return max(common_length(a[1:], b), common_length(a, b[1:]))


def test_what_is_common_is_a_longest_common_subsequence(reader):
    page, rng = reader(), random.Random(5)
    cases = [[[rng.choice("abcd") for _ in range(rng.randint(0, 9))] for _ in "ab"] for _ in range(300)]
    found = page.evaluate("cases => cases.map(([a, b]) => common(a, b))", cases)
    for (a, b), pairs in zip(cases, found, strict=True):
        assert all(a[i] == b[j] for i, j in pairs)
        assert all(x[0] < y[0] and x[1] < y[1] for x, y in zip(pairs, pairs[1:], strict=False))
        assert len(pairs) == common_length(tuple(a), tuple(b))


def test_tokens_make_up_the_text_again_in_any_script(reader):
    texts = [*HOSTILE, *CHINESE, ARABIC, "Hello,  world\t\n x²", "กรุงเทพ 東京タワー", "e\u0301 \ud83d", "  "]
    page = reader()
    assert page.evaluate("texts => texts.every(text => tokens(text).join('') === text)", texts)
    assert page.evaluate("tokens('里斯本 pilots, 2026')") == ["里", "斯", "本 ", "pilots", ", ", "2026"]


def test_chinese_is_compared_by_characters_and_lone_ones_are_no_match(open_page, tmp_path):
    page = show(
        open_page,
        tmp_path / "zh.html",
        zh={"references": ["一"], "systems": {"two": [CHINESE[1]], "one": [CHINESE[0]]}, "target_lang": "zh"},
    )
    goto(page, "#view=reader")
    for name, marked in (("one", "因设备陈旧举行"), ("two", "不满设备陈旧，")):
        assert page.get_by_role("region", name=name).locator("mark").all_inner_texts() == [marked]
    lone = page.evaluate("differences('甲乙的丙丁', '戊己的庚辛')")
    assert lone == [[True] * 5, [True] * 5]
    assert page.evaluate("differences('他说', '他今天说')")[1] == [False, True, True, False]


def test_arabic_runs_from_right_to_left(open_page, tmp_path):
    page = show(
        open_page,
        tmp_path / "ar.html",
        ar={"references": [ARABIC], "systems": {"a": [ARABIC], "b": [ARABIC]}, "target_lang": "ar"},
    )
    goto(page, "#view=reader")
    text = page.get_by_role("region", name="Reference").locator(".text")
    assert text.evaluate("text => getComputedStyle(text).direction") == "rtl"
    assert text.get_attribute("lang") == "ar"
    assert page.locator("mark").count() == 0


def test_one_system_alone_can_be_read_against_the_reference(open_page, tmp_path):
    page = show(
        open_page,
        tmp_path / "one.html",
        en={"references": ["a b c", "d"], "systems": {"ours": ["a x c", "d"]}},
    )
    goto(page, "#view=reader")
    assert page.get_by_label("System B").is_hidden()
    assert page.get_by_role("region", name="ours").locator("mark").all_inner_texts() == ["x"]


def test_without_outputs_the_page_says_so(open_page, tmp_path):
    write_scores(tmp_path / "runs" / "a" / "scores.json", rouge1=1)
    write(build(tmp_path / "runs", Options(), lambda pairs, what: pairs), tmp_path / "out")
    page = open_page(tmp_path / "out" / "index.html")
    page.get_by_role("tab", name="Reader").click()
    assert page.get_by_text("No run has outputs and references").is_visible()
    page.keyboard.press("j")


@pytest.mark.parametrize("view", ["tables", "figures", "reader"])
def test_a_narrow_window_needs_no_sideways_scrolling(open_page, made, view):
    page = open_page(made[0], viewport={"width": 380, "height": 700})
    page.evaluate("view => { location.hash = `view=${view}`; }", view)
    page.locator(f"#{view}").wait_for(state="visible")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_dark_page_is_dark_and_its_texts_are_bright(reader):
    def brightness(page, what):
        colour = page.locator("#example .text").first.evaluate(
            f"text => getComputedStyle({'text' if what == 'color' else 'document.body'})['{what}']"
        )
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3

    dark, light = reader("&i=1", color_scheme="dark"), reader("&i=1", color_scheme="light")
    assert brightness(dark, "background-color") < 60 < 180 < brightness(dark, "color")
    assert brightness(light, "color") < 60 < 180 < brightness(light, "background-color")


def test_everything_that_takes_the_focus_has_a_name(reader):
    nameless = reader().evaluate(
        """() => [...document.querySelectorAll("button, input, select, a, [tabindex], [role=option]")]
            .filter((one) => !one.labels?.length && !one.ariaLabel && !one.textContent.trim())
            .map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_thousands_of_long_examples_open_at_once(open_page, tmp_path):
    rng = random.Random(1)
    words = [f"word{i}" for i in range(5000)]

    def texts(length):
        return [" ".join(rng.choices(words, k=length)) for _ in range(LARGE["count"])]

    systems = {f"system {i}": texts(50) for i in range(LARGE["systems"])}
    sets = {"en": {"sources": texts(LARGE["words"]), "references": texts(50), "systems": systems}}
    page = show(open_page, tmp_path / "large.html", **sets)
    timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
    goto(page, "#view=reader")
    assert len(listed(page)) == LARGE["count"]
    assert page.locator(".row").count() < 60
    assert page.evaluate(timing) < 5000  # milliseconds; 20 MB, measured: 700
    page.get_by_role("listbox").focus()
    page.keyboard.press("End")
    assert chosen(page) == LARGE["count"]
    assert page.locator(".row").count() < 60
    assert page.locator(".row[aria-selected=true] .number").inner_text() == str(LARGE["count"])
