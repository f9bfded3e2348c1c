"""The names that all floors share."""

TASKS = ("cls", "mt", "ms")
"""Cross-lingual summarization, machine translation, monolingual summarization; always in this order."""

PRETRAINING_TASKS = ("mlm", "dae", "cmlm")
"""Masked and denoising language modelling, and masked language modelling of translation pairs; likewise."""

MASK = "<mask>"


def task_tag(task: str) -> str:
    """The dictionary symbol that names a task to the model."""
    return f"<{task}>"


def language_symbol(code: str) -> str:
    """The dictionary symbol of a language of mBART's, such as ``en_XX``."""
    return f"[{code}]"


def start_symbol(language: str) -> str:
    """The dictionary symbol with which the decoder of a many-to-many model starts, such as ``<2en>``."""
    return f"<2{language}>"
