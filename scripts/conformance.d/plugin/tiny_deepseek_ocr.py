"""vLLM plugin: shrinks the encoders of DeepSeek-OCR, whose sizes vLLM has hard-coded, and makes dummy weights
write readable words, so that a real server can serve the model on a CPU. It does not change the code that answers requests."""

import os


def register():
    import torch
    from vllm.model_executor.models import deepencoder, deepseek_ocr

    if getattr(deepseek_ocr, "_tiny", False):
        return
    deepseek_ocr._tiny = True
    clip = deepseek_ocr.CLIPVisionConfig
    deepseek_ocr.CLIPVisionConfig = lambda **sizes: clip(**{**sizes, "num_hidden_layers": 1, "intermediate_size": 256})
    deepseek_ocr.build_sam_vit_b = lambda: deepencoder._build_sam(
        encoder_embed_dim=96, encoder_depth=1, encoder_num_heads=2, encoder_global_attn_indexes=[]
    )
    original = deepseek_ocr.DeepseekOCRForCausalLM.compute_logits

    def bias_of(logits):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(os.environ["TINY_DEEPSEEK_OCR"])
        size = logits.shape[-1]
        bias = torch.randn(size, generator=torch.Generator().manual_seed(0)) * 0.1
        for token in range(size):
            text = tokenizer.decode([token]) if token < len(tokenizer) else ""
            if token in tokenizer.all_special_ids or "\ufffd" in text or not any(c.isalnum() for c in text):
                bias[token] = -50.0
        bias[tokenizer.eos_token_id] = 0.35
        return bias.to(logits.device)

    def compute_logits(self, hidden_states, *arguments, **options):
        logits = original(self, hidden_states, *arguments, **options)
        if logits is None:
            return logits
        if not hasattr(self, "_tiny_bias"):
            self._tiny_bias = bias_of(logits)
        return logits.float() + self._tiny_bias

    deepseek_ocr.DeepseekOCRForCausalLM.compute_logits = compute_logits
