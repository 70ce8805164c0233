"""Is the package that Python would import as `control` really ours?

`control` is also the import name of python-control, a well-known library. Where both are installed in one
environment, the library can win, and the first sign would be a puzzling ImportError deep inside ours. So
`cases`, which everything else that knows the grid imports first, asks this question once, by name.
"""

import importlib.util
from pathlib import Path


class ForeignPackageError(ImportError):
    """Another distribution is imported under the name of one of our packages."""


def require_own_package(name: str) -> None:
    """Raise ForeignPackageError if `import name` would not load the directory beside this package.

    The package is located, not imported. A package that is not installed at all passes: importing it
    gives Python's own error, which is plain enough.

    Raises:
        ForeignPackageError: another package would be loaded; the message says which and what to do.
    """
    expected = Path(__file__).resolve().parent.parent / name
    spec = importlib.util.find_spec(name)
    if spec is None:
        return
    places = [Path(place).resolve() for place in spec.submodule_search_locations or ()]
    if spec.origin is not None:
        places.append(Path(spec.origin).resolve().parent)
    if expected not in places:
        found = ", ".join(sorted({str(place) for place in places})) or "an unknown place"
        raise ForeignPackageError(
            f"`import {name}` finds {found}, expected {expected}. Another library, for example "
            f"python-control, uses the import name `{name}`. Install this project in an environment of its "
            f"own (`make train` creates one), or uninstall the other library."
        )
