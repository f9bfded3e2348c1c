"""The harness of the speed benchmarks, on systems of width 64: what it counts, shares out and writes."""

import itertools
import json
import sys
from collections import Counter

import pytest
import torch
from commands import REPOSITORY, error_of

BENCHMARKS = REPOSITORY / "benchmarks"
sys.path.append(str(BENCHMARKS))

import pairing  # noqa: E402  (found by the line above)
import systems  # noqa: E402
from material import Material, Shape  # noqa: E402

SENTENCES, SOURCE, TARGET, VOCABULARY = 2, 12, 6, 100
SHALLOW = "--latent-mlp-layers 1"
SMALL = ["--size", "tiny", "--vocab", VOCABULARY, "--sentences", SENTENCES]
EQUAL = ["--sources", f"{SOURCE}-{SOURCE}", "--targets", f"{TARGET}-{TARGET}"]
UNEQUAL = Shape(VOCABULARY, sentences=5, sources=(3, 12), targets=(2, 9), rounds=3)


@pytest.fixture(scope="module")
def trained_in_turns(forked, tmp_path_factory):
    """What ``train.py`` writes about three pairs, and what it prints; the second of ours is another."""
    path = tmp_path_factory.mktemp("benchmarks") / "train.json"
    pairs = ["--pair", "mt_ms_cls:fairseq", "--pair", "vhm:fairseq", "--pair", "vhm:vhm"]
    flags = ["--ours-b", SHALLOW, "--rounds", 2, "--no-memory", "--json", path]
    process = forked(BENCHMARKS / "train.py", *pairs, *SMALL, *EQUAL, *flags)
    return json.loads(path.read_text()), process.stdout


@pytest.fixture(scope="module")
def material_and_systems(tmp_path_factory):
    """Texts of unequal lengths, and the systems that take them."""
    material = Material(UNEQUAL)
    setting = systems.Setting(material.write(tmp_path_factory.mktemp("material") / "DATA"), size="tiny")
    return material, {name: systems.build(name, setting, material, 4) for name in ("vhm", "fairseq")}


def multiply_adds_of_transformer(width: int, inner: int, layers: int) -> int:
    """Forward and backward of a mini-batch: every product forward costs two of its size backward."""
    source, target = SENTENCES * (SOURCE + 2), SENTENCES * (TARGET + 1)  # tag, EOS
    encoder = 4 * source * width**2 + 2 * source * width * inner + 2 * source * (SOURCE + 2) * width
    decoder = 4 * target * width**2 + 2 * target * width * inner + 2 * target * (TARGET + 1) * width
    crossing = 2 * (source + target) * width**2 + 2 * target * (SOURCE + 2) * width
    return 3 * (layers * (encoder + decoder + crossing) + target * width * VOCABULARY)


def test_multiply_adds_are_those_of_the_closed_form(trained_in_turns):
    figures, _ = trained_in_turns
    words = 3 * SENTENCES * (SOURCE + TARGET)
    size = systems.SIZES["tiny"]
    expected = 3 * multiply_adds_of_transformer(size["width"], size["inner"], size["layers"]) / words
    loss_in_chunks = 3 * SENTENCES * (TARGET + 1) * VOCABULARY / words  # of the output bias, as a product
    for name, more in (("fairseq", 0), ("mt_ms_cls", loss_in_chunks)):
        found = figures["systems"][name]["multiply_adds_per_word"]
        assert found == pytest.approx(expected + more, abs=1)  # given to six digits


def test_ratios_of_pairs_are_those_of_their_rounds(trained_in_turns):
    figures, _ = trained_in_turns
    assert [pair["pair"] for pair in figures["pairs"]] == [
        ["mt_ms_cls", "fairseq"],
        ["vhm", "fairseq"],
        ["vhm", f"vhm {SHALLOW}"],
    ]
    for pair in figures["pairs"]:
        first, second = (figures["systems"][name] for name in pair["pair"])
        each = [a / b for a, b in zip(first["seconds"], second["seconds"], strict=True)]
        assert pair["cost_ratios"] == pytest.approx(each, rel=1e-4)
        assert len(each) == 2 and min(each) <= pair["cost_ratio"]["median"] <= max(each)
        work = first["multiply_adds_per_word"] / second["multiply_adds_per_word"]
        assert pair["multiply_adds_ratio"] == pytest.approx(work, rel=1e-4)
    equal, latents, deeper = (pair["multiply_adds_ratio"] for pair in figures["pairs"])
    assert 1 < equal < 1.001 < deeper < latents


def test_results_say_what_they_were_made_with(trained_in_turns):
    figures, printed = trained_in_turns
    assert figures["command"].startswith("python benchmarks/train.py --pair mt_ms_cls:fairseq")
    assert str(REPOSITORY) not in json.dumps(figures)
    assert figures["versions"]["torch"] == torch.__version__
    assert figures["hardware"]["threads"] == 1 and figures["hardware"]["cores"] >= 1
    assert figures["words"] == [3 * SENTENCES * (SOURCE + TARGET)] * 2
    assert all(name in printed for name in (*figures["systems"], "multiply-adds", "throughput"))


def test_a_process_of_its_own_tells_peak_memory_beyond_its_imports(forked):
    flags = ["--pair", "vhm:fairseq", "--alone", "vhm", *SMALL]
    found = json.loads(forked(BENCHMARKS / "train.py", *flags).stdout.splitlines()[-1])
    assert found["peak_bytes"] > found["state_bytes"] > 0
    assert found["seconds_per_1000_words"] > 0


def test_all_systems_get_the_same_words(material_and_systems):
    material, built = material_and_systems
    assert len(set(material.words)) > 1
    for number, words in enumerate(material.words):
        ours = built["vhm"].steps[number][0]["mini_batches"]
        peers = built["fairseq"].steps[number]
        released = systems.released_batches(material, number, "cpu")
        assert words_in(peers) == words_in(ours) and sum(words_in(ours).values()) == words
        assert released_words(released) == words_in(ours)


def words_in(batches: list[dict]) -> Counter:
    sides = [batch[side] for batch in batches for side in ("target",)]
    sides += [batch["net_input"]["src_tokens"] for batch in batches]
    return Counter(w for side in sides for w in side.flatten().tolist() if 4 <= w < VOCABULARY - 3)


def released_words(batches: list) -> Counter:
    ids = [w for _, *sides in batches for side in sides for w in side.flatten().tolist()]
    return Counter(w - 3 for w in ids if w >= 7)


def test_every_output_has_the_length_that_is_asked_for(material_and_systems):
    _, built = material_and_systems
    for system in built.values():
        outputs = system.decode(0)
        assert [len(output) for output in outputs] == [4 + 1] * UNEQUAL.sentences
        assert all(output[-1] == 2 for output in outputs)


def test_each_round_another_system_begins_and_warm_up_does_not_count():
    calls, ticks = [], itertools.count()
    work = {name: (lambda number, name=name: calls.append((number, name))) for name in "ab"}
    seconds = pairing.take_turns(work, rounds=2, clock=lambda: next(ticks), warm_up=1)
    assert calls == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]
    assert seconds == {"a": [1, 1], "b": [1, 1]}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--pair", "vhm:nobody"], "--pair vhm:nobody"),
        (["--pair", "released:vhm"], "--released PATH"),
        (["--pair", "released:vhm", "--released", "docs"], "--released"),
        (["--pair", "vhm:vhm", "--targets", "9-3"], "--targets 9-3"),
        (["--pair", "vhm:fairseq", "--ours-b", "--latent-dim 3"], "--ours-b"),
    ],
)
def test_what_cannot_be_run_is_one_clear_line(forked, flags, said):
    process = forked(BENCHMARKS / "train.py", *SMALL[2:], *flags, fails=True)
    assert said in error_of(process)


@pytest.mark.parametrize(
    ("script", "flags", "told"),
    [
        ("decode.py", ["--pair", "vhm:fairseq", "--rounds", 1, "--length", 3, *SMALL], "sentences / s"),
        ("data.py", ["--pairs", 60, "--rounds", 1, "--size", "tiny", "--share", 1e-4], "multistage"),
        ("score.py", ["--outputs", 10, "--rounds", 1], "rouge"),
        ("growth.py", ["--only", "directions"], "us_per_update"),
        ("parts.py", ["--symbols", 50, "--rounds", 1], "gradient of the embedding, 50 symbols"),
    ],
)
def test_the_other_benchmarks_print_a_table_and_write_their_figures(forked, tmp_path, script, flags, told):
    path = tmp_path / "figures.json"
    process = forked(BENCHMARKS / script, *flags, "--json", path)
    assert told in process.stdout
    assert {"command", "versions", "hardware"} < set(json.loads(path.read_text()))
