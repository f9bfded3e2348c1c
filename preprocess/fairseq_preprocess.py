"""``fairseq-preprocess`` for one task after the other: the process that :mod:`preprocess.binarize` starts.

Each line of stdin is a command's arguments as a list in JSON; each that is carried out is answered by
``done``.  What fairseq prints goes to stderr; if it fails, so does the process.
"""

import json
import logging
import os
import sys

DONE = b"done\n"


def main() -> None:
    """Import fairseq once, then take the commands in turn."""
    replies = os.dup(1)
    os.dup2(2, 1)
    from fairseq_cli import preprocess

    for line in sys.stdin:
        sys.argv[1:] = json.loads(line)
        preprocess.cli_main()
        logging.getLogger(preprocess.__name__).handlers.clear()  # the log in this task's folder
        os.write(replies, DONE)


if __name__ == "__main__":
    main()
