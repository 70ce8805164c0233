"""What `scripts/benchmark.py` measures, part by part, and how two revisions are played side by side."""
