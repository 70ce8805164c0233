"""Runs an exported policy by onnxruntime alone: neither this project nor torch is imported.

python scripts/export_policy.py --model-path checkpoints/best_model.pt --out policy.onnx
python examples/onnx_policy.py policy.onnx
"""

import sys

import numpy as np
import onnxruntime


def main(path, n_env=4, n_step=3):
    """Actions of the last of a few steps on made-up observations, {group: [env, agent, action]}."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    # The first axis is the environments'; a memory is zero where an episode begins.
    given = {x.name: np.zeros((n_env, *x.shape[1:]), dtype=np.float32) for x in session.get_inputs()}
    names = [x.name for x in session.get_outputs()]
    for _ in range(n_step):
        found = dict(zip(names, session.run(names, given), strict=True))
        given |= {name.removeprefix("next_"): x for name, x in found.items() if name.startswith("next_")}
    return {name.removeprefix("action_"): x for name, x in found.items() if name.startswith("action_")}


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
    try:
        actions = main(sys.argv[1])
    except Exception as error:  # onnxruntime has a class of its own for each kind of file that it cannot read
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        print(f"onnx_policy.py: error: {sys.argv[1]}: {first}", file=sys.stderr)
        sys.exit(2)
    for group, action in actions.items():
        print(group, action.shape, action[0].ravel())
