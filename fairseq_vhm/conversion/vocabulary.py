"""The released vocabulary as a fairseq dictionary, and which row of a table goes where.

fairseq numbers ``<s>``, ``<pad>``, ``</s>``, ``<unk>`` first, then the words; the task adds the tags
``<cls>``, ``<mt>``, ``<ms>`` behind them.  The words keep their order.  What no text can hold keeps its row
under a name of its own, so that the output layer sums over the same symbols: an empty line, a word that is
repeated (the last one counts there), and one that fairseq gives a meaning of its own.
"""

from collections.abc import Sequence

from fairseq.data import Dictionary

from fairseq_vhm.conversion.released import SPECIALS
from fairseq_vhm.names import TASKS, task_tag

_FAIRSEQS = {"<s>": "<bos>", "<pad>": "<pad>", "</s>": "<eos>", "<unk>": "<unk>"}
_TAGS = {task_tag(task): f"<{task.upper()}>" for task in TASKS}


class ReleasedVocabulary:
    """Symbols of the released code by id.

    Args:
        words: the lines of its vocabulary file.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.symbols = [*SPECIALS, *words]
        self.ids = {symbol: number for number, symbol in enumerate(self.symbols)}
        self.words = [self._name(number) for number in range(len(SPECIALS), len(self))]

    def __len__(self) -> int:
        return len(self.symbols)

    def _name(self, number: int) -> str:
        word = self.symbols[number]
        usable = word and self.ids[word] == number and word not in {*SPECIALS, *_FAIRSEQS, *_TAGS}
        return word if usable else f"<released:{number}>"

    def dictionary(self) -> Dictionary:
        """fairseq's dictionary of the words; the task's tags are not in it, since the task adds them."""
        dictionary = Dictionary()
        for word in self.words:
            dictionary.add_symbol(word)
        return dictionary

    def rows(self) -> list[int]:
        """For each symbol of the task's dictionary, tags included, its id in the released code.

        A word written like a special symbol takes its place there; the row that is idle then is the word's.
        """
        idle = {self.ids[symbol]: number for number, symbol in enumerate(SPECIALS)}
        words = [idle.get(number, number) for number in range(len(SPECIALS), len(self))]
        return [*(self.ids[s] for s in _FAIRSEQS.values()), *words, *(self.ids[s] for s in _TAGS.values())]
