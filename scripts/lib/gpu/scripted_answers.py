"""A logits processor for vLLM that makes a model write scripted answers.

A model with random weights loads a GPU as the real one does, but writes noise of any length. With this processor the k-th
request since the start of the server gets the k-th answer of a fixed list. The answers are French text of gazettes in
Chandra's grammar, of lognormal lengths; the end token ends each of them. Some answers loop for ever. Prefill, image
encoding, decoding and sampling run as usual. Requests of fewer than 16 tokens (canary requests) take no answer from the list.
A request of exactly 15 tokens starts the list again, so that every client gets the same answers.

    PYTHONPATH=scripts/lib/gpu SCRIPTED_TEXT=tests/data/truth \\
        vllm serve MODEL --load-format dummy --logits-processors scripted_answers:ScriptedAnswers ...

SCRIPTED_TEXT: folder of text files. SCRIPTED_MEDIAN (900) and SCRIPTED_SIGMA (0.5): lengths in tokens.
SCRIPTED_LOOPS (0): share of answers that loop. SCRIPTED_ANSWERS (240): length of the list, which repeats.
"""

import html
import math
import os
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer
from vllm.v1.sample.logits_processor import LogitsProcessor, MoveDirectionality

END_TOKEN = "<|im_end|>"
LEAST_ANSWER = 16
RESET = 15


def setting(name, default):
    return type(default)(os.environ.get(name, default))


class Answer:
    """The tokens of an answer. A loop repeats its last `period` tokens for ever; any other answer ends."""

    def __init__(self, tokens, end, period=0):
        self.tokens, self.end, self.period = tokens, end, period

    def token(self, position):
        if position < len(self.tokens):
            return self.tokens[position]
        if not self.period:
            return self.end
        return self.tokens[len(self.tokens) - self.period + (position - len(self.tokens)) % self.period]


def paragraphs(folder):
    lines = [line.strip() for path in sorted(Path(folder).glob("*Fr*/*.txt")) for line in path.read_text().splitlines()]
    return [line for line in lines if len(line) > 20]


def make_answers(tokenizer, lines, count, median, sigma, loops):
    dice = random.Random(7)
    end = tokenizer.token_to_id(END_TOKEN)

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    def block(index):
        box = f"80 {20 + index * 30 % 900} 920 {45 + index * 30 % 900}"
        return encode(f'<div data-bbox="{box}" data-label="Text"><p>{html.escape(dice.choice(lines))}</p></div>\n')

    answers = []
    for _ in range(count):
        length = max(50, min(6000, round(dice.lognormvariate(math.log(median), sigma))))
        tokens, index = [], 0
        while not tokens or len(tokens) < length:
            tokens += block(index)
            index += 1
        if dice.random() < loops:
            row = encode("<p>Vu le dahir portant loi</p>\n")
            answers.append(Answer(tokens[: length // 2] + row, end, period=len(row)))
        else:
            answers.append(Answer(tokens, end))
    return answers


class ScriptedAnswers(LogitsProcessor):
    def __init__(self, vllm_config, device, is_pin_memory):
        tokenizer = Tokenizer.from_file(str(Path(vllm_config.model_config.tokenizer) / "tokenizer.json"))
        self.answers = make_answers(
            tokenizer,
            paragraphs(os.environ["SCRIPTED_TEXT"]),
            setting("SCRIPTED_ANSWERS", 240),
            setting("SCRIPTED_MEDIAN", 900),
            setting("SCRIPTED_SIGMA", 0.5),
            setting("SCRIPTED_LOOPS", 0.0),
        )
        self.device, self.pinned = device, is_pin_memory
        self.arrived = 0
        self.rows = {}
        # By the identity of the list of its output tokens, which is kept here so that no other list gets that identity.
        self.given = {}

    def is_argmax_invariant(self):
        return False

    def update_state(self, batch_update):
        if batch_update is None:
            return
        for index in batch_update.removed:
            self.rows.pop(index, None)
        for index, params, _, output in batch_update.added:
            self.rows.pop(index, None)
            if params.max_tokens is not None and params.max_tokens < LEAST_ANSWER:
                if params.max_tokens == RESET:
                    self.arrived = 0
                continue
            # A request that sat out a step is added again, with the same list of output tokens: it keeps its answer.
            if id(output) not in self.given:
                self.given[id(output)] = (self.answers[self.arrived % len(self.answers)], output)
                self.arrived += 1
            self.rows[index] = self.given[id(output)]
        for source, target, direction in batch_update.moved:
            moved, replaced = self.rows.pop(source, None), self.rows.pop(target, None)
            if moved is not None:
                self.rows[target] = moved
            if direction == MoveDirectionality.SWAP and replaced is not None:
                self.rows[source] = replaced

    def apply(self, logits):
        if not self.rows:
            return logits
        forced = [(row, answer.token(len(output))) for row, (answer, output) in self.rows.items()]
        # Pinned memory: without it, the copy waits for the forward pass, and the server loses its overlap.
        forced = torch.tensor(forced, dtype=torch.long, pin_memory=self.pinned)
        rows, tokens = forced.to(self.device, non_blocking=True).unbind(1)
        logits[rows] = float("-inf")
        logits[rows, tokens] = 0.0
        return logits
