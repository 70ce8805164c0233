"""Settings every test shares: one thread per worker, and a plain failure for a foreign `control`."""

import os

# Before numpy: numpy and scipy each load an OpenBLAS that would start a thread per core in every worker.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    """Stop at once, with one plain sentence, if another library stands in the place of our packages."""
    from cases.installation import ForeignPackageError, require_own_package

    try:
        for name in ("cases", "grid_model", "control", "marl"):
            require_own_package(name)
    except ForeignPackageError as error:
        pytest.exit(str(error), returncode=4)
