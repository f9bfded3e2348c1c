"""The names that all floors share."""

TASKS = ("cls", "mt", "ms")
"""Cross-lingual summarization, machine translation, monolingual summarization; always in this order."""
