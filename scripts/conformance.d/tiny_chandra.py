#!/usr/bin/env python3
"""Writes a tiny model of Chandra 1's architecture (Qwen3-VL) with random weights and its own tokenizer.

    tiny_chandra.py FOLDER

It uses no pretrained weights. Its answers are random words. A request ends an answer with `logit_bias`, or prevents its
end with `ignore_eos`.
"""

import glob
import json
import pathlib
import sys

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

VOCABULARY = 4096
SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
]
LINES = [
    "Le Bulletin officiel, Rabat, décret n° 2-15-426 du 15 ramadan 1436 (2 juillet 2015) relatif aux marchés publics. ",
    "المملكة المغربية الجريدة الرسمية مرسوم رقم ظهير شريف قرار لوزير الاقتصاد والمالية صادر في ",
    '<div data-bbox="12 34 560 780" data-label="Text"><p>Article premier.</p></div><table><tr><td>1</td></tr></table>\n',
]
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}{%- if m.content is string %}{{- m.content }}"
    "{%- else %}{%- for c in m.content %}"
    "{%- if c.type == 'image' or 'image' in c or 'image_url' in c %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif c.type == 'video' or 'video' in c %}{{- '<|vision_start|><|video_pad|><|vision_end|>' }}"
    "{%- elif 'text' in c %}{{- c.text }}{%- endif %}{%- endfor %}{%- endif %}{{- '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def write_tokenizer(out):
    """A byte-level BPE, trained on the licence texts of Debian and a few lines of a gazette."""
    licences = [pathlib.Path(name) for name in sorted(glob.glob("/usr/share/common-licenses/*"))]
    corpus = [path.read_text(errors="replace") for path in licences if path.is_file()] + LINES * 200
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        corpus,
        trainers.BpeTrainer(vocab_size=VOCABULARY - len(SPECIAL), initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(out / "tokenizer.json"))
    base = json.loads((out / "tokenizer.json").read_text())["model"]
    (out / "vocab.json").write_text(json.dumps(base["vocab"], ensure_ascii=False))
    merges = [" ".join(merge) if isinstance(merge, list) else merge for merge in base["merges"]]
    (out / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
    added = {
        str(number): {
            "content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": True,
        }
        for token, number in ids.items()
    }
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "Qwen2Tokenizer", "add_prefix_space": False, "add_bos_token": False, "bos_token": None,
        "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None,
        "clean_up_tokenization_spaces": False, "model_max_length": 262144, "errors": "replace",
        "split_special_tokens": False, "additional_special_tokens": SPECIAL[1:], "chat_template": TEMPLATE,
        "added_tokens_decoder": added,
    }, indent=1))
    (out / "chat_template.jinja").write_text(TEMPLATE)
    return tokenizer, ids


def write_processor(out):
    """The values of Qwen3-VL: patches of 16 px, merged 2 x 2, so one token stands for 32 x 32 px."""
    image = {
        "size": {"longest_edge": 16777216, "shortest_edge": 65536}, "patch_size": 16, "temporal_patch_size": 2,
        "merge_size": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "processor_class": "Qwen3VLProcessor",
        "image_processor_type": "Qwen2VLImageProcessorFast",
    }
    (out / "preprocessor_config.json").write_text(json.dumps(image, indent=1))
    video = {
        **image, "size": {"longest_edge": 25165824, "shortest_edge": 4096},
        "video_processor_type": "Qwen3VLVideoProcessor",
    }
    del video["image_processor_type"]
    (out / "video_preprocessor_config.json").write_text(json.dumps(video, indent=1))


def make_model(tokenizer, ids):
    """Logits are nearly flat. Channel 0 of the residual stream is constant, so column 0 of the head is a bias. Therefore the
    model never samples special tokens and halves of characters."""
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": VOCABULARY, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64, "max_position_embeddings": 262144,
            "rms_norm_eps": 1e-6, "rope_theta": 5000000.0,
            "rope_scaling": {"mrope_interleaved": True, "mrope_section": [12, 10, 10], "rope_type": "default"},
            "attention_bias": False, "tie_word_embeddings": False, "dtype": "bfloat16",
            "eos_token_id": ids["<|im_end|>"], "bos_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "in_channels": 3,
            "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 128,
            "num_position_embeddings": 2304, "deepstack_visual_indexes": [0],
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    config.architectures = ["Qwen3VLForConditionalGeneration"]
    torch.manual_seed(0)
    model = Qwen3VLForConditionalGeneration(config)
    with torch.no_grad():
        language, head = model.model.language_model, model.lm_head.weight
        language.embed_tokens.weight.normal_(0, 0.3)
        language.embed_tokens.weight[:, 0] = 4.0
        for layer in language.layers:
            layer.self_attn.o_proj.weight[0].zero_()
            layer.mlp.down_proj.weight[0].zero_()
            layer.mlp.down_proj.weight.mul_(5)
            layer.self_attn.q_norm.weight.fill_(1.0)
        language.norm.weight.fill_(1.0)
        head.normal_(0, 0.01)
        head[:, 0] = 0.0
        for token in range(VOCABULARY):
            known = token < tokenizer.get_vocab_size()
            text = tokenizer.decode([token], skip_special_tokens=False) if known else ""
            drawable = "\ufffd" not in text and token not in ids.values() and any(c.isalnum() for c in text)
            if not drawable:
                head[token, 0] = -4.0
        head[ids["<|im_end|>"], 0] = 0.035
    model = model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.generation_config.eos_token_id = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    return model


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    tokenizer, ids = write_tokenizer(out)
    write_processor(out)
    make_model(tokenizer, ids).save_pretrained(out)


main()
