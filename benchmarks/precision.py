"""fp16 and bf16 against float32: loss, KL and gradients of VHM, as ``--fp16`` and ``--bf16`` compute them.

    python benchmarks/precision.py [--rounds 5] [--json precision.json]

Each round is a mini-batch of each task under other parameters.  Both models start from the same numbers and
draw the same noise; parameters and what is computed from them are rounded, the latents stay in float32.
Errors are relative: of a sum over a mini-batch, and for the gradient the length of the difference over the
length of the gradient in float32, of all parameters together.
"""

import sys
from types import SimpleNamespace

import torch
from pairing import ROOT, make_parser, prepare, write_json

sys.path.append(str(ROOT / "tests"))

from tiny import make_batch, make_dictionary, make_model  # noqa: E402  (found by the line above)

from fairseq_vhm.criterions.elbo import ElboCriterion, ElboCriterionConfig  # noqa: E402
from fairseq_vhm.names import TASKS  # noqa: E402
from fairseq_vhm.tables import Table  # noqa: E402

PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16}
LOSS_SCALE = {"fp16": 128.0, "bf16": 1.0}  # fairseq's --fp16-init-scale; none under --bf16
BOUNDS = {
    "fp16": {"nll": 2e-4, "kl": 3e-3, "gradient": 1e-2},
    "bf16": {"nll": 2e-3, "kl": 2e-2, "gradient": 5e-2},
}
"""What docs/numbers.md promises of this shape, and the tests hold."""
SHAPE = {
    "encoder_embed_dim": 128,
    "encoder_ffn_embed_dim": 512,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "latent_dim": 32,
}
LENGTHS = ((60, 12), (50, 20), (40, 8), (30, 15))


def criterion_of(dictionary) -> ElboCriterion:
    """The ELBO with the KL at its full weight."""
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    config = ElboCriterionConfig()
    names = ("kl_max_weight", "free_bits", "local_kl", "kl_normalization", "loss_chunk", "label_smoothing")
    fixed = {"sentence_avg": False, "ignore_prefix_size": 0, "report_accuracy": False}
    settings = {name: getattr(config, name) for name in names} | fixed
    return ElboCriterion(task, **settings, kl_schedule="constant", kl_anneal_steps=0)


def computed(kind: torch.dtype, scale: float, task: str, seed: int, shape: dict) -> dict:
    """NLL, KL and gradient (one vector, float32) of a mini-batch in a precision."""
    dictionary = make_dictionary()
    model = make_model(dictionary, seed=seed, **shape).to(kind)
    batch = make_batch(dictionary, task, LENGTHS, seed)
    torch.manual_seed(seed)
    loss, size, log = criterion_of(dictionary)(model, batch)
    (loss * scale / size).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return {
        "nll": log["nll_loss"].double(),
        "kl": log[f"kl_{task}"].double(),
        "gradient": torch.cat([gradient.double().flatten() for gradient in gradients]) / scale,
    }


def errors(precision: str, task: str, seed: int, shape: dict) -> dict[str, float]:
    """Relative errors of a mini-batch's NLL, KL and gradient."""
    exact = computed(torch.float32, 1.0, task, seed, shape)
    found = computed(PRECISIONS[precision], LOSS_SCALE[precision], task, seed, shape)
    return {name: float((found[name] - exact[name]).norm() / exact[name].norm()) for name in exact}


def largest(precision: str, rounds: int, shape: dict) -> dict[str, float]:
    """The largest error of each kind over all tasks and rounds."""
    all_errors = [errors(precision, task, seed, shape) for seed in range(1, rounds + 1) for task in TASKS]
    return {name: max(each[name] for each in all_errors) for name in all_errors[0]}


def main() -> None:
    """The command."""
    given = make_parser(__doc__).parse_args()
    prepare(given.threads)
    figures = {precision: largest(precision, given.rounds, SHAPE) for precision in PRECISIONS}
    rows = [
        [precision, name, f"{error:.1e}", f"{BOUNDS[precision][name]:.0e}"]
        for precision, each in figures.items()
        for name, error in each.items()
    ]
    print(Table("Against float32", ["precision", "of", "largest relative error", "bound"], rows).plain())
    found = {"rounds": given.rounds, "largest": figures, "bounds": BOUNDS}
    write_json(given.json, __file__, found, given.threads)


if __name__ == "__main__":
    main()
