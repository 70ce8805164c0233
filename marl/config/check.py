"""How a configuration refuses what cannot be meant: in one line, with the setting's name and value."""

from __future__ import annotations


class ConfigError(ValueError):
    """A hyper-parameter, or a combination of them, that cannot be meant."""


def require(condition: bool, message: str) -> None:
    """Raises ConfigError with this message unless the condition holds."""
    if not condition:
        raise ConfigError(message)
