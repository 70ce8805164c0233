#!/usr/bin/env bash
# ray 2.60.0: NodeAffinitySchedulingStrategy(node, soft=True) is not kept for an actor that asks for no resources.
#
# Expected: `soft` says what is to happen if the node is gone or cannot ever run the actor; on a node that is alive and
#   idle there is nothing to fall back from, so the actor runs there, whatever it asks for. The reference of the class
#   has it so: elsewhere is for nodes that are not there or can never fit, else the actor waits for the one named.
# What happens: with num_cpus=0 the actors lie on any node of the cluster, about as often as chance would have it, also
#   on a head that was started with num_cpus=0 to keep it free. With num_cpus=0.01 on the same idle nodes, or with
#   soft=False and num_cpus=0, every one lies where it was to be.
# Documented: that an actor without resources is put on a random node is, where no strategy is named; that a strategy is
#   then ignored is not. No warning is given.
# Why it matters: actors that only hold memory or wait for messages (samplers on a busy cluster, parameter stores) claim
#   no processor, and are pinned for locality: half of them are elsewhere, and a head that was to stay free runs some.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check ray==2.60.0
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -E '^ray='
export RAY_USAGE_STATS_ENABLED=0
"$dir/venv/bin/python" -W ignore - 2>"$dir/log" <<'PY' || { tail -20 "$dir/log"; exit 1; }
import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

STORE = 80 * 2**20
cluster = Cluster(initialize_head=True,
                  head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE})
for _ in range(2):
    cluster.add_node(num_cpus=2, object_store_memory=STORE)
ray.init(cluster.address, logging_level="ERROR")


class Waiter:
    def where(self):
        return ray.get_runtime_context().get_node_id()


def share_in_place(num_cpus, soft, rounds=8):
    """Share of actors that run on the node they were to run on; two actors for each of two idle nodes at a time."""
    nodes = [node["NodeID"] for node in ray.nodes() if node["Resources"].get("CPU")] * 2
    kept = 0
    for _ in range(rounds):
        actors = [ray.remote(Waiter).options(num_cpus=num_cpus,
                                             scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=soft)).remote()
                  for node in nodes]
        kept += sum(a == b for a, b in zip(ray.get([actor.where.remote() for actor in actors]), nodes))
    return kept / (rounds * len(nodes))


found = {case: share_in_place(*case) for case in ((0, True), (0.01, True), (0, False))}
for (num_cpus, soft), share in found.items():
    print(f"num_cpus={num_cpus:<4}  soft={soft!s:5}  {share:4.0%} of the actors on the node named")
assert found[0, True] < 0.75 and found[0.01, True] == found[0, False] == 1.0
print("as described")
PY
