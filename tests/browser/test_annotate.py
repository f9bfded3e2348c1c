"""A study from end to end: the command, two annotators at the keyboard, the results."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Error, expect

CRITERIA = ("informativeness", "conciseness", "fluency")
SAMPLES = 4
# What the annotators think of each system; ben is a point below anna on fluency.
OPINION = {"good": (5, 4, 5), "fair": (3, 4, 4), "poor": (1, 2, 3)}
HOSTILE = "<script>document.title = 'broken'</script> & \"quoted\" good"


@pytest.fixture(scope="module")
def study(run, tmp_path_factory) -> Path:
    """Three systems, whose outputs name them so that the test (and only it) knows what it reads."""
    folder = tmp_path_factory.mktemp("annotate")
    for name in OPINION:
        lines = [f"a {name} summary of {number}" for number in range(SAMPLES)]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    lines = (folder / "good.txt").read_text().splitlines()
    lines[0], lines[1] = HOSTILE, "ملخص good باللغة العربية"
    (folder / "good.txt").write_text("\n".join(lines) + "\n")
    (folder / "src").write_text("".join(f"第{number}篇 <b>bold</b>\n" for number in range(SAMPLES)))
    systems = [part for name in OPINION for part in ("--hyp", f"S-{name}={folder / name}.txt")]
    run(
        *("vhm", "human-eval", "sheet", *systems, "--src", folder / "src", "--source-lang", "zh"),
        *("--lang", "en", "--samples", SAMPLES, "--annotators", "anna,ben", "--out", folder / "study"),
    )
    return folder / "study"


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def ratings_of(text: str, less: int = 0) -> list[str]:
    name = next(name for name in OPINION if name in text)
    *others, fluency = OPINION[name]
    return [str(rating) for rating in (*others, fluency - less)]


def rate_sample(page, less: int = 0) -> None:
    """Rate every output of the sample with digits alone; focus goes from scale to scale by itself."""
    for text in page.locator(".card .text").all_inner_texts():
        press(page, *ratings_of(text, less))


def rate_all(page, less: int = 0) -> None:
    press(page, "ArrowDown")
    for _ in range(SAMPLES - 1):
        rate_sample(page, less)
        press(page, "Enter")
    rate_sample(page, less)


def export(page, folder: Path) -> Path:
    with page.expect_download() as download:
        press(page, "e")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def progress(page) -> str:
    return page.locator("#count").inner_text()


def focused(page) -> str:
    return page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.id")


def stored(page):
    """The page, once the browser has confirmed that it stores what is rated there."""
    expect(page.locator("#saved")).to_contain_text("saved in this browser")
    return page


def another(page, path: Path):
    """A second page of the same browser profile."""
    opened = page.context.new_page()
    opened.goto(path.resolve().as_uri())
    return stored(opened)


def test_what_two_annotators_type_comes_out_under_the_systems_names(run, open_page, study, tmp_path):
    files = []
    for name, less in (("anna", 0), ("ben", 1)):
        page = open_page(study / f"annotate-{name}.html")
        rate_all(page, less)
        assert progress(page) == f"{3 * SAMPLES} of {3 * SAMPLES} outputs rated"
        assert page.locator("#finished").is_visible()
        files.append(export(page, tmp_path))
    assert [path.name for path in files] == ["ratings-anna.json", "ratings-ben.json"]
    run("vhm", "human-eval", "results", "--key", study / "key.json", *files, "--json", tmp_path / "out.json")
    results = json.loads((tmp_path / "out.json").read_text())
    for name, opinion in OPINION.items():
        means = [results["average"][f"S-{name}"][criterion]["mean"] for criterion in CRITERIA]
        assert means == [opinion[0], opinion[1], opinion[2] - 0.5]
    assert results["agreement"]["informativeness"]["alpha"] == 1
    assert results["agreement"]["fluency"]["equal"] == 0
    assert results["agreement"]["fluency"]["within_one"] == 1


def test_nothing_is_lost_when_the_page_is_reloaded_or_closed(open_page, study):
    page = stored(open_page(study / "annotate-anna.html"))
    press(page, "ArrowDown")
    rate_sample(page)
    press(page, "Enter", "2", "c")
    page.keyboard.type("B misses 3 names: j, k")
    watcher = another(page, study / "annotate-anna.html")  # which shows when the browser has it all
    expect(watcher.locator("#count")).to_have_text(f"3 of {3 * SAMPLES} outputs rated")
    expect(watcher.locator("#comment")).to_have_value("B misses 3 names: j, k")
    watcher.close()
    page.bring_to_front()
    for _ in range(2):
        page.reload()
        stored(page)
        assert progress(page) == f"3 of {3 * SAMPLES} outputs rated"
        assert page.locator("#heading").inner_text() == f"Sample 2 of {SAMPLES}"
        assert page.locator("#comment").input_value() == "B misses 3 names: j, k"
        assert page.locator(":checked").count() == 1
        assert focused(page) == "Conciseness of output A"
    page.close(run_before_unload=False)
    opened = another(page, study / "annotate-anna.html")
    assert progress(opened) == f"3 of {3 * SAMPLES} outputs rated"
    press(opened, "4", "ArrowLeft")
    assert opened.locator(":checked").count() == 9


def rate_one(page) -> None:
    press(page, "ArrowDown", "5", "4", "3")
    expect(page.locator("#count")).to_have_text(f"1 of {3 * SAMPLES} outputs rated")


def test_a_crashed_tab_loses_nothing(open_page, study):
    """A page hands its writes to the browser without waiting: the other tab shows when it has them."""
    page = stored(open_page(study / "annotate-anna.html"))
    doomed = another(page, study / "annotate-anna.html")
    rate_one(doomed)
    expect(page.locator("#count")).to_have_text(f"1 of {3 * SAMPLES} outputs rated")
    with doomed.expect_event("crash"), pytest.raises(Error):
        doomed.goto("chrome://crash")
    assert progress(another(page, study / "annotate-anna.html")) == f"1 of {3 * SAMPLES} outputs rated"


def wait_until_on_disk(profile: Path, page) -> None:
    """Chromium writes what pages store after five seconds, and again a minute after its last writing.

    On a busy machine the first writing falls between two keys: the second comes more than a minute later.
    """
    stored = page.evaluate("localStorage.getItem(STORE)").encode()
    for _ in range(360):
        if any(stored in log.read_bytes() for log in profile.glob("*/Local Storage/leveldb/*.log")):
            return
        page.wait_for_timeout(500)
    pytest.fail(f"after three minutes the browser has not written {stored} under {profile}")


def test_the_next_start_of_the_browser_finds_the_ratings(open_profile, study, tmp_path):
    profile = tmp_path / "profile"
    for expected in (0, 1):
        context = open_profile(profile)
        page = context.new_page()
        page.goto((study / "annotate-anna.html").resolve().as_uri())
        assert progress(stored(page)) == f"{expected} of {3 * SAMPLES} outputs rated"
        if expected == 0:
            rate_one(page)
            wait_until_on_disk(profile, page)
        context.close()


def test_a_second_tab_shows_what_the_first_one_got(open_page, study):
    one = stored(open_page(study / "annotate-anna.html"))
    two = another(one, study / "annotate-anna.html")
    rate_one(one)
    expect(two.locator("#count")).to_have_text(f"1 of {3 * SAMPLES} outputs rated")
    press(two, "ArrowDown", "2", "2", "2")
    expect(one.locator("#count")).to_have_text(f"2 of {3 * SAMPLES} outputs rated")


CUT_OFF = """
    const own = new Map();
    Storage.prototype.getItem = (key) => own.get(key) ?? null;
    Storage.prototype.setItem = (key, text) => own.set(key, text);
"""
"""Gives a page a storage of its own, as a busy Chromium gives some."""


def test_a_page_that_is_cut_off_from_the_store_reloads_itself(open_page, study):
    page = stored(open_page(study / "annotate-anna.html"))
    rate_one(page)
    assert progress(another(page, study / "annotate-anna.html")) == f"1 of {3 * SAMPLES} outputs rated"
    page.add_init_script(f"if (!history.state?.reloads) {{ {CUT_OFF} }}")
    page.reload()
    assert progress(page) == f"0 of {3 * SAMPLES} outputs rated"
    stored(page)
    assert progress(page) == f"1 of {3 * SAMPLES} outputs rated"
    assert page.locator("#warning").is_hidden()


def test_what_is_rated_on_a_page_that_is_cut_off_is_not_called_saved(open_page, study, tmp_path):
    page = stored(open_page(study / "annotate-anna.html"))
    page.add_init_script(f"{CUT_OFF} history.replaceState({{ reloads: 2 }}, '');")  # has reloaded enough
    page.reload()
    rate_one(page)
    expect(page.locator("#warning")).to_contain_text("does not confirm that it has stored your ratings")
    assert page.locator("#saved").inner_text() == ""
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.close(run_before_unload=True)
    expect(page.locator("#warning")).to_be_visible()
    assert asked == ["beforeunload"]
    path = export(page, tmp_path)
    other = another(page, study / "annotate-anna.html")
    assert progress(other) == f"0 of {3 * SAMPLES} outputs rated"
    other.locator("#file").set_input_files(path)
    expect(other.locator("#count")).to_have_text(f"1 of {3 * SAMPLES} outputs rated")


def test_annotators_do_not_share_what_the_browser_stores(open_page, study):
    page = stored(open_page(study / "annotate-anna.html"))
    press(page, "ArrowDown", "5", "4", "3")
    assert progress(another(page, study / "annotate-ben.html")) == f"0 of {3 * SAMPLES} outputs rated"


def test_where_the_browser_stores_nothing_it_says_so_and_an_export_goes_on(open_profile, study, tmp_path):
    profile = tmp_path / "profile" / "Default"
    profile.mkdir(parents=True)
    blocked = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (profile / "Preferences").write_text(json.dumps(blocked))
    context = open_profile(tmp_path / "profile")
    page = context.new_page()
    page.goto((study / "annotate-anna.html").resolve().as_uri())
    assert "This browser cannot store your ratings" in page.locator("#warning").inner_text()
    press(page, "ArrowDown")
    rate_sample(page)
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.close(run_before_unload=True)
    expect(page.locator("#warning")).to_be_visible()
    assert asked == ["beforeunload"]
    path = export(page, tmp_path)
    assert path.name == "ratings-anna-incomplete.json"
    page.close(run_before_unload=True)
    page = context.new_page()
    page.goto((study / "annotate-anna.html").resolve().as_uri())
    assert progress(page) == f"0 of {3 * SAMPLES} outputs rated"
    page.locator("#file").set_input_files(path)
    expect(page.locator("#count")).to_have_text(f"3 of {3 * SAMPLES} outputs rated")
    assert page.locator("#warning").is_visible()


def test_a_full_store_is_a_visible_warning(open_page, study):
    page = open_page(study / "annotate-anna.html")
    page.evaluate("""() => {
        for (let size = 1 << 22; size >= 1; size >>= 1)
            try { localStorage.setItem(`fill-${size}`, "x".repeat(size)); } catch { continue; }
    }""")
    assert page.locator("#warning").is_hidden()
    press(page, "ArrowDown", "5", "4", "3")
    assert page.locator("#warning").is_visible()
    assert progress(page) == f"1 of {3 * SAMPLES} outputs rated"


def test_an_incomplete_export_says_so_and_results_ask_for_the_rest(run, open_page, study, tmp_path):
    page = open_page(study / "annotate-anna.html")
    press(page, "ArrowDown")
    rate_sample(page)
    path = export(page, tmp_path)
    content = json.loads(path.read_text())
    assert (content["complete"], content["rated"], content["total"]) == (False, 3, 3 * SAMPLES)
    command = ("vhm", "human-eval", "results", "--key", study / "key.json", path)
    refused = run(*command, fails=True).stderr
    assert f"27 of {9 * SAMPLES} ratings are missing; ask anna to finish the page" in refused
    taken = run(*command, "--lenient")
    assert "3 of 4 samples of anna are left out" in taken.stderr


def test_an_export_goes_on_in_another_browser(open_page, study, tmp_path):
    page = open_page(study / "annotate-anna.html")
    press(page, "ArrowDown")
    rate_sample(page)
    press(page, "c")
    page.keyboard.type("odd")
    press(page, "Escape")
    path = export(page, tmp_path)
    other = open_page(study / "annotate-anna.html")
    other.locator("#file").set_input_files(path)
    expect(other.locator("#count")).to_have_text(f"3 of {3 * SAMPLES} outputs rated")
    assert other.locator("#heading").inner_text() == f"Sample 2 of {SAMPLES}"
    press(other, "ArrowLeft")
    assert other.locator("#comment").input_value() == "odd"


@pytest.mark.parametrize("accepted", [True, False])
def test_an_import_that_changes_ratings_asks_first(open_page, study, tmp_path, accepted):
    page = open_page(study / "annotate-anna.html")
    press(page, "ArrowDown", "5", "4", "3")
    path = export(page, tmp_path)
    press(page, "k", "k", "1")
    asked = []
    page.on("dialog", lambda box: (asked.append(box.message), box.accept() if accepted else box.dismiss()))
    with page.expect_event("dialog"):
        page.locator("#file").set_input_files(path)
    expect(page.locator(".card").first.locator(f"[value='{5 if accepted else 1}']").first).to_be_checked()
    assert len(asked) == 1 and "changes 1 ratings" in asked[0]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"study": "other"}, "it belongs to another study"),
        ({"annotator": "ben"}, "it is by ben"),
        ({"format": "?"}, "it is not an export of this page"),
        ({"ratings": {"001": {"fluency": 6}}}, "fluency: 6"),
        ({"ratings": {"999": {"fluency": 5}}}, "unknown output 999"),
        ({"ratings": []}, "no ratings in it"),
        (None, "was not imported"),
    ],
)
def test_a_wrong_import_is_refused_and_changes_nothing(open_page, study, tmp_path, changes, complaint):
    page = open_page(study / "annotate-anna.html")
    press(page, "ArrowDown", "5", "4", "3")
    path = export(page, tmp_path)
    content = json.loads(path.read_text())
    path.write_text('{"format": ' if changes is None else json.dumps(content | changes))
    page.locator("#file").set_input_files(path)
    expect(page.locator("#warning")).to_contain_text(complaint)
    assert json.loads(export(page, tmp_path).read_text())["ratings"] == content["ratings"]


def test_keys_do_what_the_guide_lists(open_page, study):
    page = open_page(study / "annotate-anna.html")
    assert page.locator("#guide dl").is_visible()
    press(page, "3")
    assert page.locator(":checked").count() == 0 and focused(page) == "Informativeness of output A"
    for key, expected in (
        ("ArrowDown", "Conciseness of output A"),
        ("j", "Informativeness of output B"),
        ("j", "Informativeness of output C"),
        ("j", "Informativeness of output C"),
        ("ArrowUp", "Fluency of output B"),
        ("k", "Informativeness of output A"),
        ("ArrowUp", "Informativeness of output A"),
        ("4", "Conciseness of output A"),
        ("Numpad5", "Fluency of output A"),
        ("6", "Fluency of output A"),
        ("Control+2", "Fluency of output A"),
        ("c", "comment"),
    ):
        press(page, key)
        assert focused(page) == expected, key
    assert page.locator(":checked").count() == 2
    press(page, "1", "e", "Escape", "ArrowUp", "0")
    assert page.locator("#comment").input_value() == "1e"
    assert page.locator(":checked").count() == 1 and focused(page) == "Conciseness of output A"
    press(page, "ArrowRight", "ArrowRight")
    assert page.locator("#heading").inner_text() == f"Sample 3 of {SAMPLES}"
    press(page, "ArrowLeft", "u", "u", "u")
    assert page.locator("#heading").inner_text() == "Sample 1 of 4"
    assert page.locator("#guide dl").is_hidden()
    press(page, "?")
    assert page.locator("#guide dl").is_visible()


def test_the_mouse_rates_too_and_the_last_rating_of_a_sample_leads_to_the_next(open_page, study):
    page = open_page(study / "annotate-anna.html")
    for scale in page.get_by_role("radiogroup").all():
        scale.get_by_text("4", exact=True).click()
    assert focused(page) == "next"
    assert page.get_by_label("Sample 1: 3 of 3 outputs rated").get_attribute("class") == "all"
    press(page, "Enter")
    assert page.locator("#heading").inner_text() == f"Sample 2 of {SAMPLES}"


def test_every_scale_is_a_named_group_of_five_radio_buttons_with_its_meaning(open_page, study):
    page = open_page(study / "annotate-anna.html")
    for label in "ABC":
        for name in ("Informativeness", "Conciseness", "Fluency"):
            group = page.get_by_role("radiogroup", name=f"{name} of output {label}", exact=True)
            assert group.get_by_role("radio").count() == 5
            about = page.locator(f"#{group.get_attribute('aria-describedby')}")
            assert about.text_content().strip().startswith(name)
    assert page.get_by_role("button", name="Sample 4: 0 of 3 outputs rated").is_visible()


def test_texts_are_shown_as_texts_in_their_own_direction(open_page, study):
    page = open_page(study / "annotate-anna.html")
    seen = {}
    for _ in range(SAMPLES):
        source = page.locator("#given .text").inner_text()
        seen[source] = page.locator(".card .text").all_inner_texts()
        arabic = page.locator(".card .text", has_text="ملخص")
        if arabic.count():
            assert arabic.evaluate("element => getComputedStyle(element).direction") == "rtl"
        press(page, "ArrowRight")
    assert HOSTILE in seen["第0篇 <b>bold</b>"]
    assert page.title() == "Rating summaries"
    assert page.locator("#given .text").get_attribute("lang") == "zh"


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_at_any_width_nothing_sticks_out_and_the_scale_in_hand_is_in_sight(open_page, study, width):
    page = open_page(study / "annotate-anna.html", viewport={"width": width, "height": 640})
    for key in ("ArrowDown", "ArrowDown", "j", "j", "ArrowDown", "ArrowDown", "k", "k"):
        press(page, key)
        scale = page.locator(":focus").bounding_box()
        assert 0 <= scale["y"] <= page.locator("#bar").bounding_box()["y"] - scale["height"]
        assert scale["x"] >= 0 and scale["x"] + scale["width"] <= width
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
