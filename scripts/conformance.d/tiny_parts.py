"""What the tiny models share: Chandra's tokenizer, and weights with which they write words."""

import json
import shutil

import torch
from tokenizers import Tokenizer

VOCABULARY = 4096
TOKENIZER = ["tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "chat_template.jinja"]


def copy_tokenizer(chandra, out, further):
    """Copies the tokenizer, and `further` files; returns the ids of its special tokens."""
    out.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER + further:
        shutil.copy(chandra / name, out / name)
    added = json.loads((out / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    return {token["content"]: int(number) for number, token in added.items()}


def as_words(model, out, ids, writers, text_model, norm):
    """Logits are nearly flat, as in tiny_chandra.py: channel 0 of the residual stream is constant, so column 0 of the head
    is a bias, with which the model never samples special tokens and halves of characters. `writers` are the layers that
    write to the stream; the last norm multiplies by 1 where its weight is `norm`."""
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in writers:
            layer.weight[0].zero_()
        text_model.embed_tokens.weight.normal_(0, 0.3)
        text_model.embed_tokens.weight[:, 0] = 4.0
        text_model.norm.weight.fill_(norm)
        head = model.lm_head.weight
        head.normal_(0, 0.01)
        head[:, 0] = 0.0
        for token in range(VOCABULARY):
            known = token < tokenizer.get_vocab_size()
            text = tokenizer.decode([token], skip_special_tokens=False) if known else ""
            drawable = "\ufffd" not in text and token not in ids.values() and any(c.isalnum() for c in text)
            if not drawable:
                head[token, 0] = -4.0
        head[ids["<|im_end|>"], 0] = 0.035


def save(model, out, ids):
    """Writes the weights in bfloat16, with both ends of an answer."""
    model = model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.generation_config.eos_token_id = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    model.save_pretrained(out)
