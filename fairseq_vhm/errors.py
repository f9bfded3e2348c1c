"""The one kind of error that is the user's to mend.

Everything that a user can cause (a missing file, flags that contradict each other, a broken line of
input) is raised as :class:`UserError` with a message of one line that names the file or flag and the
remedy.  The ``vhm`` command prints it without a stack trace and exits with status 1.
What the system refuses has its wording here: :func:`unreadable`, :func:`unwritable`.
"""

import errno

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_OF_NAMES = (errno.EISDIR, errno.ENAMETOOLONG)


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


def unreadable(name: object, error: OSError) -> UserError:
    """That the system does not let ``name`` be read, and why."""
    return UserError(f"{name}: cannot be read: {_reason(error)}; give another file")


def unwritable(
    name: object, error: OSError, repeat: str = "repeat the command", at: object = None
) -> UserError:
    """That the system does not let ``name`` be written, why, and what helps against that.

    Args:
        name: the file or folder, with the flag that gave it where there is one.
        repeat: what to do once there is room.
        at: what the system refused, where that is something else and the user may want to look at it.
    """
    where = f" ({at})" if at else ""
    return UserError(f"{name}: cannot be written: {_reason(error)}{where}; {_remedy(error.errno, repeat)}")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _remedy(number: int | None, repeat: str) -> str:
    if number in _NO_ROOM:
        return f"make room and {repeat}"
    if number == errno.EFBIG:
        return f"allow larger files (ulimit -f) and {repeat}"
    return "choose another name" if number in _OF_NAMES else "choose another folder"
