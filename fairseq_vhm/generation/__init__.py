"""Which latent a sentence is decoded with, and the interface for Python users."""
