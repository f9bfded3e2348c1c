"""Text as the models see it: segmentation into symbols and back, without fairseq or torch."""
