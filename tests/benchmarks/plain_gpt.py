"""A small GPT and its training in plain torch, with the sizes of nanoGPT's recipe for a CPU (Karpathy 2022).

Run as a program it is the baseline of nanogpt.py: it trains, prints its held-out loss and seconds as JSON, and then,
for each line on stdin, times ITERATIONS more. It runs in a process that has torch's own settings for threads.
"""

from __future__ import annotations

import json
import math
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

LAYERS, HEADS, WIDTH, BLOCK, BATCH_SIZE = 4, 4, 128, 64, 12
ITERATIONS, WARMUP = 2000, 100
RATE, LEAST_RATE, BETAS, WEIGHT_DECAY, CLIP = 1e-3, 1e-4, (0.9, 0.99), 0.1, 1.0
INITIAL_SCALE = 0.02
WINDOWS_AT_ONCE = 128                   # held-out windows in a batch


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each normalised before and added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention, self.before_hidden = (nn.LayerNorm(WIDTH, bias=False) for _ in range(2))
        self.project = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.merge = nn.Linear(WIDTH, WIDTH, bias=False)
        self.hidden, self.output = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what (B, T, WIDTH) becomes."""
        rows, length, _ = x.shape
        parts = self.project(self.before_attention(x)).view(rows, length, 3, HEADS, WIDTH // HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)                            # (B, heads, T, WIDTH / heads)
        read = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.merge(read.transpose(1, 2).reshape(rows, length, WIDTH))
        return x + self.output(F.gelu(self.hidden(self.before_hidden(x))))


class PlainGPT(nn.Module):
    """A transformer decoder with learned positions, whose head is its embedding."""

    def __init__(self, vocabulary_size: int):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(vocabulary_size, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.last = nn.LayerNorm(WIDTH, bias=False)
        for name, values in self.named_parameters():
            if values.dim() > 1:
                into_sum = name.endswith(("merge.weight", "output.weight"))
                nn.init.normal_(values, std=INITIAL_SCALE / (math.sqrt(2 * LAYERS) if into_sum else 1))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, T, V) after each of the tokens (B, T)."""
        x = self.embedding(tokens) + self.positions.weight[:tokens.shape[1]]
        return F.linear(self.last(self.blocks(x)), self.embedding.weight)


def learning_rate(step: int, iterations: int) -> float:
    """Return the rate of a step counted from 0: linear warm-up, then half a cosine down to LEAST_RATE."""
    warmup = min(WARMUP, max(iterations // 10, 1))
    if step < warmup:
        return RATE * (step + 1) / (warmup + 1)
    done = min((step - warmup) / max(iterations - warmup, 1), 1.0)
    return LEAST_RATE + 0.5 * (1 + math.cos(math.pi * done)) * (RATE - LEAST_RATE)


class PlainRun:
    """The recipe on one text."""

    def __init__(self, train: torch.Tensor, vocabulary_size: int, iterations: int):
        torch.manual_seed(0)
        self.model = PlainGPT(vocabulary_size)
        parameters = [*self.model.parameters()]
        groups = [{"params": [one for one in parameters if one.dim() > 1], "weight_decay": WEIGHT_DECAY},
                  {"params": [one for one in parameters if one.dim() == 1], "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, fused=True)
        self._windows = train.unfold(0, BLOCK + 1, 1)
        self._iterations = iterations

    def update(self, step: int) -> None:
        """Train on a batch of random windows."""
        batch = self._windows[torch.randint(len(self._windows), (BATCH_SIZE,))]
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(step, self._iterations)
        logits = self.model(batch[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self._optimizer.step()

    def seconds(self, count: int, start: int = 0) -> float:
        """Run this many updates; return the seconds that they took."""
        began = time.perf_counter()
        for step in range(start, start + count):
            self.update(step)
        return time.perf_counter() - began

    @torch.inference_mode()
    def held_out_loss(self, text: torch.Tensor) -> float:
        """Return the mean nats per token over windows of BLOCK tokens, one after the other."""
        windows = text.unfold(0, BLOCK + 1, BLOCK)
        total = sum(F.cross_entropy(self.model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten(),
                                    reduction="sum").item() for batch in windows.split(WINDOWS_AT_ONCE))
        return total / (len(windows) * BLOCK)


def main() -> None:
    """Train on the arrays of the file named first, then time more updates for each line of stdin."""
    path, iterations, slice_, threads = sys.argv[1], *map(int, sys.argv[2:5])
    if threads:
        torch.set_num_threads(threads)
    arrays = np.load(path)
    run = PlainRun(torch.from_numpy(arrays["train"]), int(arrays["vocabulary_size"]), iterations)
    seconds = run.seconds(iterations)
    loss = run.held_out_loss(torch.from_numpy(arrays["validation"]))
    print(json.dumps({"seconds": seconds, "loss": loss, "threads": torch.get_num_threads()}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(run.seconds(slice_, iterations)), flush=True)


if __name__ == "__main__":
    main()
