"""Argument lists of fairseq's commands on the toy corpus, and what their logs and files say."""

PLUGIN = ("--user-dir", "fairseq_vhm", "--cpu")
TASK = ("--task", "cross_lingual_summarization")


def training(data, save_dir, *flags, updates=8, criterion="elbo", arch="vhm_transformer_tiny"):
    """Arguments of a short ``fairseq-train`` with dropout on; ``flags`` come last and win."""
    arguments = [data, *PLUGIN, *TASK, "--arch", arch, "--criterion", criterion]
    arguments += ["--save-dir", save_dir, "--max-update", updates, "--max-tokens", 120]
    arguments += "--optimizer adam --lr 0.003 --clip-norm 1 --dropout 0.1 --label-smoothing 0.1".split()
    arguments += "--encoder-embed-dim 32 --decoder-embed-dim 32 --latent-dim 8".split()
    arguments += "--num-workers 0 --seed 3 --no-progress-bar --log-format json --log-interval 1".split()
    return [*arguments, *flags]
