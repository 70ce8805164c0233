"""What was experienced: rollouts."""
