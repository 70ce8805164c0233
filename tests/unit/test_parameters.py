"""Functions that nobody sees the parameters of have few: what belongs together is handed over as a named tuple."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("cases", "grid_model", "control", "marl")
MOST = 9  # parameters in order; of a dozen arrays of one type two are soon in each other's place

# Of other ways to pass them, with the reason why these have more.
EXCEPTIONS = {
    "control/plants/battery.py:limit_battery": 11,  # eleven numbers of one formula, all of them scalars
}


def parameters_in_order() -> dict[str, int]:
    """Number of those that may be passed by position, of every compiled and every private function."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.FunctionDef):
                    continue
                compiled = any(ast.unparse(decorator) == "compiled" for decorator in node.decorator_list)
                private = node.name.startswith("_") and not node.name.startswith("__")
                if compiled or private:
                    given = node.args.posonlyargs + node.args.args
                    own = [argument for argument in given if argument.arg not in ("self", "cls")]
                    found[f"{path.relative_to(ROOT).as_posix()}:{node.name}"] = len(own)
    return found


def test_compiled_and_private_functions_take_few_parameters_in_order():
    found = parameters_in_order()
    assert "grid_model/kernels/macro_step.py:integrate_macro_step" in found
    many = {name: count for name, count in found.items() if count > MOST}
    assert {name: count for name, count in many.items() if count > EXCEPTIONS.get(name, MOST)} == {}
