"""The one kind of error that is the user's to mend.

Everything that a user can cause (a missing file, flags that contradict each other, a broken line of
input) is raised as :class:`UserError` with a message of one line that names the file or flag and the
remedy.  The ``vhm`` command prints it without a stack trace and exits with status 1.
"""


class UserError(Exception):
    """A mistake in the input; ``str(error)`` is one line that names it and its remedy."""
