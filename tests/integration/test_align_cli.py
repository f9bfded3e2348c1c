"""``vhm align`` as a user runs it: what it leaves, that it goes on where it was killed, what it refuses."""

import json
import random
import shlex

import aligned
import numpy as np
import pytest
import tiny_encoders
from aligned import Page, addresses, at_cosine, read_pairs, read_splits
from test_docs import commands

OVER, UNDER = (0.74, 0.8, 0.9, 0.99), (0.5, 0.6, 0.7, 0.73)
SHARED = (0.6, 0.65, 0.67, 0.7)


def planted():
    """Stories of which English and French, and English and Chinese, have articles at known cosines.

    Those over the threshold are true; of those below it a share is true too, so recall is known; those of
    other stories are at right angles. Every fourth story is evaluation data in both languages.
    """
    pages, true = [], set()
    width = 4 * (2 * len(OVER + UNDER) + len(SHARED))
    for place, (cosine, other, images) in enumerate(
        [
            *((c, "fr", ()) for c in OVER + UNDER),
            *((c, "zh-CN", ()) for c in OVER + UNDER),
            *((c, "fr", (f"image of {c}",)) for c in SHARED),
        ]
    ):
        split = ("train", "train", "train", "test")[place % 4]
        for language, vector in zip(("en", other), at_cosine(cosine, place, width), strict=True):
            pages.append(Page(language, f"{place:02d}", vector, split, images))
        true.add(frozenset(page.url for page in pages[-2:]))
    return pages, true


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_encoders.sentence_transformer(tmp_path_factory.mktemp("model") / "labse")


@pytest.fixture(scope="module")
def done(run, model, tmp_path_factory):
    """A run on planted pairs: its process, its folder, the pages, the true pairs."""
    folder = tmp_path_factory.mktemp("planted")
    pages, true = planted()
    aligned.write(folder / "xlsum", pages)
    aligned.plant(pages, model, folder / "cache")
    command = ("vhm", "align", folder / "xlsum", "--labse", model, "--out", folder / "out")
    process = run(*command, "--cache", folder / "cache")
    return process, folder / "out", pages, true


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_planted_pairs_are_found_with_known_precision_and_recall(done):
    process, out, _, true = done
    found = addresses(read_pairs(out))
    assert found <= true  # precision 1
    assert len(found) == 2 * len(OVER) + 2 and len(true) == 20  # recall 10 / 20: the others are below
    assert len([row for row in read_pairs(out) if row["lowered"] == "yes"]) == 2
    assert "pairs                                   10" in process.stdout


def test_each_direction_and_split_is_a_file_in_crosssums_form(done):
    _, out, pages, _ = done
    by_url, seen = {page.url: page for page in pages}, set()
    for path in (out / "pairs").iterdir():
        direction, _, split = path.stem.rpartition("_")
        for line in lines(path):
            assert list(line) == ["source_url", "target_url", "summary", "text"]
            source, target = by_url[line["source_url"]], by_url[line["target_url"]]
            assert (
                direction == f"{source.language}-{target.language}" and split == source.split == target.split
            )
            assert (line["text"], line["summary"]) == (
                f"text of {source.language} {source.name}",
                target.told,
            )
            seen.add((line["source_url"], line["target_url"]))
    both = {pair for pair in seen if pair[0] != pair[1]}
    assert {frozenset(pair) for pair in both} == addresses(read_pairs(out)) and len(both) == 20
    assert {pair[0] for pair in seen if pair[0] == pair[1]} == set(by_url)  # each article, its own summary


def test_the_report_counts_what_is_in_the_files(done):
    _, out, pages, _ = done
    report = json.loads((out / "report.json").read_text())
    for pair in report["pairs"]:
        for split in ("train", "valid", "test"):
            path = out / "pairs" / f"{pair['source']}-{pair['target']}_{split}.jsonl"
            assert pair[split] == (len(lines(path)) if path.exists() else 0)
    assert sum(report["similarity"]["counts"]) == 2 * len(pages)  # each article in two other languages
    assert report["similarity"]["recall"] is None
    assert {row["split"] for row in read_splits(out)} == {"train", "test"}
    for name in ("pairs.png", "pairs.svg", "similarity.png", "similarity.svg"):
        assert (out / name).stat().st_size > 1000
    assert "### Pairs by direction" in (out / "report.md").read_text()


def test_examples_near_the_thresholds_are_the_nearest_of_each_side(done):
    _, out, _, _ = done
    examples = json.loads((out / "report.json").read_text())["examples"]
    shown = {(one["threshold"], one["above"]): [] for one in examples}
    for one in examples:
        shown[one["threshold"], one["above"]].append(one["cosine"])
    assert shown["threshold", True][-2:] == [0.74, 0.74] and shown["threshold", False][0] == 0.73
    assert shown["shared threshold", True] == [0.7, 0.67] and shown["shared threshold", False] == [0.65, 0.6]
    assert all(
        one[side]["summary"].startswith("summary of") for one in examples for side in ("first", "second")
    )


def test_the_order_and_the_names_of_files_do_not_matter(run, model, done, tmp_path):
    _, out, pages, _ = done
    mixed = random.Random(2).sample(pages, len(pages))
    aligned.write(tmp_path / "one", mixed[::2])
    aligned.write(tmp_path / "two", mixed[1::2])
    (tmp_path / "two" / "en_train.jsonl").rename(tmp_path / "two" / "articles_train.jsonl")
    files = sorted((tmp_path / "two").iterdir(), reverse=True)
    run(
        "vhm", "align", *files, tmp_path / "one", "--labse", model, "--out", tmp_path / "out",
        "--cache", out.parent / "cache", "--lang", "articles_train.jsonl=english", "--quiet",
    )  # fmt: skip
    assert aligned.tree(tmp_path / "out") == aligned.tree(out)


def test_another_threshold_asks_neither_the_model_nor_the_index(run, model, done, tmp_path):
    _, out, _, true = done
    before = {path: path.stat().st_mtime_ns for path in (out.parent / "cache").rglob("*.npz")}
    process = run(
        "vhm", "align", out.parent / "xlsum", "--labse", model, "--out", tmp_path / "out", "--form", "index",
        "--cache", out.parent / "cache", "--threshold", "0.55", "--shared-threshold", "0.4", "--json",
    )  # fmt: skip
    assert "embed" not in process.stderr and "search" not in process.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(addresses(read_pairs(tmp_path / "out"))) == 18  # of 20 true ones, all but those at 0.5
    assert json.loads(process.stdout)["counts"]["pairs"] == 18
    assert not (tmp_path / "out" / "pairs").exists()


def test_ivf_states_its_recall(run, model, tmp_path):
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(200, 8))
    near = (
        (language, n, vectors[n] + 0.2 * draw.normal(size=8)) for language in ("en", "fr") for n in range(200)
    )
    pages = [Page(language, str(n), vector) for language, n, vector in near]
    aligned.plant(pages, model, tmp_path / "out.cache")
    process = run(
        "vhm", "align", aligned.write(tmp_path / "xlsum", pages), "--labse", model, "--out", tmp_path / "out",
        "--index", "ivf", "--nlist", 4, "--nprobe", 1, "--form", "index",
    )  # fmt: skip
    recall = json.loads((tmp_path / "out" / "report.json").read_text())["similarity"]["recall"]
    assert 0.5 < recall["all"] <= recall["over_threshold"] <= 1
    assert (
        f"Nearest summaries that IVF found: {100 * recall['all']:.2f} % of 400 queries (all)"
        in process.stdout
    )


def test_prepare_reads_what_align_leaves(run, done, tmp_path):
    _, out, _, _ = done
    run(
        "vhm", "prepare", "crosssum", tmp_path / "DATA", out / "pairs", "--vocab-size", 32, "--quiet",
    )  # fmt: skip
    counts = {}
    for split in ("train", "test"):
        for pair in json.loads((tmp_path / "DATA" / "pairs" / f"{split}.json").read_text()):
            counts[pair["source"], pair["target"], split] = pair["count"]
    report = json.loads((out / "report.json").read_text())
    for pair in report["pairs"]:
        for split in ("train", "test"):
            assert counts.get((pair["source"], pair["target"], split), 0) == pair[split]


def test_the_commands_of_the_document_run(forked, model, done, tmp_path):
    _, made, pages, _ = done
    (tmp_path / "XLSUM").symlink_to(made.parent / "xlsum")
    (tmp_path / "LaBSE").symlink_to(model)
    aligned.plant(pages, tmp_path / "LaBSE", tmp_path / "aligned.cache")
    more = {"align": [], "prepare": ["--vocab-size", "32"]}
    for command in commands("align.md"):
        if "--ray" not in command:  # test_workers.py
            arguments = shlex.split(command)
            forked(*arguments, *more[arguments[1]], cwd=tmp_path)
    assert (tmp_path / "DATA" / "corpus.json").exists() and (tmp_path / "looser" / "report.json").exists()


WRONG = {
    "no such file or folder": ["absent", "--labse", "{model}", "--out", "{out}"],
    "--labse {data}": ["{data}", "--labse", "{data}", "--out", "{out}"],
    "--threshold 2.0: a cosine": ["{data}", "--labse", "{model}", "--out", "{out}", "--threshold", "2"],
    "greater than --threshold": [
        *("{data}", "--labse", "{model}", "--out", "{out}", "--shared-threshold", "0.9")
    ],
    "'xx-bad-code' is no language": [
        *("{data}", "--labse", "{model}", "--out", "{out}", "--lang", "en_train.jsonl=xx-bad-code")
    ],
    "lies in {data}": ["{data}", "--labse", "{model}", "--out", "{data}/out"],
    "was not made by vhm align": ["{data}", "--labse", "{model}", "--out", "{model}"],
    "is there already": ["{data}", "--labse", "{model}", "--out", "{done}"],
    "fr_test.jsonl:2: not JSON": ["{broken}", "--labse", "{model}", "--out", "{out}"],
}


@pytest.mark.parametrize("message", WRONG)
def test_bad_input_ends_in_one_line_and_leaves_nothing(forked, model, done, tmp_path, message):
    _, made, pages, _ = done
    names = {"data": made.parent / "xlsum", "model": model, "out": tmp_path / "out", "done": made}
    names["broken"] = aligned.write(tmp_path / "broken", pages)
    with (tmp_path / "broken" / "fr_test.jsonl").open("r+") as file:
        first = file.readline()
        file.seek(0)
        file.write(first + "{broken\n")
    before = aligned.tree(made)
    process = forked("vhm", "align", *(part.format(**names) for part in WRONG[message]), fails=True)
    last = process.stderr.strip().splitlines()[-1]
    assert process.returncode == 1 and last.startswith("vhm: error: ") and message.format(**names) in last
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "out").exists() and aligned.tree(made) == before


def test_overwrite_replaces_an_earlier_run(forked, model, done, tmp_path):
    _, made, pages, _ = done
    command = ("vhm", "align", made.parent / "xlsum", "--labse", model, "--out", tmp_path / "out")
    command += ("--cache", made.parent / "cache", "--form", "index")
    forked(*command)
    (tmp_path / "out" / "stray").touch()
    forked(*command, "--overwrite", "--threshold", "0.8")
    assert not (tmp_path / "out" / "stray").exists()
    assert len(read_pairs(tmp_path / "out")) < len(read_pairs(made))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
