"""fairseq-generate, fairseq-interactive, fairseq-validate and from_pretrained on trained checkpoints."""

import math
import re
import statistics

import pytest
import torch
from commands import (
    TEST_SIZE,
    decoding,
    error_of,
    hypotheses,
    logged,
    printed,
    text_of_test_set,
    training,
)

from fairseq_vhm.models import VHMTransformerModel

TASKS = {"cls": ("en", "zh"), "mt": ("en", "zh"), "ms": ("en", "en_sum")}
SAMPLE = ("--latent-inference", "sample")
TO_ROUNDING = 2e-5


@pytest.fixture(scope="module")
def generate(toy_data, forked, trained):
    """fairseq-generate on the toy test set; the same flags are run once."""
    made = {}

    def command(*flags, checkpoint=trained / "checkpoint_last.pt", again=False, **settings):
        key = (str(checkpoint), flags)
        if again or key not in made:
            arguments = decoding(toy_data, checkpoint, *flags)
            made[key] = forked("fairseq-generate", *arguments, **settings)
        return made[key]

    return command


def assert_equal_outputs(first: dict, second: dict) -> None:
    """Equal texts, and scores equal to rounding, for every line."""
    assert sorted(first) == sorted(second) == list(range(TEST_SIZE))
    for number in first:
        for (score, text), (other_score, other_text) in zip(first[number], second[number], strict=True):
            assert text == other_text
            assert score == pytest.approx(other_score, abs=TO_ROUNDING)


@pytest.mark.parametrize("task", TASKS)
def test_every_line_of_the_tasks_test_set_is_decoded_once(generate, toy_data, task):
    process = generate("--eval-task", task)
    assert len(re.findall(r"^H-", process.stdout, re.MULTILINE)) == TEST_SIZE
    sources, references = printed(process, "S"), printed(process, "T")
    source_lang, target_lang = TASKS[task]
    assert [references[i] for i in range(TEST_SIZE)] == text_of_test_set(toy_data, task, target_lang)
    lines = text_of_test_set(toy_data, task, source_lang)
    assert [sources[i] for i in range(TEST_SIZE)] == [f"<{task}> {line}" for line in lines]


@pytest.mark.parametrize("size", [("--batch-size", 4), ("--max-tokens", 50), ("--batch-size", 100)])
def test_no_line_is_lost_whatever_the_batches(generate, size):
    assert_equal_outputs(hypotheses(generate()), hypotheses(generate(*size)))


def test_the_mean_is_deterministic_and_does_not_know_the_seed(generate):
    first = generate()
    again = generate(again=True)
    assert hypotheses(again) == hypotheses(first)
    assert printed(again, "P") == printed(first, "P")
    assert hypotheses(generate("--seed", 7)) == hypotheses(first)


def test_samples_obey_the_seed(generate):
    first = generate(*SAMPLE, "--seed", 1)
    assert hypotheses(generate(*SAMPLE, "--seed", 1, again=True)) == hypotheses(first)
    assert hypotheses(generate(*SAMPLE, "--seed", 2)) != hypotheses(first)
    assert hypotheses(generate()) != hypotheses(first)


@pytest.mark.parametrize("inference", [(), (*SAMPLE, "--seed", 1)], ids=["mean", "sample"])
@pytest.mark.parametrize("task", TASKS)
def test_a_line_gets_the_same_output_alone_as_in_a_batch(generate, inference, task):
    flags = ("--eval-task", task, *inference)
    alone, together = generate(*flags, "--batch-size", 1), generate(*flags, "--batch-size", 8)
    assert_equal_outputs(hypotheses(alone), hypotheses(together))


def test_more_draws_never_lower_the_best_score(generate):
    by_draws = [hypotheses(generate(*SAMPLE, "--seed", 1, "--latent-samples", k)) for k in (1, 2, 3)]
    for number in range(TEST_SIZE):
        one, two, three = (outputs[number][0][0] for outputs in by_draws)
        assert three >= two - TO_ROUNDING
        assert two >= one - TO_ROUNDING
    assert by_draws[2] != by_draws[0]


def test_n_best_of_several_draws_are_distinct_and_sorted(generate):
    flags = (*SAMPLE, "--seed", 1, "--latent-samples", 3, "--beam", 4, "--nbest", 4)
    for outputs in hypotheses(generate(*flags)).values():
        scores, texts = zip(*outputs, strict=True)
        assert len(set(texts)) == 4
        assert list(scores) == sorted(scores, reverse=True)


def test_n_best_holds_the_best_first(generate):
    several, best = hypotheses(generate("--beam", 4, "--nbest", 3)), hypotheses(generate("--beam", 4))
    for number, outputs in several.items():
        assert len(outputs) == 3
        assert outputs[0] == best[number][0]


def test_sampled_words_obey_the_seed(generate):
    flags = ("--sampling", "--sampling-topk", 10, "--beam", 1)
    first = hypotheses(generate(*flags, "--seed", 1))
    assert hypotheses(generate(*flags, "--seed", 1, again=True)) == first
    assert hypotheses(generate(*flags, "--seed", 2)) != first


def test_a_prefix_of_the_reference_is_kept(generate):
    process = generate("--prefix-size", 2)
    references = printed(process, "T")
    for number, [(_, text)] in hypotheses(process).items():
        assert text.split()[:2] == references[number].split()[:2]


def test_lengths_are_limited(generate):
    limited = hypotheses(generate("--max-len-a", 0, "--max-len-b", 2))
    assert all(len(text.split()) <= 2 for [(_, text)] in limited.values())
    grown = hypotheses(generate("--min-len", 5))
    assert all(len(text.split()) >= 5 for [(_, text)] in grown.values())


def test_pieces_are_joined(generate):
    assert hypotheses(generate("--remove-bpe")) == hypotheses(generate())
    joined = hypotheses(generate("--post-process", "sentencepiece"))
    for number, [(_, text)] in hypotheses(generate()).items():
        assert joined[number][0][1] == text.replace(" ", "")


def test_outputs_and_alignments_are_those_of_fairseqs_attention(generate):
    as_fairseq = ("--model-overrides", "{'attention': 'fairseq'}")
    assert_equal_outputs(hypotheses(generate()), hypotheses(generate(*as_fairseq)))
    fast, plain = (generate("--print-alignment", *flags) for flags in ((), as_fairseq))
    assert len(printed(fast, "A")) == TEST_SIZE and any(printed(fast, "A").values())
    assert printed(fast, "A") == printed(plain, "A")


def test_references_are_scored(generate):
    process = generate("--score-reference")
    references, tokens = printed(process, "T"), printed(process, "P")
    for number, [(score, text)] in hypotheses(process).items():
        assert text == references[number]
        assert score == pytest.approx(statistics.mean(map(float, tokens[number].split())), abs=1e-4)


def test_beam_search_finds_what_scores_at_least_as_well_as_greedy_search(generate):
    greedy, wide = hypotheses(generate("--beam", 1)), hypotheses(generate("--beam", 10))
    means = [statistics.mean(found[n][0][0] for n in range(TEST_SIZE)) for found in (greedy, wide)]
    assert means[1] >= means[0]


def test_an_ensemble_of_equals_is_the_model_itself(generate, trained):
    last = trained / "checkpoint_last.pt"
    twice = hypotheses(generate(checkpoint=f"{last}:{last}"))
    assert_equal_outputs(twice, hypotheses(generate()))


@pytest.mark.parametrize("inference", [(), (*SAMPLE, "--seed", 1)], ids=["mean", "sample"])
def test_an_ensemble_is_none_of_its_members(generate, trained, inference):
    members = [next(trained.glob("checkpoint_*_32.pt")), trained / "checkpoint_last.pt"]
    together = hypotheses(generate(*inference, checkpoint=":".join(map(str, members))))
    assert sorted(together) == list(range(TEST_SIZE))
    for member in members:
        assert together != hypotheses(generate(*inference, checkpoint=member))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("way", ["stdin", "file"])
def test_interactive_gives_what_generate_gives(generate, toy_data, forked, trained, tmp_path, task, way):
    text = "".join(f"{line}\n" for line in text_of_test_set(toy_data, task))
    source = {"stdin": text} if way == "stdin" else {}
    flags = ["--eval-task", task, "--buffer-size", 5, "--max-tokens", 50]
    if way == "file":
        (tmp_path / "input").write_text(text, encoding="utf-8")
        flags += ["--input", tmp_path / "input"]
    arguments = decoding(toy_data, trained / "checkpoint_last.pt", *flags)
    outputs = hypotheses(forked("fairseq-interactive", *arguments, **source))
    assert list(outputs) == list(range(TEST_SIZE))
    assert_equal_outputs(outputs, hypotheses(generate("--eval-task", task)))


def test_interactive_draws_what_generate_draws(generate, toy_data, forked, trained):
    text = "\n".join(text_of_test_set(toy_data))
    flags = (*SAMPLE, "--seed", 1, "--latent-samples", 2)
    arguments = decoding(toy_data, trained / "checkpoint_last.pt", *flags, "--buffer-size", 3)
    outputs = hypotheses(forked("fairseq-interactive", *arguments, stdin=text))
    assert_equal_outputs(outputs, hypotheses(generate(*flags)))


def test_interactive_needs_no_final_line_break_and_keeps_unknown_words_apart(toy_data, forked, trained):
    arguments = decoding(toy_data, trained / "checkpoint_last.pt")
    process = forked("fairseq-interactive", *arguments, stdin="w1 w2 nowhere")
    assert printed(process, "S")[0].replace("<cls> ", "") == "w1 w2 <unk>"


def test_lines_that_are_cut_are_counted(toy_data, forked, trained):
    arguments = decoding(toy_data, trained / "checkpoint_last.pt", "--max-source-positions", 5)
    process = forked("fairseq-interactive", *arguments, "--buffer-size", 2, stdin="w1 w2 w3\nw1 w2 w3 w4\n")
    assert printed(process, "S") == {0: "<cls> w1 w2 w3", 1: "<cls> w1 w2 w3"}
    said = "1 of 2 lines longer than 5 tokens were cut there (--max-source-positions)"
    assert process.stdout.count(said) == process.stdout.count("were cut there") == 1


def test_validate_says_what_training_said(toy_data, forked, tmp_path):
    process = forked("fairseq-train", *training(toy_data, tmp_path / "run"))
    last = logged(process, "valid")[-1]
    flags = ["--max-tokens", 240, "--seed", 3, "--log-format", "json", "--no-progress-bar"]
    arguments = decoding(toy_data, tmp_path / "run" / "checkpoint_last.pt", *flags)
    (again,) = logged(forked("fairseq-validate", *arguments), "valid")
    names = ["valid_loss", "valid_nll_loss", "valid_kl_weight"]
    names += [f"valid_{name}_{task}" for name in ("loss", "nll_loss", "kl", "au") for task in TASKS]
    assert {name: again[name] for name in names} == {name: last[name] for name in names}


def test_an_average_of_checkpoints_is_decoded(generate, forked, trained, tmp_path):
    members = [next(trained.glob("checkpoint_*_32.pt")), trained / "checkpoint_last.pt"]
    forked("vhm", "average", *members, "--out", tmp_path / "average.pt")
    outputs = hypotheses(generate(checkpoint=tmp_path / "average.pt"))
    assert sorted(outputs) == list(range(TEST_SIZE))
    assert outputs != hypotheses(generate())
    forked("vhm", "average", members[1], members[1], "--out", tmp_path / "same.pt")
    assert_equal_outputs(hypotheses(generate(checkpoint=tmp_path / "same.pt")), hypotheses(generate()))


@pytest.fixture(scope="module")
def hub(trained, toy_data):
    return VHMTransformerModel.from_pretrained(
        str(trained), "checkpoint_last.pt", data_name_or_path=str(toy_data)
    )


def test_summarize_gives_what_interactive_gives(hub, toy_data, forked, trained):
    lines = text_of_test_set(toy_data)
    arguments = decoding(toy_data, trained / "checkpoint_last.pt", "--beam", 4, "--lenpen", 0.6)
    outputs = hypotheses(forked("fairseq-interactive", *arguments, stdin="\n".join(lines)))
    assert hub.summarize(lines) == [outputs[i][0][1] for i in range(TEST_SIZE)]


@pytest.fixture(scope="module", params=["source", "target", "none"])
def tagged(request, toy_data, forked, tmp_path_factory):
    """Where the task's tag was put in training, and the checkpoint."""
    folder = tmp_path_factory.mktemp("tagged")
    flags = ("--task-tag", request.param, "--lr", 0.01)
    forked("fairseq-train", *training(toy_data, folder, *flags, updates=20))
    return request.param, folder / "checkpoint_last.pt"


@pytest.mark.parametrize("task", ["cls", "mt"])
def test_a_model_is_decoded_with_the_tag_it_was_trained_with(tagged, generate, toy_data, task):
    """The scores printed for an output's tokens are those of the model fed with that tag."""
    place, checkpoint = tagged
    process = generate("--eval-task", task, checkpoint=checkpoint)
    sources = printed(process, "S")
    assert all(text.startswith(f"<{task}> ") == (place == "source") for text in sources.values())
    hub = VHMTransformerModel.from_pretrained(
        str(checkpoint.parent), checkpoint.name, data_name_or_path=str(toy_data)
    )
    dictionary = hub.task.target_dictionary
    start = dictionary.index(f"<{task}>") if place == "target" else dictionary.eos()
    for number, [(_, text)] in hypotheses(process).items():
        source = dictionary.encode_line(sources[number], add_if_not_exist=False).long()
        target = dictionary.encode_line(text, add_if_not_exist=False).long()
        shifted = torch.cat([torch.tensor([start]), target[:-1]])
        with torch.no_grad():
            output = hub.models[0](source[None], torch.tensor([len(source)]), shifted[None], task=task)
            expected = hub.models[0].get_normalized_probs(output, log_probs=True)[0]
        expected = expected.gather(1, target[:, None])[:, 0] / math.log(2)  # fairseq prints base 2
        scores = torch.tensor([float(score) for score in printed(process, "P")[number].split()])
        torch.testing.assert_close(scores, expected, atol=2e-4, rtol=0)


def test_naming_the_tag_changes_nothing_and_another_is_refused(tagged, generate):
    place, checkpoint = tagged
    named = generate("--task-tag", place, checkpoint=checkpoint)
    assert hypotheses(named) == hypotheses(generate(checkpoint=checkpoint))
    other = "none" if place == "source" else "source"
    message = error_of(generate("--task-tag", other, checkpoint=checkpoint, fails=True))
    assert f"--task-tag {other}" in message
    assert f"--task-tag {place}" in message


def test_generation_needs_the_evaluated_tasks_folder_alone(toy_data, forked, trained, tmp_path):
    (tmp_path / "cls").symlink_to(toy_data / "cls")
    process = forked("fairseq-generate", *decoding(tmp_path, trained / "checkpoint_last.pt"))
    assert len(hypotheses(process)) == TEST_SIZE
