"""Text as the models see it: segmentation into symbols and back.  Imports neither fairseq nor torch."""
