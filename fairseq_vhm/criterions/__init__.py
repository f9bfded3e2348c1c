"""Criterions; importing the package registers them with fairseq."""

from fairseq_vhm.criterions.elbo import ElboCriterion

__all__ = ["ElboCriterion"]
