"""The graphs of graph convolutions: the public code's matrices, distances by another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from liftpose.models import STGCN
from liftpose.models.graphs import bone_distances, neighbours, partitions
from liftpose.skeletons import H36M_16, SKELETONS, Skeleton
from liftpose.weights import read_checkpoint


def test_the_graphs_of_the_public_networks(reference: Path) -> None:
    with np.load(reference / "golden" / "dh_aug" / "graphs.npz") as golden:
        assert tuple(golden["parents16"]) == H36M_16.parents
        adjacent = neighbours(H36M_16).double()
        shares = adjacent / adjacent.sum(1, keepdim=True)
        np.testing.assert_allclose(shares, golden["gcn_adj16"], rtol=0, atol=1e-7)  # that is of float32
        network = STGCN(channels=(8, 8, 8), part_channels=8).stgcn
        for graph, name in ((network.joint_graph, "stgcn_A17"), (network.part_graph, "stgcn_Apool5")):
            np.testing.assert_allclose(graph.double() / graph.sum((0, 1)), golden[name], rtol=0, atol=1e-15)
    network = read_checkpoint(reference / "golden" / "dh_aug" / "posenet_gcn.pt")
    np.testing.assert_allclose(shares, network["adj"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=str)
def test_distances_along_bones(skeleton: Skeleton) -> None:
    """Powers of the graph's matrix tell which joints a walk of n bones reaches."""
    adjacent = neighbours(skeleton)
    assert torch.equal(adjacent, adjacent.T)
    assert int(adjacent.sum()) == 3 * len(skeleton) - 2
    for joint in (skeleton.root, len(skeleton) - 1):
        for other, distance in enumerate(bone_distances(skeleton, joint)):
            reach = torch.linalg.matrix_power(adjacent.double(), distance)[joint, other]
            before = torch.linalg.matrix_power(adjacent.double(), max(distance - 1, 0))[joint, other]
            assert reach > 0
            assert distance == 0 or before == 0


def test_partitions_of_a_chain() -> None:
    """Nodes 0 - 1 - 2 with the centre 1, and 0 and 2 mirror images of each other."""
    parts = partitions([(0, 1), (1, 2)], [(0, 2)], [1, 0, 1])
    listed = {int(k): [] for k in range(4)}
    for k, source, listener in parts.nonzero().tolist():
        listed[k].append((source, listener))
    assert listed == {0: [(0, 0), (1, 1), (2, 2)], 1: [(0, 1), (2, 1)], 2: [(1, 0), (1, 2)], 3: [(0, 2), (2, 0)]}
