"""Our way into torch's Adam leads to the same numbers."""

import torch

from marl.algorithms.adam import Adam


def steps(optimiser_class):
    torch.manual_seed(0)
    layer = torch.nn.Linear(5, 3)
    optimiser = optimiser_class(layer.parameters(), lr=1e-2, eps=1e-5, fused=True)
    for k in range(6):
        optimiser.zero_grad(set_to_none=True)
        layer(torch.randn(4, 5)).square().sum().backward()
        optimiser.step()
        if k == 2:
            optimiser.load_state_dict(optimiser.state_dict())
    return torch.cat([parameter.detach().flatten() for parameter in layer.parameters()])


def test_steps_are_torchs_own_bit_for_bit():
    assert torch.equal(steps(Adam), steps(torch.optim.Adam))
    assert torch.is_grad_enabled()
