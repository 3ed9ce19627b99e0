"""Each test starts with torch holding nothing, and leaves nothing behind."""

import gc

import pytest


@pytest.fixture(autouse=True)
def nothing_held(request):
    yield
    gc.collect()
    if getattr(request.module, "torch", None) is not None:
        request.module.torch.cuda.empty_cache()
