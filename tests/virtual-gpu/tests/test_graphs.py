"""Graph capture: torch gives a capture a pool of its own, which lives as long as the graph."""

import pytest
import torch

from machine import MIB

pytestmark = [
    # cuBLAS computes nothing here, so a graph of one Linear has no node.
    pytest.mark.filterwarnings("ignore:The CUDA Graph is empty"),
    pytest.mark.filterwarnings("ignore:The AccumulateGrad node's stream"),
]


@pytest.fixture(params=[False, True], ids=["default", "expandable"], autouse=True)
def allocator(request):
    torch._C._accelerator_setAllocatorSettings(f"expandable_segments:{request.param}")
    yield
    torch._C._accelerator_setAllocatorSettings("expandable_segments:False")


def captured(pool=None):
    """A graph whose capture allocates 100 MiB, and its static result."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        result = torch.empty(100 * MIB, dtype=torch.uint8, device="cuda") + 1
    return graph, result


def private_bytes():
    return sum(
        segment["total_size"]
        for segment in torch.cuda.memory_snapshot()
        if tuple(segment["segment_pool_id"]) != (0, 0)
    )


def test_a_capture_holds_its_pool_until_the_graph_goes():
    graph, result = captured()
    held = private_bytes()
    assert held >= 200 * MIB, "the block and its temporary"
    graph.replay()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    assert private_bytes() == held, "empty_cache leaves a live graph's memory alone"
    del graph, result
    torch.cuda.empty_cache()
    assert private_bytes() == 0


def test_two_graphs_share_a_pool():
    first, one = captured()
    alone = torch.cuda.memory_reserved()
    del one
    second, two = captured(pool=first.pool())
    assert torch.cuda.memory_reserved() < 2 * alone
    second.replay()
    del first, second, two


def test_make_graphed_callables():
    net = torch.nn.Linear(64, 64).cuda()
    sample = torch.zeros(8, 64, device="cuda")
    graphed = torch.cuda.make_graphed_callables(net, (sample,))
    graphed(sample).sum().backward()
    assert net.weight.grad is not None


def test_mem_pool_keeps_its_segments_apart():
    pool = torch.cuda.MemPool()
    with torch.cuda.use_mem_pool(pool):
        inside = torch.empty(10 * MIB, dtype=torch.uint8, device="cuda")
    assert private_bytes() >= inside.numel()
    del inside, pool
