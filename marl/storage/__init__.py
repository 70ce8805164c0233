"""What was experienced: rollouts, and replay."""
