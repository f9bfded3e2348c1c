"""A model card and a citation file for a trained model: ``facts`` are gathered, ``text`` is made of them."""
