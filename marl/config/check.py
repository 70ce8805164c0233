"""How a configuration refuses what cannot be meant: in one line, with the setting's name and value."""

from __future__ import annotations


class ConfigError(ValueError):
    """A hyper-parameter, or a combination of them, that cannot be meant."""


def require(condition: bool, message: str) -> None:
    """Refuse a configuration unless a condition holds.

    Args:
        condition: what has to hold.
        message: setting, value and what was expected.

    Raises:
        ConfigError: it does not hold.
    """
    if not condition:
        raise ConfigError(message)
