"""What a run can be told: the one home of its defaults, and of their checks."""

from dataclasses import dataclass

from fairseq_vhm.errors import UserError

SPLITS = ("train", "valid", "test")

THRESHOLD = 0.735
SHARED_THRESHOLD = 0.666
INDUCED_THRESHOLD = -1.0
MATCHES = ("mutual", "best")
LARGEST_GROUP = 100
COMMON_IMAGE = 20
CONFLICTS = ("drop", "move")
VALID_SHARE = TEST_SHARE = 0.1

INDEXES = ("exact", "ivf")
PROBES = 16
PRECISIONS = ("float32", "float16")
BATCH_SIZE = 256
SHARD = 8192
FORMS = ("text", "index")
ON_ERROR = ("stop", "drop")


@dataclass(frozen=True)
class Pairing:
    """Which summaries are a pair.

    Args:
        threshold: least cosine.
        shared_threshold: least cosine of two pages that share an image or other identical content.
        match: ``mutual``: each is the other's best; ``best``: one is the other's.
        induced: also pairs that only a chain of pairs joins.
        induced_threshold: least cosine of these.
        largest_group: articles of a group beyond which it is a chain of topics and gives no induced pairs.
        common_image: pages of one language beyond which an image is a logo that tells nothing.
    """

    threshold: float = THRESHOLD
    shared_threshold: float = SHARED_THRESHOLD
    match: str = MATCHES[0]
    induced: bool = False
    induced_threshold: float = INDUCED_THRESHOLD
    largest_group: int = LARGEST_GROUP
    common_image: int = COMMON_IMAGE

    def __post_init__(self) -> None:
        for flag, value in (
            ("--threshold", self.threshold),
            ("--shared-threshold", self.shared_threshold),
            ("--induced-threshold", self.induced_threshold),
        ):
            if not -1 <= value <= 1:
                raise UserError(f"{flag} {value}: a cosine; give a number from -1 to 1")
        if self.shared_threshold > self.threshold:
            raise UserError(
                f"--shared-threshold {self.shared_threshold}: greater than --threshold {self.threshold}; it"
                " is the lower one, for pages that share an image"
            )
        check_choice("--match", self.match, MATCHES)
        _check_least("--largest-group", self.largest_group, 2)
        _check_least("--common-image", self.common_image, 1)


@dataclass(frozen=True)
class Splitting:
    """Which split an article goes to.

    Args:
        conflict: ``drop`` leaves out the articles whose own split is not that of their group; ``move``
            takes them to it.
        valid_share, test_share: of the groups none of whose articles has a split.
    """

    conflict: str = CONFLICTS[0]
    valid_share: float = VALID_SHARE
    test_share: float = TEST_SHARE

    def __post_init__(self) -> None:
        check_choice("--conflict", self.conflict, CONFLICTS)
        for flag, value in (("--valid-share", self.valid_share), ("--test-share", self.test_share)):
            if not 0 <= value <= 1:
                raise UserError(f"{flag} {value}: a share; give a number from 0 to 1")
        if self.valid_share + self.test_share > 1:
            raise UserError("--valid-share and --test-share: together more than 1; lower one")


@dataclass(frozen=True)
class Embedding:
    """How summaries become vectors, and how these are kept."""

    device: str = "auto"
    batch_size: int = BATCH_SIZE
    precision: str = PRECISIONS[0]
    shard: int = SHARD

    def __post_init__(self) -> None:
        check_choice("--precision", self.precision, PRECISIONS)
        _check_least("--batch-size", self.batch_size, 1)
        _check_least("--shard", self.shard, 1)


@dataclass(frozen=True)
class Searching:
    """Which index answers; ``lists`` and ``probes`` are IVF's (0 lists: 4 x the root of the vectors)."""

    index: str = INDEXES[0]
    lists: int = 0
    probes: int = PROBES

    def __post_init__(self) -> None:
        check_choice("--index", self.index, INDEXES)
        _check_least("--nlist", self.lists, 0)
        _check_least("--nprobe", self.probes, 1)


def check_choice(flag: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is none of ``choices``."""
    if value not in choices:
        raise UserError(f"{flag} {value}: choose from {', '.join(choices)}")


def _check_least(flag: str, value: int, least: int) -> None:
    """Refuse a number below ``least``."""
    if value < least:
        raise UserError(f"{flag} {value}: give a number from {least} on")
