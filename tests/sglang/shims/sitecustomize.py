"""What the SGLang server needs to run where kernels do nothing. Python loads this file at start.

No file of SGLang or PyTorch is edited. Each change has its reason beside it.
"""

import hashlib
import importlib.abc
import importlib.machinery
import sys

import keep
import probe

# The CuTe DSL's runtime, which flashinfer loads, has a CUDA runtime of its own that no virtual GPU
# can serve. Without flashinfer SGLang takes its own kernels.
sys.modules["flashinfer"] = None


def draw_sampled_ids(model_runner):
    """Kernels that do nothing leave stale ids as the sampled ones, which end answers at random. The
    ids are drawn from a hash of the request's name and its length instead, so that the answer to a
    request depends on nothing else and can be compared between servers."""
    import torch

    sample = model_runner.ModelRunner.sample

    def drawn(self, logits_output, forward_batch):
        ids = sample(self, logits_output, forward_batch)
        ends = self.model_config.hf_text_config.eos_token_id
        named = zip(forward_batch.rids or [], forward_batch.seq_lens_cpu.tolist())
        chosen = [draw(f"{rid} {length}", ends) for rid, length in named]
        if chosen:
            ids[: len(chosen)].copy_(torch.tensor(chosen, dtype=ids.dtype))
        return ids

    model_runner.ModelRunner.sample = drawn


PRINTABLE = 94  # ids of a byte-level tokenizer that come first: ! to ~


def draw(seed, ends):
    """The id of a printable character, or in one case of 64 the id that ends an answer."""
    drawn = int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest(), "little")
    return ends if drawn % 64 == 0 else drawn // 64 % PRINTABLE


def prepare_torch(torch):
    probe.start()
    torch.unique_consecutive = unique_on_the_host(torch.unique_consecutive)


def unique_on_the_host(unique_consecutive):
    """How many values differ is data that no kernel wrote, and the vision tower of Qwen2.5-VL takes
    a shape from it. What it asks about was copied from the host: there it can be answered."""

    def on_the_host(tensor, *args, **kwargs):
        if not tensor.is_cuda:
            return unique_consecutive(tensor, *args, **kwargs)
        found = unique_consecutive(tensor.cpu(), *args, **kwargs)
        if isinstance(found, tuple):
            return tuple(part.to(tensor.device) for part in found)
        return found.to(tensor.device)

    return on_the_host


AFTER_IMPORT = {
    "sglang.srt.model_executor.model_runner": draw_sampled_ids,
    "sglang.srt.models.qwen2_5_vl": keep.keep_pixel_values,
    "torch": prepare_torch,
}


class AfterImport(importlib.abc.MetaPathFinder):
    """Calls the functions of AFTER_IMPORT with their module once it is loaded."""

    def find_spec(self, name, path, target=None):
        change = AFTER_IMPORT.pop(name, None)
        if change is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, AfterImport())
