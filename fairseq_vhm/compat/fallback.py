"""A damaged ``checkpoint_last.pt`` ends a run, though the checkpoint before it is whole.

fairseq resumes from that file alone.  Delete when ``Trainer.load_checkpoint`` looks for another.
"""

import functools
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairseq.trainer import Trainer

from fairseq_vhm.compat.arguments import LAST
from fairseq_vhm.compat.checkpoints import is_damage
from fairseq_vhm.compat.resuming import Misfit
from fairseq_vhm.errors import UserError

STEM = LAST.removesuffix(".pt")
_OWN = r"checkpoint(\d+|_\d+_\d+|_best|\.best_.*){suffix}\.pt"

logger = logging.getLogger(__name__)


def others_of_the_run(last: Path) -> list[Path]:
    """The checkpoints beside ``checkpoint_last.pt`` that the same run has saved, the latest first."""
    suffix = re.escape(last.stem.removeprefix(STEM))
    named = re.compile(_OWN.format(suffix=suffix))
    found = [path for path in last.parent.glob("checkpoint*.pt") if named.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _falling_back(load: Callable) -> Callable:
    @functools.wraps(load)
    def load_or_fall_back(self: Trainer, filename: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return load(self, filename, *args, **kwargs)
        except Misfit:
            raise
        except UserError as error:
            if not _is_resumed_from(Path(filename), self.cfg.checkpoint) or _is_out_of_reach(error):
                raise
            damage = error
        for other in others_of_the_run(Path(filename)):
            try:
                state = load(self, str(other), *args, **kwargs)
            except Misfit:
                raise
            except UserError:
                continue
            logger.warning(f"{damage.args[0].partition(';')[0]}; going on from {other.name}")
            return state
        raise damage

    load_or_fall_back.falls_back = True  # type: ignore[attr-defined]  # says that it is in place
    return load_or_fall_back


def _is_resumed_from(file: Path, cfg: Any) -> bool:
    """Whether it is the run's own last checkpoint, and no flag has named it."""
    return cfg.restore_file == LAST and file.parent == Path(cfg.save_dir) and file.name.startswith(STEM)


def _is_out_of_reach(error: UserError) -> bool:
    """Whether a file could not be read, which may be whole: an older one would be written over it."""
    return isinstance(error.__cause__, OSError) and not is_damage(error.__cause__)


def fall_back() -> None:
    """Go on from the latest checkpoint that loads; safe to call more than once."""
    if not hasattr(Trainer.load_checkpoint, "falls_back"):
        Trainer.load_checkpoint = _falling_back(Trainer.load_checkpoint)
