"""Validation by real generation: scores of beam-search output, summed over batches and ranks.

ROUGE, BLEU, and by ``--eval-metrics`` all of :mod:`fairseq_vhm.metrics.registry`, plugins' among them.
"""

import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Any

import numpy as np
import torch
from fairseq.data import Dictionary
from fairseq.logging import metrics

from fairseq_vhm.errors import UserError
from fairseq_vhm.files import parse_json
from fairseq_vhm.metrics.base import CorpusScore, Score
from fairseq_vhm.metrics.tokens import language_of

logger = logging.getLogger(__name__)

ROUGE = ("rouge1", "rouge2", "rougeL")
SUMS = "sums_of_"  # in the keys of logging outputs, before the name of a score


def detect_pieces(dictionary: Dictionary) -> str | None:
    """How this dictionary's symbols are joined to words: fairseq's name of the post-processing."""
    symbols = dictionary.symbols
    if any(s.startswith("▁") for s in symbols):
        return "sentencepiece"
    if any(s.endswith("@@") for s in symbols):
        return "subword_nmt"
    return None


class GenerationMetrics:
    """Scores of a batch's outputs against its references.

    Args:
        language: suffix of the target's files (``en``, ``zh``, ``en_sum``): chooses the tokenisation.
        post_process: fairseq's name of how pieces are joined; read off the dictionary if ``None``.
        hidden: ids that stand in no text, such as languages.
        further: names of ``--eval-metrics``.

    Raises:
        UserError: ``language`` is none, or a metric is not of those that validation can have.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        language: str,
        post_process: str | None,
        rouge: bool,
        bleu: bool,
        hidden: Set[int] = frozenset(),
        further: Sequence[str] = (),
    ):
        self.dictionary = dictionary
        self.language = _language(language)
        self.post_process = post_process or detect_pieces(dictionary)
        self.rouge = rouge
        self.hidden = hidden
        summed = [*(["bleu"] if bleu else []), *further]
        self.summed = SummedMetrics(summed, self.language) if summed else None

    @property
    def names(self) -> list[str]:
        """Those of all scores."""
        return [*(ROUGE if self.rouge else ()), *(self.summed.kinds if self.summed else ())]

    @staticmethod
    def generation_settings(text: str) -> Namespace:
        """``--eval-gen-args`` as fairseq's generator takes it.

        Raises:
            UserError: not a JSON object.
        """
        try:
            return Namespace(**parse_json(text))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"--eval-gen-args {text}: not a JSON object such as '{{\"beam\": 4}}' ({error})"
            ) from error

    def text(self, tokens: Any, unk: str | None = None) -> str:
        """Token ids as text with its pieces joined."""
        return self.dictionary.string(
            tokens.int().cpu(), self.post_process, extra_symbols_to_ignore=self.hidden, unk_string=unk
        )

    def score(self, hypos: list[list[dict]], targets: Any, print_sample: bool) -> dict:
        """Logging outputs that can be summed: of figures over sentences, or of a corpus's counts."""
        pad = self.dictionary.pad()
        outputs = [self.text(h[0]["tokens"]) for h in hypos]
        references = [self.text(t[t.ne(pad)], unk="UNKNOWNTOKENINREF") for t in targets]
        if print_sample:
            logger.info(f"example output:    {outputs[0]}")
            logger.info(f"example reference: {references[0]}")
        return self._sums(outputs, references)

    def empty(self) -> dict:
        """The same keys for a batch that is not generated, so that ranks agree on them."""
        return self._sums([], [])

    def _sums(self, outputs: list[str], references: list[str]) -> dict:
        log: dict = {"generated": len(outputs)}
        if self.rouge:
            log |= self._rouge_sums(outputs, references)
        if self.summed:
            log |= self.summed.sums(outputs, references)
        return log

    def _rouge_sums(self, outputs: list[str], references: list[str]) -> dict[str, float]:
        from fairseq_vhm.metrics.rouge import sentence_rouge

        pairs = zip(outputs, references, strict=True)
        scores = [sentence_rouge(output, reference, self.language) for output, reference in pairs]
        return {name: sum((s[name] for s in scores), 0.0) for name in ROUGE}

    def reduce(self, logging_outputs: list[dict]) -> None:
        """Put the sums into fairseq's meters: ``rouge1``, ``rouge2``, ``rougeL``, ``bleu`` and others."""
        generated = sum(log.get("generated", 0) for log in logging_outputs)
        if not generated:
            return
        for name in ROUGE if any(ROUGE[0] in log for log in logging_outputs) else ():
            total = sum(log.get(name, 0) for log in logging_outputs)
            metrics.log_scalar(name, total / generated, generated, round=2)
        if self.summed:
            self.summed.reduce(logging_outputs)


class SummedMetrics:
    """BLEU and the metrics of ``--eval-metrics``, as ``vhm score`` has them: sums of what makes their scores.

    A score is the mean of its sentences, or made of counts summed over the corpus
    (:class:`~fairseq_vhm.metrics.base.CorpusScore`).

    Raises:
        UserError: no such metric, or one that needs a model or sources, which validation has not.
    """

    def __init__(self, names: Sequence[str], language: str):
        self.names, self.language = names, language
        self.kinds = {score.name: score for score in self._scores(["a"], ["a"])}

    def _scores(self, outputs: list[str], references: list[str]) -> list[Score]:
        from fairseq_vhm.metrics.evaluation import evaluate

        return evaluate(outputs, [[one] for one in references], self.language, self.names)

    def sums(self, outputs: list[str], references: list[str]) -> dict[str, torch.Tensor]:
        """Sums over the sentences of a batch, zeros where there are none, by the names of the scores."""
        if not outputs:
            return {f"{SUMS}{name}": torch.zeros_like(_sum(score)) for name, score in self.kinds.items()}
        return {f"{SUMS}{score.name}": _sum(score) for score in self._scores(outputs, references)}

    def reduce(self, logging_outputs: list[dict]) -> None:
        """Put each score of all batches into fairseq's meters by its name."""
        for name, kind in self.kinds.items():
            metrics.log_scalar(f"_{name}_sums", sum(log[f"{SUMS}{name}"] for log in logging_outputs).cpu())
            metrics.log_derived(name, partial(_figure, f"_{name}_sums", kind))


def _language(suffix: str) -> str:
    try:
        return language_of(suffix)
    except UserError as error:
        raise UserError(
            f"the target's files end in .{suffix}, which names no language to score by: prepare them with "
            "one such as .en or .zh_sum, or leave the --eval- flags out"
        ) from error


def _sum(score: Score) -> torch.Tensor:
    """What makes the score of several batches when it is added up: numbers, and of how many sentences."""
    rows = score.statistics if isinstance(score, CorpusScore) else np.array(score.per_segment)[:, None]
    return torch.tensor([*rows.sum(axis=0), len(rows)], dtype=torch.double)


def _figure(key: str, kind: Score, meters: Mapping) -> float:
    *sums, count = meters[key].sum.tolist()
    value = kind.figure(np.array(sums)) if isinstance(kind, CorpusScore) else sums[0] / count
    return round(float(value), 2)
