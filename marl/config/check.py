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


def require_within(settings: object, name: str, least: int, most: int, why: str) -> None:
    """Refuse a whole number beyond a range; of several, each has to lie in it.

    Args:
        settings: has it.
        name: of the setting.
        least: what it may be at least.
        most: what it may be at most.
        why: what would become of more.

    Raises:
        ConfigError: it is smaller or larger.
    """
    value = getattr(settings, name)
    for number in value if isinstance(value, tuple) else (value,):
        require(number >= least, f"{name} = {value}, expected at least {least}")
        require(number <= most, f"{name} = {value}, expected at most {most}: {why}")
