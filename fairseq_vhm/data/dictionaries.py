"""``DATA/dict.txt`` of either kind: fairseq's own, or one whose ids are mT5's."""

from pathlib import Path
from typing import Any

from fairseq_vhm.data.languages import Languages, MarkedDictionary, TargetLanguages
from fairseq_vhm.data.mt5_vocabulary import is_mt5
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS, start_symbol, task_tag
from fairseq_vhm.text.mt5 import SPECIALS
from fairseq_vhm.text.start_tokens import TAG_TOKENS, start_tokens, with_map
from fairseq_vhm.text.symbols import join_bytes


class MT5Dictionary(MarkedDictionary):
    """A fairseq dictionary whose ids are mT5's: the line of a symbol in ``dict.txt`` is its id.

    The embeddings of a trained mT5 have no room for further symbols, so marks (tags of the tasks) are further
    names of tokens that no text has: ``index(mark)`` is the token's id, ``self[id]`` the token.

    mT5 has no token of its own for a beginning; ``bos()`` is the padding, which its decoder starts with.
    """

    def __init__(self, **_: object) -> None:
        super().__init__(add_special_symbols=False)
        self.nspecial = 0  # so that saving lists them all
        self.pad_word, self.eos_word, self.unk_word = SPECIALS
        self.bos_word = self.pad_word

    def add_from_file(self, f: Any) -> None:
        """As fairseq's; the special symbols are then known by their lines."""
        super().add_from_file(f)
        self.pad_index, self.eos_index, self.unk_index = (self.indices.get(word) for word in SPECIALS)
        self.bos_index = self.pad_index

    def mark(self, languages: Languages | TargetLanguages | None) -> None:
        """Name the tags of the tasks, and how languages start in a model without a map of its own.

        Raises:
            UserError: the vocabulary is not whole, or marks are asked for that it cannot have.
        """
        if isinstance(languages, Languages) or self.pretraining:
            raise UserError(
                "--langs and --pretraining-tasks need symbols beyond the texts', which DATA's mT5 vocabulary "
                "has no room for: drop them"
            )
        if len(TASKS) > len(TAG_TOKENS):
            raise UserError("mT5's vocabulary has no room for a task beside cls, mt, ms: drop the plugin")
        self.text_symbols = len(self)
        self.name(dict(zip(map(task_tag, TASKS), TAG_TOKENS, strict=True)))
        known = start_tokens(with_map({}))
        for code in languages.codes if languages else ():
            if code not in known:
                raise UserError(f"'{code}': mT5 was not pre-trained on it; leave the language out of DATA")
            self.name({start_symbol(code): known[code]})

    def name(self, tokens: dict[str, str]) -> None:
        """Give tokens further names: name -> token.

        Raises:
            UserError: there is no such token.
        """
        for name, token in tokens.items():
            if token not in self.indices:
                raise UserError(f"DATA's dictionary has no '{token}', which mT5's vocabulary has")
            self.indices[name] = self.indices[token]

    def string(self, tensor: Any, bpe_symbol: str | None = None, *args: Any, **kwargs: Any) -> str:
        """As fairseq's; where pieces are joined, bytes become the characters that they spell."""
        text = super().string(tensor, bpe_symbol, *args, **kwargs)
        return join_bytes(text) if bpe_symbol else text


def read_dictionary(path: Path | str) -> MarkedDictionary:
    """The dictionary at ``path``, of whichever kind it is; not marked yet.

    Raises:
        UserError: there is no such file, or it is no dictionary.
    """
    kind = MT5Dictionary if is_mt5(Path(path)) else MarkedDictionary
    try:
        return kind.load(str(path))
    except Exception as error:  # fairseq's own of this kind is a plain Exception
        raise UserError(f"{path}: no dictionary of lines SYMBOL COUNT: {error}") from error
