"""The averages of ROUGE-1.5.5: a bootstrap of 1,000 resamples drawn as the Perl script draws them.

The script reports the mean over resamples, not the mean over pairs, and seeds Perl's generator with
0, 1, ..., so its digits depend on the generator and on the order of the pairs, and both are kept
here: drand48 (perlfunc ``rand``; POSIX), and the order in which pyrouge's numbered files are met.
"""

import numpy as np

RESAMPLES = 1000
CONFIDENCE = 95
DECIMALS = 5

DRAND48_MULTIPLIER = np.uint64(0x5DEECE66D)
DRAND48_INCREMENT = np.uint64(0xB)
DRAND48_LOW_SEED = np.uint64(0x330E)
DRAND48_MASK = np.uint64((1 << 48) - 1)


def average(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bootstrap mean and the bounds of its 95% interval.

    Args:
        scores: N x K, one row for each pair in the order of the corpus.

    Returns:
        mean, low and high, each of K figures rounded to five decimals as the script prints them.
    """
    means = np.sort(_resampled_means(scores[pyrouge_order(len(scores))]), axis=0)
    tail = int(RESAMPLES * (100 - CONFIDENCE) / 200)
    summary = means.mean(axis=0), means[tail], means[RESAMPLES - tail - 1]
    return tuple(np.round(part, DECIMALS) for part in summary)


def pyrouge_order(count: int) -> np.ndarray:
    """Positions of pairs 0 .. count-1 in the order in which the script draws from them.

    The script gets the files in pyrouge's order, numbers them from 1, and sorts those numbers as
    strings once more.
    """
    files = order_of_files(count)
    numbers = sorted(range(1, count + 1), key=str)
    return np.array([files[number - 1] for number in numbers], dtype=np.int64)


def order_of_files(count: int) -> list[int]:
    """Pairs in the order in which pyrouge lists their files: ``s.0``, ``s.1``, ``s.10``, ..."""
    return sorted(range(count), key=str)


def _resampled_means(scores: np.ndarray) -> np.ndarray:
    """Means of ``RESAMPLES`` draws with replacement (RESAMPLES x K); draw r is seeded with r."""
    count = len(scores)
    state = (np.arange(RESAMPLES, dtype=np.uint64) << np.uint64(16)) + DRAND48_LOW_SEED
    totals = np.zeros((RESAMPLES, scores.shape[1]))
    for _ in range(count):
        state = (state * DRAND48_MULTIPLIER + DRAND48_INCREMENT) & DRAND48_MASK
        uniform = np.ldexp(state.astype(np.float64), -48)
        totals += scores[(uniform * count).astype(np.int64)]
    return totals / count
