"""The trainer, the state of a run, its log and its evaluations."""
