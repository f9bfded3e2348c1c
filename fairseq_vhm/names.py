"""The names that all floors share."""

TASKS = {
    "cls": "cross-lingual summarization",
    "mt": "machine translation",
    "ms": "monolingual summarization",
}
"""The tasks that a model is trained on, by the names of their folders; always in this order, and those of
plugins (:func:`register_training_task`) after them."""

PRETRAINING_TASKS = ("mlm", "dae", "cmlm")
"""Masked and denoising language modelling, and masked language modelling of translation pairs; likewise."""

MASK = "<mask>"

DICTIONARY_DIGEST = "dictionary_digest"
"""The setting of a checkpoint that says which symbols its rows are of (``MarkedDictionary.digest``)."""

SOURCE_LENGTH = "source_length"
"""The setting of a checkpoint that says where its sources were cut; a model may take longer ones."""


def register_training_task(name: str, description: str) -> None:
    """Add a task that ``--tasks`` and ``--eval-task`` know: pairs in ``DATA/NAME``, tagged ``<NAME>``.

    Its tag joins the dictionary behind those of the other tasks, so that a checkpoint of a run with the task
    is read with the task registered, and one of a run without it without.

    Raises:
        ValueError: there is such a task, or the name cannot be a folder's and a tag's.
    """
    if name in (*TASKS, *PRETRAINING_TASKS) or not name.isidentifier():
        raise ValueError(
            f"a task named '{name}': take a name that no task has, of letters, _ and digits (not first)"
        )
    TASKS[name] = description


def task_tag(task: str) -> str:
    """The dictionary symbol that names a task to the model."""
    return f"<{task}>"


def language_symbol(code: str) -> str:
    """The dictionary symbol of a language of mBART's, such as ``en_XX``."""
    return f"[{code}]"


def start_symbol(language: str) -> str:
    """The dictionary symbol with which the decoder of a many-to-many model starts, such as ``<2en>``."""
    return f"<2{language}>"
