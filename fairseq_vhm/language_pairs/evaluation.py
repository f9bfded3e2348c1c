"""A split of a corpus scored, from the user's files to the folder of scores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_vhm.data.corpus import Corpus, Direction
from fairseq_vhm.errors import UserError
from fairseq_vhm.language_pairs import files, offtarget
from fairseq_vhm.language_pairs.examples import read_examples
from fairseq_vhm.language_pairs.offtarget import LIMIT
from fairseq_vhm.language_pairs.results import MIN_PAIR_SIZE, PairScores
from fairseq_vhm.language_pairs.scoring import IMPOSSIBLE, Track, score_pairs, usual_metrics
from fairseq_vhm.metrics.evaluation import metric_names
from fairseq_vhm.metrics.pieces import PostProcess
from fairseq_vhm.metrics.resources import NEEDS, Given, Resources
from fairseq_vhm.tables import Table

_SHOWN = 8


@dataclass(frozen=True)
class Settings:
    """What to score, and how.

    Args:
        corpus, split: whose references.
        hyp: outputs, as :func:`~fairseq_vhm.metrics.outputs.read_numbered` takes them.
        out: folder of the scores.
        min_pair_size: examples that a pair needs to count in means.
        limit: points of outputs in wrong languages, beyond those of references, that are warned of.
        metrics: comma-separated; by default the usual ones for which everything is there.
    """

    corpus: Path
    split: str
    hyp: Path
    out: Path
    min_pair_size: int = MIN_PAIR_SIZE
    limit: float = LIMIT
    metrics: str | None = None
    post_process: PostProcess = "none"


@dataclass(frozen=True)
class Evaluation:
    """What was found: the scores of each pair, and what a reader must know besides, a line each."""

    settings: Settings
    pairs: list[PairScores]
    remarks: list[str]

    @property
    def warning(self) -> str | None:
        """One line where outputs are in wrong languages."""
        return offtarget.warning(self.pairs, self.settings.limit)

    def tables(self) -> list[Table]:
        """For a terminal; that of every pair is in the folder."""
        return files.all_tables(self.pairs, self.settings.min_pair_size)[:-1]

    def as_json(self) -> dict:
        """What ``scores.pairs.json`` holds."""
        wanted = self.settings
        about = {"split": wanted.split, "remarks": self.remarks}
        return files.summary(self.pairs, wanted.min_pair_size, wanted.limit, **about)

    def write(self) -> None:
        """Write the folder of the scores."""
        files.write(
            self.settings.out,
            self.pairs,
            self.settings.min_pair_size,
            self.settings.limit,
            split=self.settings.split,
            remarks=self.remarks,
        )


def evaluate_split(settings: Settings, given: Given, track: Track) -> Evaluation:
    """Score all pairs of a split that have outputs.

    Args:
        given: models on disk.
        track: shows progress.

    Raises:
        UserError: a flag or file cannot be used; nothing has been written then.
    """
    metrics = _metrics(settings.metrics, given)
    files.check_out(settings.out)
    resources = Resources(metrics, given)
    corpus = Corpus.open(settings.corpus)
    examples = read_examples(corpus, settings.split, settings.hyp, settings.post_process)
    pairs = score_pairs(examples.pairs, metrics, resources, track)
    outputs = [output for pair in examples.pairs for output in pair.hypotheses]
    remarks = [*_left_out(settings, metrics, examples.without_outputs), *oddities(pairs, outputs)]
    return Evaluation(settings, pairs, remarks)


def _metrics(listed: str | None, given: Given) -> list[str]:
    if listed is None:
        return usual_metrics(given)
    names = metric_names(listed)
    if impossible := [name for name in names if IMPOSSIBLE in NEEDS.get(name, ())]:
        raise UserError(f"--metrics {impossible[0]}: needs sources as text, which a corpus does not hold")
    return names


def _left_out(settings: Settings, metrics: Sequence[str], absent: Sequence[Direction]) -> Iterator[str]:
    if "lase" not in metrics and settings.metrics is None:
        yield "LaSE is left out: it needs --labse and --lid"
    if absent:
        named = _listed(["-".join(direction) for direction in absent])
        yield f"{len(absent)} pairs of '{settings.split}' have no outputs in {settings.hyp.name}: {named}"


def oddities(pairs: Sequence[PairScores], outputs: Sequence[str]) -> Iterator[str]:
    """What a reader of the figures must know of outputs, identifier and models, a line each."""
    empty = sum(not output.strip() for output in outputs)
    if empty:
        yield f"{empty:,} of {len(outputs):,} outputs are empty and score 0"
    told = bool(offtarget.told(pairs))
    if told and (unknown := offtarget.not_told(pairs)):
        yield f"the identifier does not know {_listed(unknown)}: wrong languages are not told there"
    parts = [(pair.target, pair.metric.get("lase_language", {})) for pair in pairs]
    if unknown := sorted({target for target, found in parts if found.get("known") == 0}):
        yield f"LaSE: --lid does not know {_listed(unknown)}, so its confidence counts as 1 there"
    cut = sum(pair.metric.get("lase_meaning", {}).get("cut", 0) for pair in pairs)
    if cut:
        yield f"LaSE: {cut:,.0f} texts are longer than --labse reads and were cut (max in the signatures)"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
