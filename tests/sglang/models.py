"""Tiny random models, made here: the real architectures, as wide as the real ones but with two layers
and a few hundred tokens. `models.py FOLDER` writes all of them.

A server is started on them with `--load-format dummy`, so they need no weights; everything else that
a model folder has is written by this file. Nothing comes from a hub.
"""

import json
import pathlib
import sys

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
END = "<|im_end|>"

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

LAYERS = 2
HIDDEN = 2048
# Two key heads, so that two ranks can share them.
TEXT = {
    "hidden_size": HIDDEN,
    "intermediate_size": 8192,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
VISION = {
    "depth": LAYERS,
    "hidden_size": 1280,
    "hidden_act": "silu",
    "intermediate_size": 3456,
    "num_heads": 16,
    "in_channels": 3,
    "out_hidden_size": HIDDEN,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "spatial_patch_size": 14,
    "temporal_patch_size": 2,
    "tokens_per_second": 2,
    "window_size": 112,
    "fullatt_block_indexes": [1],
}


def make(folder, kind):
    """Writes the model `kind` ("qwen2" or "qwen2_5_vl") into `folder`, and returns that."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ids = write_tokenizer(folder)
    config = TEXT | {
        # Room beyond the tokenizer's words, in a multiple that every kernel likes.
        "vocab_size": (max(ids.values()) // 64 + 1) * 64,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids[END],
    }
    if kind == "qwen2":
        config |= {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}
    else:
        config |= {
            "architectures": ["Qwen2_5_VLForConditionalGeneration"],
            "model_type": "qwen2_5_vl",
            "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
            "vision_config": VISION,
            "vision_start_token_id": ids["<|vision_start|>"],
            "vision_end_token_id": ids["<|vision_end|>"],
            "vision_token_id": ids["<|vision_pad|>"],
            "image_token_id": ids["<|image_pad|>"],
            "video_token_id": ids["<|video_pad|>"],
        }
        write(folder / "preprocessor_config.json", PREPROCESSOR)
    write(folder / "config.json", config)
    write(folder / "generation_config.json", {"eos_token_id": ids[END], "do_sample": False})
    return folder


PREPROCESSOR = {
    "processor_class": "Qwen2_5_VLProcessor",
    "image_processor_type": "Qwen2VLImageProcessor",
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "rescale_factor": 1 / 255,
    "min_pixels": 3136,
    "max_pixels": 12845056,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
}


def write_tokenizer(folder):
    """A byte-level tokenizer whose words are the 256 bytes; returns the special tokens' ids."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in SPECIAL])
    write(folder / "tokenizer.json", json.loads(tokenizer.to_str()))
    write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "Qwen2Tokenizer",
            "chat_template": CHAT_TEMPLATE,
            "eos_token": END,
            "pad_token": "<|endoftext|>",
            "bos_token": None,
            "unk_token": None,
            "model_max_length": 32768,
        },
    )
    return {word: tokenizer.token_to_id(word) for word in SPECIAL}


def write(path, content):
    """Writes a file that is not there yet, or is another: a server may be reading it."""
    text = json.dumps(content, indent=1)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


if __name__ == "__main__":
    for name in ("qwen2", "qwen2_5_vl"):
        make(pathlib.Path(sys.argv[1]) / name, name)
