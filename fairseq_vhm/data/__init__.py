"""Pairs of texts, the checks before they are used, and the plan of which batches make up which update."""
