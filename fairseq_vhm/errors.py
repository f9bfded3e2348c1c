"""The one kind of error that is the user's to mend.

Everything that a user can cause (a missing file, flags that contradict each other, a broken line of
input) is raised as :class:`UserError` with a message of one line that names the file or flag and the
remedy.  The ``vhm`` command prints it without a stack trace and exits with status 1.
"""


def printable(text: str) -> str:
    """``text`` as one line that does nothing to a terminal: what is not printable is written as ``\\x1b``.

    That is Python's :meth:`str.isprintable`: control characters, line breaks, marks of writing direction,
    blanks other than the usual one, and halves of characters are not.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class UserError(Exception):
    """A mistake in the input; ``str(error)`` is one line that names it and its remedy.

    Names of files and their contents stand in messages: they are made :func:`printable`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))
