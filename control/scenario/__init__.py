"""What an episode is made of: configurations, suites of held-out seeds, files, and drawn episodes."""
