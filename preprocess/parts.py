"""The parts of a prepared folder: one split of one task, two sides of equally many lines."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Side:
    """One side of a part; ``name`` is the name of its file, in every folder that has one."""

    part: "TextPart"
    suffix: str
    is_target: bool

    @property
    def name(self) -> str:
        return f"{self.part.name}.{self.suffix}"


@dataclass(frozen=True)
class TextPart:
    """``TASK.SPLIT`` with the file suffixes of its sides."""

    task: str
    split: str
    suffixes: tuple[str, str]

    @property
    def name(self) -> str:
        return f"{self.task}.{self.split}"

    @property
    def is_training(self) -> bool:
        return self.split == "train"

    @property
    def sides(self) -> tuple[Side, Side]:
        """Source and target."""
        return Side(self, self.suffixes[0], False), Side(self, self.suffixes[1], True)
