#!/usr/bin/env python3
"""Writes a tiny model of olmOCR 2's architecture (Qwen2.5-VL) with random weights.

    tiny_olmocr.py CHANDRA FOLDER

CHANDRA is the folder of tiny_chandra.py: this model has its tokenizer.
"""

import json
import pathlib
import sys

from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from tiny_parts import VOCABULARY, as_words, copy_tokenizer, save


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    chandra, out = map(pathlib.Path, sys.argv[1:])
    ids = copy_tokenizer(chandra, out, [])
    (out / "preprocessor_config.json").write_text(json.dumps({
        "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessorFast", "processor_class": "Qwen2_5_VLProcessor",
    }, indent=1))
    text = {
        "vocab_size": VOCABULARY, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 128000, "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0, "rope_scaling": {"type": "mrope", "mrope_section": [8, 12, 12]},
        "tie_word_embeddings": False, "eos_token_id": ids["<|im_end|>"], "bos_token_id": ids["<|endoftext|>"],
    }
    config = Qwen2_5_VLConfig(
        **text,
        vision_config={
            "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "in_channels": 3, "in_chans": 3,
            "patch_size": 14, "spatial_patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
            "out_hidden_size": 128, "fullatt_block_indexes": [1], "window_size": 112, "tokens_per_second": 2,
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    text_model = getattr(model.model, "language_model", model.model)
    writers = [part for layer in text_model.layers for part in (layer.self_attn.o_proj, layer.mlp.down_proj)]
    as_words(model, out, ids, writers, text_model, norm=1.0)
    save(model, out, ids)


main()
