"""What ``vhm doctor --plan`` is asked: words, numbers, files; and what it refuses in one line."""

import json

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.planning.measure import _work
from fairseq_vhm.planning.plan import duration
from fairseq_vhm.planning.run import Run, WrongFlags
from fairseq_vhm.planning.texts import LINES_AT_ONCE, Texts, cut_of, of_lines
from fairseq_vhm.planning.unit_costs import BOTH

NUMBERS = {"pairs": ["cls=1k,mt=2k,ms=1k"], "lengths": ["cls=20:7,mt=20:20,ms=20:7"], "vocab_size": 99}
LIMITS = ("--max-tokens", "60", "--max-update", "9")


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        (["cls=train.en"], {}, "cls=train.en: give a number, such as 1.7M, or two aligned files"),
        (["cls=a,b", "cls=c,d"], {}, "cls=c,d: the pairs of cls are given twice"),
        (["cls=a,b"], NUMBERS, "--pairs: the pairs of cls are given as files, too"),
        ([], {**NUMBERS, "utilisation": 0}, "--utilisation 0: give a share above 0"),
        ([], {**NUMBERS, "utilisation": 1.5}, "--utilisation 1.5: give a share above 0"),
        ([], {**NUMBERS, "pairs": ["cls=1k"]}, "--lengths: m[ts] has no --pairs"),
        ([], {**NUMBERS, "pairs": ["cls=1k,de=2k"]}, "--pairs: 'de=2k' is not TASK=NUMBER"),
        ([], {**NUMBERS, "pairs": ["cls=1k,cls=2k"]}, "--pairs: 'cls=2k' is not TASK=NUMBER"),
        ([], {**NUMBERS, "lengths": ["cls=20,mt=1:1,ms=1:1"]}, "--lengths: '20' is not SOURCE:TARGET"),
        ([], {**NUMBERS, "pairs": ["cls=0"], "lengths": ["cls=1:1"]}, "--pairs: '0' is no number above 0"),
        ([], {**NUMBERS, "spm": "spm.model"}, "--spm spm.model: cuts files into pieces; give cls="),
        (["DATA"], {"pairs": ["cls=1k"]}, "DATA: .* leave numbers or files out"),
        (["DATA"], {"lengths": ["cls=1:1"]}, "DATA: .* leave --lengths out"),
        (["DATA"], {"vocab_size": 99}, "DATA: .* leave --vocab-size out"),
        (["DATA"], {"spm": "spm.model"}, "DATA: .* leave --spm out"),
        (["DATA"], {}, "DATA: no such folder"),
        (["--pretraining-tasks", "mlm"], NUMBERS, "--pretraining-tasks mlm: planned from DATA alone"),
        (["--cls-fraction", "2"], NUMBERS, "--cls-fraction 2.0: give a share above 0"),
        (["--tasks", "cls,sum"], NUMBERS, "--tasks cls,sum: 'sum' is not a task"),
        (["--tasks", "cls"], {**NUMBERS, "pairs": ["mt=1k"], "lengths": ["mt=1:1"]}, "no texts of cls"),
        (["--task", "translation"], NUMBERS, "--task translation: a plan is made of cross_lingual_summ"),
        (["--task", "many_to_many_summarization", "--micro-batches", "0"], NUMBERS, "--micro-batches 0: "),
        (["--arch", "hf_mt5"], {**NUMBERS, "vocab_size": None}, "--hf-model: give the folder of an mT5"),
    ],
)
def test_what_cannot_be_planned_is_named_with_its_flag(wanted, words, options, said):
    with pytest.raises(UserError, match=said):
        wanted(*words, **{"flags": LIMITS, **options})


@pytest.mark.parametrize("number", ["0", "two"])
def test_a_number_of_gpus_that_is_none_is_a_wrong_command_line(number):
    with pytest.raises(WrongFlags, match="--distributed-world-size"):
        Run.of([*LIMITS, "--distributed-world-size", number])


@pytest.mark.parametrize("flag", [["-a", "vhm_transformer_tiny"], ["--arch=vhm_transformer_tiny"]])
def test_the_user_s_architecture_counts_however_its_flag_is_spelt(flag):
    assert Run.of([*LIMITS, *flag]).args.encoder_embed_dim == Run.of(
        [*LIMITS, "--arch", "vhm_transformer_tiny"]
    ).args.encoder_embed_dim != Run.of([*LIMITS]).args.encoder_embed_dim


def test_an_architecture_of_another_kind_is_refused(wanted):
    from fairseq_vhm.planning.unit_costs import UnitCosts

    run = wanted(flags=("--arch", "transformer_tiny", *LIMITS), **NUMBERS).run
    with pytest.raises(UserError, match="--arch transformer_tiny: reads no batches that name their task"):
        UnitCosts(run, 99, ["cls"])


@pytest.mark.parametrize(
    ("flags", "numbers"),
    [
        (("--optimizer", "sgd"), 0),
        (("--optimizer", "sgd", "--momentum", "0.9"), 1),
        (("--optimizer", "adafactor"), 0),
        (("--optimizer", "adafactor", "--beta1", "0.9"), 1),
        (("--optimizer", "adam"), 2),
    ],
)
def test_an_optimizer_keeps_what_fairseq_s_own_keeps(flags, numbers):
    import torch
    from fairseq import optim

    from fairseq_vhm.planning.storage import moments

    run = Run.of([*LIMITS, *flags, "--lr", "0.1"])
    parameter = torch.nn.Parameter(torch.ones(64, 64))
    optimizer = optim.build_optimizer(run.cfg.optimizer, [parameter])
    parameter.grad = torch.ones(64, 64)
    optimizer.step()
    state = optimizer.optimizer.state[parameter].values()
    kept = sum(tensor.numel() for tensor in state if torch.is_tensor(tensor)) / parameter.numel()
    assert moments(run) == round(kept)


def test_a_gpu_multiplies_by_the_rate_of_the_run_s_precision():
    from fairseq_vhm.planning.devices import DEVICES

    v100, a100, high = DEVICES["v100"], DEVICES["a100"], ("--matmul-precision", "high")
    for flags, rates in (((), (15.7, 19.5)), (high, (15.7, 156)), (("--bf16", *high), (125, 312))):
        run = Run.of([*LIMITS, *flags])
        assert tuple(2 * one.multiply_adds(run.halved, run.tf32) / 1e12 for one in (v100, a100)) == rates


# ---- files -------------------------------------------------------------------------------------


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_lines_are_counted_with_eos_in_files_longer_than_a_piece(tmp_path):
    texts = ["a b c"] * LINES_AT_ONCE + ["a"] * 3
    found = of_lines("mt", write(tmp_path / "a", texts), write(tmp_path / "b", texts[::-1]), cut_of(None))
    assert found.pairs == LINES_AT_ONCE + 3
    assert found.lengths[[0, -1]].tolist() == [[4, 2], [2, 4]]


def test_pieces_are_those_of_the_sentencepiece_model(tmp_path):
    from fairseq_vhm.text.subword import train_model

    texts = ["the court opened on monday", "the court closed", "a day on court"] * 20
    (tmp_path / "spm.model").write_bytes(train_model(texts, 25, 1.0))
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spm.model"))
    path = write(tmp_path / "a", texts)
    found = of_lines("mt", path, path, cut_of(tmp_path / "spm.model"))
    escaped = [model.encode(text) for text in texts]
    assert found.lengths[:, 0].tolist() == [len(pieces) + 1 for pieces in escaped]


def test_files_that_are_not_aligned_or_empty_are_refused(tmp_path):
    one, two, none = (write(tmp_path / name, lines) for name, lines in (("1", "a"), ("2", "ab"), ("0", "")))
    with pytest.raises(UserError, match="2: 2 lines where .*1 has 1; they must be aligned"):
        of_lines("mt", one, two, cut_of(None))
    with pytest.raises(UserError, match="mt: there are no training pairs"):
        of_lines("mt", none, none, cut_of(None))


# ---- figures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(90, "1.5 min"), (7199, "120 min"), (7200, "2 h"), (2 * 86400 - 1, "48 h"), (2 * 86400, "2.0 days")],
)
def test_a_time_is_said_in_the_unit_that_suits(seconds, said):
    assert duration(seconds) == said


def test_the_work_of_documents_encoded_once_is_of_both_targets():
    import torch

    class Units:
        def of(self, *asked):
            self.asked = asked
            return self

        multiply_adds = 7.0

    units, texts = Units(), torch.zeros(3, 9)
    batch = {"net_input": {"task": "cls", "src_tokens": texts}, "target": texts[:, :4]}
    assert _work(units, {**batch, "partner": {"target": texts[:, :6]}}) == 7
    assert units.asked == (BOTH, 3, 9, 5)
    _work(units, batch)
    assert units.asked == ("cls", 3, 9, 4)


def test_texts_in_json_are_numbers_of_python(wanted):
    texts = wanted(flags=("--arch", "vhm_transformer_tiny", *LIMITS), **NUMBERS).material.texts
    assert json.loads(json.dumps([text.tokens for text in texts])) == [27_000, 80_000, 27_000]
    assert Texts("cls", 2, 2.5, 1.0).tokens == 7
