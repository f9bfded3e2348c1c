"""XL-Sum and CrossSum as released, or any pairs of many languages, to a corpus that holds each text once.

``inputs`` finds the files of each split and the languages in their names, ``rows`` reads them, ``collect``
writes each text once and numbers the pairs, ``leaks`` finds what is trained and held out alike, ``sample``
draws text for SentencePiece, ``build`` makes ids of text, ``prepare`` is the whole.
"""
