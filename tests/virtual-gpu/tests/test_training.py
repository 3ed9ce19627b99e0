"""A training step: cuBLAS, its workspace, autograd's threads, the optimizer's states."""

import pytest
import torch


def model():
    return torch.nn.Sequential(torch.nn.Linear(1024, 2048), torch.nn.GELU(), torch.nn.Linear(2048, 1024)).cuda()


@pytest.mark.parametrize("fused", [False, True])
def test_adam_keeps_two_states_per_parameter(fused):
    net = model()
    parameters = list(net.parameters())
    optimizer = torch.optim.Adam(parameters, fused=fused)
    net(torch.zeros(64, 1024, device="cuda")).square().mean().backward()
    before = torch.cuda.memory_allocated()
    optimizer.step()
    # Two moments of each parameter's size; the fused kind keeps its step counters on the device too.
    moments = 2 * sum(parameter.numel() * 4 for parameter in parameters)
    counters = 512 * len(parameters) if fused else 0
    assert torch.cuda.memory_allocated() - before == moments + counters


def test_gradients_live_until_they_are_dropped():
    net = model()
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        net.zero_grad(set_to_none=True)
        net(torch.zeros(64, 1024, device="cuda")).square().mean().backward()
    gradients = sum(parameter.grad.numel() * 4 for parameter in net.parameters())
    assert torch.cuda.memory_allocated() - before >= gradients
    held = torch.cuda.memory_allocated()
    net.zero_grad(set_to_none=True)
    assert held - torch.cuda.memory_allocated() == gradients


def test_lower_precision_and_attention_run():
    query = torch.zeros(2, 8, 128, 64, dtype=torch.bfloat16, device="cuda", requires_grad=True)
    out = torch.nn.functional.scaled_dot_product_attention(query, query, query, is_causal=True)
    out.sum().backward()
    assert query.grad.shape == query.shape
    net = model().to(torch.bfloat16)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        net(torch.zeros(8, 1024, dtype=torch.bfloat16, device="cuda")).sum().backward()
    torch.cuda.synchronize()
