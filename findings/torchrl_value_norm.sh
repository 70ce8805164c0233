#!/usr/bin/env bash
# torchrl 0.14.1: MAPPOLoss(value_norm=PopArtValueNorm()) does not help a critic to learn large values.
#
# Expected: PopArt makes the learning of values independent of their scale: the network learns (R - mean) / std, and
#   what it says is turned back into the reward's unit for bootstrapping. The module says as much: critics use it "to
#   denormalize the critic's output back to the real reward scale when forming bootstrapped value estimates inside GAE".
# What happens: the network's output is taken to be in the reward's unit, and prediction and target are both normalised.
#   The mean cancels, ((V - m) / s - (R - m) / s)^2 = ((V - R) / s)^2, and what is left is a factor on the value loss,
#   which Adam divides out. Nothing in the package calls denormalize, and no layer is rescaled. A critic of values near
#   -1000 is as far away as without, to four digits. (Values near zero gain, where Adam's epsilon tells.)
# Documented: that prediction and target are normalised is; that the scale of values matters as before is not.
# Why it matters: rewards in MW, Hz^2 or currency are far from one. The critic takes thousands of updates to reach the
#   mean of the returns, and until then advantages are noise. RewardScaling, chosen by hand, is needed all the same.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check torch==2.13.0 torchrl==0.14.1 tensordict==0.14.3 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -E '^(torch|torchrl|tensordict|numpy)='
"$dir/venv/bin/python" -W ignore - <<'PY'
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from tensordict.nn.distributions import NormalParamExtractor
from torch import nn
from torchrl.modules import MultiAgentMLP, PopArtValueNorm, ProbabilisticActor, TanhNormal
from torchrl.objectives.multiagent import MAPPOLoss
OBS, ACTION, VALUE, LOC, SCALE = (("agents", x) for x in ("observation", "action", "state_value", "loc", "scale"))
torch.set_num_threads(1)

def share_learned(scale, norm):
    """Mean value over mean return, and the share of their variance that is explained, after 300 steps of Adam."""
    torch.manual_seed(0)
    net = TensorDictModule(nn.Sequential(nn.Linear(4, 2), NormalParamExtractor()), in_keys=[OBS], out_keys=[LOC, SCALE])
    actor = ProbabilisticActor(net, [LOC, SCALE], [ACTION], distribution_class=TanhNormal, return_log_prob=True)
    mlp = MultiAgentMLP(4, 1, 3, centralized=True, share_params=True, num_cells=[64, 64])
    critic = TensorDictModule(mlp, in_keys=[OBS], out_keys=[VALUE])
    loss = MAPPOLoss(actor, critic, value_norm=norm)
    loss.set_keys(value=VALUE, action=ACTION, sample_log_prob=("agents", "action_log_prob"))
    adam = torch.optim.Adam(loss.critic_network_params.parameters(), 1e-3)
    seen = torch.randn(512, 3, 4)
    returns = scale * (seen[..., 0].mean(-1) - 10.0)[:, None, None].expand(512, 3, 1)  # mean -10, spread 0.6
    told = {OBS: seen, "advantage": torch.zeros(512, 3, 1), "value_target": returns}
    data = actor(TensorDict(told, [512])).detach()
    for _ in range(300):
        adam.zero_grad()
        loss(data)["loss_critic"].mean().backward()
        adam.step()
    value = critic(data)[VALUE].detach()
    return (value.mean() / returns.mean()).item(), (1 - ((value - returns) ** 2).mean() / returns.var()).item()

for scale in (1.0, 100.0):
    plain, normed = share_learned(scale, None), share_learned(scale, PopArtValueNorm())
    for name, (mean, explained) in (("without", plain), ("PopArt", normed)):
        print(f"returns near {-10 * scale:6.0f}, {name:8s}: {mean:6.1%} of their mean, {explained:8.2f} of their variance")
    assert abs(plain[0] - normed[0]) < 1e-3
    assert (plain[1] > 0.9 and normed[1] > 0.9) if scale == 1.0 else (max(plain[0], normed[0]) < 0.05 and normed[1] < 0)
print("as described")
PY
