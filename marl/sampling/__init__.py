"""Where environments run: in this process or beside it."""
