"""Rows of a decoder that are hypotheses of one sentence, and what they need not keep apart.

Beams of a sentence attend to the same source, so its keys and values are computed and kept once a sentence.
Their targets have most of their words in common too: the keys of each step stay where they were written, and
a table of *slots* says which of its sentence's keys belong to a row.  When the search goes on with other
rows, the table is reordered, and no key is copied.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

NO_SLOT = -1
"""Where the keys of padding stand."""


def beams_of(rows: Tensor, sentences: int, beams: int) -> tuple[Tensor | None, int]:
    """Which sentences there are once ``rows`` are kept, and how many rows each then has.

    Args:
        rows: (B') of the rows so far.
        sentences: how many there are so far, of ``beams`` rows each.

    Returns:
        The sentences to keep (``None``: all, as they are) and their beams; one for each row, with one beam,
        where the rows of a sentence do not stand side by side in equal numbers.
    """
    kept = rows // beams
    each = len(rows) // sentences
    everyone = torch.arange(sentences, device=rows.device).repeat_interleave(each)
    if torch.equal(kept, everyone):
        return None, each
    if beams > 1 and len(rows) % beams == 0:
        groups = kept.view(-1, beams)
        if groups.eq(groups[:, :1]).all():
            return groups[:, 0], beams
    return kept, 1


@dataclass
class Move:
    """What becomes of keys and values when the rows are others than at the last step.

    Args:
        sentences: (B) of the sentences before.
        rows: where the sentences have another number of beams: the sentence (B') of each row before, and the
            place (B' x T) of each of its keys there.
        beams: of each sentence from now on.
    """

    sentences: Tensor
    rows: tuple[Tensor, Tensor] | None
    beams: int

    def of_source(self, x: Tensor) -> Tensor:
        """(B x ...), one a sentence."""
        return x.index_select(0, self.sentences)

    def of_prefix(self, x: Tensor) -> Tensor:
        """(B x H x room x C/H), the beams' keys of each position side by side."""
        if self.rows is None:
            return x.index_select(0, self.sentences)
        owners, places = self.rows
        keys = x[owners.unsqueeze(1), :, places]  # B' x T x H x C/H
        return keys.unflatten(0, (-1, self.beams)).permute(0, 3, 2, 1, 4).flatten(2, 3)


class Beams:
    """The hypotheses that a decoder is at work on, step by step.

    Attributes:
        size: rows of each sentence; they stand side by side.
        length: positions so far.
        mask: (B x 1 x size x length * size), which of its sentence's keys each row attends to.
        move: what is to be done to keys and values before this step; ``None``: nothing.
    """

    def __init__(self) -> None:
        self.states: Tensor | None = None
        self.slots: Tensor | None = None
        self.order: Tensor | None = None
        self.move: Move | None = None
        self.size = 0

    @property
    def length(self) -> int:
        assert self.slots is not None, "after a step"
        return self.slots.size(1)

    def reorder(self, rows: Tensor) -> None:
        """Go on with ``rows`` of those that there are."""
        self.order = rows if self.order is None else self.order[rows]

    def step(self, states: Tensor, padding: Tensor) -> None:
        """Another position of each row.

        Args:
            states: (S x B x C), the encoder's; the same tensor as long as its sentences are the same.
            padding: (B'), whether the position is padding.
        """
        size = len(padding) // states.size(1)
        self.move = self._moved(states, size) if self.order is not None else None
        self.states, self.size, self.order = states, size, None
        own = torch.arange(size, device=padding.device).repeat(states.size(1))
        own = own.masked_fill(padding, NO_SLOT).unsqueeze(1)
        self.slots = own if self.slots is None else torch.cat([self.slots, own], dim=1)
        hit = self.slots.unsqueeze(-1).eq(torch.arange(size, device=padding.device))  # B' x T x size
        self.mask = hit.view(-1, 1, size, self.length * size)

    def _moved(self, states: Tensor, size: int) -> Move | None:
        assert self.order is not None and self.slots is not None, "after a step and a reordering"
        owners, slots = self.order // self.size, self.slots[self.order]
        self.slots = slots
        if size == self.size:
            return None if states is self.states else Move(owners[::size], None, size)
        positions = torch.arange(self.length, device=owners.device) * self.size
        places = positions + slots.clamp(min=0)
        own = torch.arange(size, device=owners.device).repeat(len(owners) // size).unsqueeze(1)
        self.slots = torch.where(slots.eq(NO_SLOT), NO_SLOT, own)
        return Move(owners[::size], (owners, places), size)


def with_room(x: Tensor, needed: int) -> Tensor:
    """(B x H x room x C/H) with room for ``needed`` keys and as many again, if it has not enough."""
    lacking = needed - x.size(2)
    return F.pad(x, (0, 0, 0, lacking + needed)) if lacking > 0 else x
