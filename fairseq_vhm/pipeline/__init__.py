"""Two-step baselines: translate, then summarise, or the other way round, with any two models."""
