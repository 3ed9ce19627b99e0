"""A training step: cuBLAS, its workspace, autograd's threads, the optimizer's states."""

import pytest
import torch

from machine import MIB


def model():
    return torch.nn.Sequential(torch.nn.Linear(1024, 2048), torch.nn.GELU(), torch.nn.Linear(2048, 1024)).cuda()


@pytest.mark.parametrize("fused", [False, True])
def test_adam_keeps_two_states_per_parameter(fused):
    net = model()
    parameters = sum(parameter.numel() * 4 for parameter in net.parameters())
    optimizer = torch.optim.Adam(net.parameters(), fused=fused)
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        net(torch.zeros(64, 1024, device="cuda")).square().mean().backward()
        optimizer.step()
    gradients = sum(parameter.grad.numel() * 4 for parameter in net.parameters())
    states = torch.cuda.memory_allocated() - before - gradients
    assert gradients == parameters
    # Beside the two moments: cuBLAS' workspace and a step counter for each parameter.
    assert 2 * parameters <= states < 2 * parameters + 64 * MIB


def test_lower_precision_and_attention_run():
    query = torch.zeros(2, 8, 128, 64, dtype=torch.bfloat16, device="cuda", requires_grad=True)
    out = torch.nn.functional.scaled_dot_product_attention(query, query, query, is_causal=True)
    out.sum().backward()
    assert query.grad.shape == query.shape
    net = model().to(torch.bfloat16)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        net(torch.zeros(8, 1024, dtype=torch.bfloat16, device="cuda")).sum().backward()
    torch.cuda.synchronize()
