"""Frequency dynamics: groups of machines, governors, load shedding, events, and their coupling to power flow."""
