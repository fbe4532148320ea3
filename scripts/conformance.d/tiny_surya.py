#!/usr/bin/env python3
"""Writes a tiny model of the architecture of Surya 2 and Chandra 2 (Qwen3.5) with random weights.

    tiny_surya.py CHANDRA FOLDER

CHANDRA is the folder of tiny_chandra.py: this model has its tokenizer and its processor. Its text layers are one of
linear attention and one of full attention.
"""

import pathlib
import sys

from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

from tiny_parts import VOCABULARY, as_words, copy_tokenizer, save


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    chandra, out = map(pathlib.Path, sys.argv[1:])
    ids = copy_tokenizer(chandra, out, ["preprocessor_config.json", "video_preprocessor_config.json"])
    config = Qwen3_5Config(
        text_config={
            "vocab_size": VOCABULARY, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64, "max_position_embeddings": 262144,
            "layer_types": ["linear_attention", "full_attention"], "rms_norm_eps": 1e-6,
            "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
            "linear_num_key_heads": 2, "linear_num_value_heads": 2, "tie_word_embeddings": False,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 10000000.0, "mrope_interleaved": True,
                "mrope_section": [4, 2, 2], "partial_rotary_factor": 0.25,
            },
            "eos_token_id": ids["<|im_end|>"], "bos_token_id": ids["<|endoftext|>"], "dtype": "bfloat16",
        },
        vision_config={
            "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "in_channels": 3,
            "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 128,
            "num_position_embeddings": 2304,
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    model = Qwen3_5ForConditionalGeneration(config)
    layers = model.model.language_model.layers
    writers = [layers[0].linear_attn.out_proj, layers[1].self_attn.o_proj, *(layer.mlp.down_proj for layer in layers)]
    # The norms of Qwen3.5 multiply by one more than their weight.
    as_words(model, out, ids, writers, model.model.language_model, norm=0.0)
    save(model, out, ids)


main()
