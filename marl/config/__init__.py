"""Configuration of a training, and the recipes that are known to work."""
