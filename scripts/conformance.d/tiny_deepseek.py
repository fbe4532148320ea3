#!/usr/bin/env python3
"""Writes the configuration and tokenizer of a tiny model of DeepSeek-OCR's architecture; vLLM makes dummy weights.

    tiny_deepseek.py CHANDRA_FOLDER FOLDER

The tokenizer is that of the tiny Chandra with other special tokens. Serve the model with `--load-format dummy` and the plugin
beside this file: it shrinks the encoders, whose sizes vLLM has hard-coded.
"""

import json
import pathlib
import sys

# Special tokens of Chandra, and the tokens of DeepSeek-OCR that replace them.
NAMES = {
    "<|endoftext|>": "<｜begin▁of▁sentence｜>", "<|im_end|>": "<｜end▁of▁sentence｜>", "<|im_start|>": "<｜▁pad▁｜>",
    "<|image_pad|>": "<image>", "<|object_ref_start|>": "<|ref|>", "<|object_ref_end|>": "<|/ref|>",
    "<|box_start|>": "<|det|>", "<|box_end|>": "<|/det|>", "<|quad_start|>": "<|grounding|>", "<|quad_end|>": "<td>",
    "<|vision_start|>": "</td>", "<|vision_end|>": "<|view_separator|>", "<|vision_pad|>": "<|User|>",
    "<|video_pad|>": "<|Assistant|>",
}
TEXT = ("<td>", "</td>")
HIDDEN = 128


def write_tokenizer(source, out):
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    old = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {NAMES.get(token, token): number for token, number in vocabulary.items()}
    for token in tokenizer["added_tokens"]:
        token["content"] = NAMES[token["content"]]
        token["special"] = token["content"] not in TEXT
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    ids = {NAMES[token]: number for token, number in old.items()}
    added = {
        str(number): {
            "content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": token not in TEXT,
        }
        for token, number in ids.items()
    }
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "LlamaTokenizerFast", "add_bos_token": True, "add_eos_token": False, "legacy": True,
        "bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>", "pad_token": "<｜▁pad▁｜>",
        "unk_token": None, "clean_up_tokenization_spaces": False, "model_max_length": 8192,
        "added_tokens_decoder": added,
    }, ensure_ascii=False, indent=1))
    return ids


def write_configuration(out, ids):
    (out / "processor_config.json").write_text(json.dumps({
        "processor_class": "DeepseekOCRProcessor", "image_token": "<image>", "pad_token": "<｜▁pad▁｜>",
        "patch_size": 16, "downsample_ratio": 4, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "normalize": True,
        "sft_format": "deepseek", "mask_prompt": False, "ignore_id": -100, "candidate_resolutions": [[1024, 1024]],
        "add_special_token": False,
    }))
    language = {
        "architectures": ["DeepseekV2ForCausalLM"], "bos_token_id": ids["<｜begin▁of▁sentence｜>"],
        "eos_token_id": ids["<｜end▁of▁sentence｜>"], "first_k_dense_replace": 2, "hidden_size": HIDDEN,
        "intermediate_size": 256, "kv_lora_rank": None, "lm_head": True, "max_position_embeddings": 8192,
        "moe_intermediate_size": 64, "n_group": 1, "n_routed_experts": 4, "n_shared_experts": 1,
        "num_attention_heads": 2, "num_experts_per_tok": 2, "num_hidden_layers": 2, "num_key_value_heads": 2,
        "q_lora_rank": None, "qk_nope_head_dim": 0, "qk_rope_head_dim": 0, "rm_head": False, "topk_group": 1,
        "topk_method": "greedy", "torch_dtype": "bfloat16", "use_mla": False, "v_head_dim": 0, "vocab_size": 4096,
        "model_type": "deepseek_v2",
    }
    shared = [
        "bos_token_id", "eos_token_id", "hidden_size", "intermediate_size", "max_position_embeddings",
        "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "vocab_size", "first_k_dense_replace",
        "kv_lora_rank", "moe_intermediate_size", "n_routed_experts", "n_shared_experts", "num_experts_per_tok",
        "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "topk_method", "use_mla", "v_head_dim",
    ]
    (out / "config.json").write_text(json.dumps({
        "architectures": ["DeepseekOCRForCausalLM"], "model_type": "deepseek_vl_v2",
        "candidate_resolutions": [[1024, 1024]], "global_view_pos": "head", "tile_tag": "2D",
        "torch_dtype": "bfloat16", "language_config": language,
        "projector_config": {
            "input_dim": 2048, "model_type": "mlp_projector", "n_embed": HIDDEN, "projector_type": "linear",
        },
        "vision_config": {"image_size": 1024, "mlp_ratio": 3.7362, "model_name": "deeplip_b_l", "model_type": "vision"},
        **{field: language[field] for field in shared},
    }, indent=1, ensure_ascii=False))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    write_configuration(out, write_tokenizer(source, out))


main()
