"""The grid drawn: layout and network picture."""
