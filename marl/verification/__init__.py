"""What the learner is proven beside: a task that is not ours with published results, and plain torch."""
