"""A loss that keeps a latent from being ignored: it must tell the words of the target, in no order.

Zhao, Zhao, Eskenazi (ACL 2017), "Learning Discourse-level Diversity for Neural Dialog Models using
Conditional Variational Autoencoders", section 3.3.  There a network of its own maps z (and the context)
to the vocabulary; here z is projected to the decoder's width and goes through its output layer, which
costs no second table.
"""

import torch
from torch import Tensor, nn


class BagOfWords(nn.Module):
    """Features from the joined latents of a task's decoder.

    Args:
        width: C.
        inputs: for each task that decodes with latents, the joint width of these latents.
    """

    def __init__(self, width: int, inputs: dict[str, int]):
        super().__init__()
        self.projections = nn.ModuleDict({task: nn.Linear(size, width) for task, size in inputs.items()})

    def forward(self, z: Tensor, task: str) -> Tensor:
        """Joined latents (B x D) to features (B x C) for the output layer."""
        return torch.tanh(self.projections[task](z))


def bag_of_words_nll(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Negative log-likelihood of each target's words, drawn from one distribution (B, in nats).

    Args:
        logits: (B x V).
        target: (B x T') tokens.
        counted: (B x T') which of them are words.
    """
    log_p = torch.log_softmax(logits.float(), dim=-1).gather(1, target)
    return -(log_p * counted).sum(dim=1)
