"""fairseq-train whose every rank writes checkpoints, each into its own --save-dir, to compare them."""

from fairseq.trainer import Trainer
from fairseq_cli.train import cli_main

Trainer.should_save_checkpoint_on_current_rank = property(lambda self: True)

if __name__ == "__main__":
    cli_main()
