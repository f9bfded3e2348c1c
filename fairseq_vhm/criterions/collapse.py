"""Posterior collapse made visible: a latent whose KL stays near 0 tells the decoder nothing."""

import logging

import torch

from fairseq_vhm.latent import LATENTS

logger = logging.getLogger(__name__)

NEAR_ZERO = 0.1
"""Nats a sentence below which a KL counts as near 0."""
WINDOW = 250  # updates a mean is taken over
WINDOWS = 2  # windows in a row before a warning; and between two warnings, ten times as many


class CollapseWatch:
    """Follows each latent's KL over the updates and warns when it stays under :data:`NEAR_ZERO`.

    Sums are kept as they come (tensors on a GPU stay there) and read once a window.
    """

    def __init__(self) -> None:
        self.updates = 0
        self.sums = dict.fromkeys(LATENTS, 0.0)
        self.sentences = dict.fromkeys(LATENTS, 0)
        self.windows_near_zero = dict.fromkeys(LATENTS, 0)

    def update(self, logging_outputs: list[dict]) -> list[str]:
        """Take in one update's logging outputs; the names of the latents warned about."""
        for name in LATENTS:
            self.sums[name] += sum(log.get(f"kl_{name}", 0.0) for log in logging_outputs)
            self.sentences[name] += sum(log.get(f"kl_{name}_sentences", 0) for log in logging_outputs)
        self.updates += 1
        return self._close_window() if self.updates % WINDOW == 0 else []

    def _close_window(self) -> list[str]:
        warned = []
        for name in LATENTS:
            if not self.sentences[name]:
                continue
            kl = float(self.sums[name]) / float(self.sentences[name])
            self.windows_near_zero[name] = self.windows_near_zero[name] + 1 if kl < NEAR_ZERO else 0
            if self.windows_near_zero[name] % (10 * WINDOWS) == WINDOWS:
                self._warn(name, kl)
                warned.append(name)
            self.sums[name], self.sentences[name] = 0.0, 0
        return warned

    def _warn(self, name: str, kl: float) -> None:
        if torch.distributed.is_initialized() and torch.distributed.get_rank() > 0:
            return
        logger.warning(
            f"z_{name}: its KL has stayed near 0 for {self.windows_near_zero[name] * WINDOW} updates "
            f"({kl:.4f} nats a sentence): the decoder learns nothing from it (posterior collapse); "
            "try --free-bits 1, a longer --kl-anneal-steps, or --kl-schedule cyclical"
        )
