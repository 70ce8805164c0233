"""Judging controllers: one rollout, its record, metrics, statistics, comparisons and reports."""
