"""Do annotators agree?  Krippendorff's alpha and Fleiss' kappa, criterion by criterion.

* alpha, ordinal (Krippendorff, Content Analysis, 4th ed., chapter 12; computed by ``krippendorff``):
  5 against 4 is a small disagreement, 5 against 1 a large one; texts that some did not rate count
  with those who did.
* kappa (Fleiss, Psychological Bulletin 76(5), 1971; computed by ``statsmodels``): 5 against 4 is as
  much a disagreement as 5 against 1; only texts that all annotators rated count.

Both are 1 for full agreement and 0 for that of chance.  The unit is a text: an output that several
systems share was rated once and counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fairseq_vhm.errors import UserError
from fairseq_vhm.human_eval.criteria import KEYS, LOWEST, SCALE
from fairseq_vhm.human_eval.key import Key
from fairseq_vhm.human_eval.ratings import Ratings


@dataclass(frozen=True)
class Agreement:
    """Agreement on one criterion.

    ``alpha`` and ``kappa`` are ``None`` where they are not defined, and ``reason`` says why.
    ``equal`` and ``within_one`` are the shares (0-1) of all pairs of ratings of one text that are
    equal, or differ by at most one.  ``texts`` were rated by two annotators or more, ``shared`` by all.
    """

    criterion: str
    alpha: float | None
    kappa: float | None
    equal: float | None
    within_one: float | None
    texts: int
    shared: int
    reason: str = ""


def agreement(read: Sequence[Ratings], key: Key) -> list[Agreement]:
    """Agreement on each criterion; samples that an annotator did not finish count without them."""
    return [_agreement(name, item_ratings(read, key, name)) for name in KEYS]


def item_ratings(read: Sequence[Ratings], key: Key, criterion: str) -> np.ndarray:
    """Ratings as annotators x items, NaN where there is none that counts."""
    return np.array(
        [
            [
                one.ratings[item][criterion] if one.is_whole(sample) else np.nan
                for sample in key.samples
                for item in sample["items"]
            ]
            for one in read
        ],
        dtype=float,
    )


def krippendorff_alpha(ratings: np.ndarray) -> float:
    """Ordinal alpha of annotators x items, NaN for no rating."""
    try:
        import krippendorff
    except ImportError as error:
        raise UserError("agreement needs krippendorff: pip install 'fairseq-vhm[human-eval]'") from error
    return float(krippendorff.alpha(ratings, level_of_measurement="ordinal"))


def fleiss_kappa(ratings: np.ndarray) -> float:
    """Fleiss' kappa of annotators x items, without NaN."""
    from statsmodels.stats import inter_rater

    counts, _ = inter_rater.aggregate_raters(ratings.T.astype(int) - LOWEST, n_cat=len(SCALE))
    return float(inter_rater.fleiss_kappa(counts))


def _agreement(criterion: str, ratings: np.ndarray) -> Agreement:
    given = ~np.isnan(ratings)
    several = ratings[:, given.sum(axis=0) > 1]
    shared = ratings[:, given.all(axis=0)] if len(ratings) > 1 else ratings[:, :0]
    reason = _why_no_alpha(ratings, several)
    kappa_reason = reason or _why_no_kappa(shared)
    equal, within_one = _shares(several)
    return Agreement(
        criterion,
        None if reason else krippendorff_alpha(ratings),
        None if kappa_reason else fleiss_kappa(shared),
        equal,
        within_one,
        several.shape[1],
        shared.shape[1],
        kappa_reason,
    )


def _why_no_alpha(ratings: np.ndarray, several: np.ndarray) -> str:
    """Why there is no agreement to compute, or nothing."""
    if len(ratings) < 2:
        return "one annotator"
    if not several.shape[1]:
        return "no text rated by two annotators"
    if not _varied(several):
        return "all ratings are the same"
    return ""


def _why_no_kappa(shared: np.ndarray) -> str:
    if not shared.shape[1]:
        return "kappa: no text rated by all annotators"
    return "" if _varied(shared) else "kappa: all ratings of the texts that all rated are the same"


def _varied(ratings: np.ndarray) -> bool:
    return len(np.unique(ratings[~np.isnan(ratings)])) > 1


def _shares(ratings: np.ndarray) -> tuple[float | None, float | None]:
    pairs = [np.abs(one - two) for one, two in combinations(ratings, 2)]
    gaps = np.concatenate([gap[~np.isnan(gap)] for gap in pairs]) if pairs else np.array([])
    if not len(gaps):
        return None, None
    return float((gaps == 0).mean()), float((gaps <= 1).mean())
