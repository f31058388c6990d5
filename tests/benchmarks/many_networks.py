"""Train many small character networks side by side on one GPU: all of one hidden size, batch size and window.

Every parameter is one tensor with a leading axis of M models. One update of all models is one CUDA graph: it reads
the corpora on the device, runs both passes, clips, and applies Muon and AdamW as `charlm train` does. The models may
differ in corpus, number of steps, dropout, weight decay, learning rate and seed. `sweep_text.py` uses it;
`test_many_networks.py` compares it with `charlm.training.trainer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from many_cells import Layer, Precision, Trace, find_cell, rows
from many_held_out import HeldOut
from many_parts import EMBEDDING, Replay, Settings, Weights, initialise, learning_rate_factors

from charlm.training.ema import WARMUP as AVERAGE_WARMUP
from charlm.training.muon import _SAFETY, POLYNOMIALS
from charlm.training.objectives.text import RESET_PROBABILITY
from charlm.training.optimizers import BETAS, MUON_OVER_ADAMW

MOMENTUM, CLIP, EPSILON, AVERAGING = 0.95, 1.0, 1e-8, 0.999
NEVER = -1e30                           # logit of the padding of a smaller vocabulary


class ManyNetworks:
    """M networks of one hidden size, trained side by side."""

    def __init__(self, models: Sequence[Settings], *, hidden: int, batch: int, bptt: int, device: str = "cpu",
                 precision: str = "f32", averaging: bool = True, resets: bool = True,
                 log: Callable[[str], None] = print):
        self.models, self.batch, self.bptt, self.hidden = list(models), batch, bptt, hidden
        self.device, self._resets, self._log = torch.device(device), resets, log
        self.vocabulary = -(-max(one.data.vocabulary for one in models) // 8) * 8   # aligned for tensor cores
        self.weights = Weights(len(models), hidden, self.vocabulary)
        self.flat = torch.empty(len(models), self.weights.size, device=self.device)
        self.views = self.weights.views(self.flat)
        for index, one in enumerate(models):
            initialise(self.views, index, one)
        self._initial = self.flat.clone()
        self._gradient = torch.zeros_like(self.flat)
        self._gradients = self.weights.views(self._gradient)
        self._momentum = torch.zeros_like(self.flat[:, :self.weights.matrices])
        self._first, self._second = torch.zeros(2, *self.flat[:, self.weights.matrices:].shape, device=self.device)
        self.average = self.flat.clone() if averaging else None
        self._low = self.flat.bfloat16() if precision == "bf16" else self.flat
        self._low_views = self.weights.views(self._low)
        cell = find_cell(self.device)
        self.kernels = cell[2]
        self.precision = Precision(precision, self.device)
        self._layer = Layer(self.precision, *cell[:2])
        exact = Precision("f32", self.device)
        self._exact = exact, Layer(exact, *cell[:2])
        self._place_data()
        self._state = torch.zeros(4, batch, len(models), hidden, device=self.device)    # h, c of both layers
        self.step = torch.zeros(1, dtype=torch.long, device=self.device)
        self.loss = torch.zeros(len(models), device=self.device)        # of the latest update
        self._update: Replay | None = None
        self._evaluation: HeldOut | None = None

    def _tensor(self, values: Sequence[float] | np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), dtype=dtype).to(self.device)

    def _place_data(self) -> None:
        """Put the corpora and the settings of the models onto the device."""
        distinct = list({id(one.data): one.data for one in self.models}.values())
        offsets = dict(zip(map(id, distinct), np.cumsum([0, *(len(one.train) for one in distinct[:-1])]), strict=True))
        self._tokens = self._tensor(np.concatenate([one.train for one in distinct]), torch.int32)
        lengths = np.array([len(one.data.train) for one in self.models])
        self._lengths = self._tensor(lengths, torch.long)
        self._bases = self._tensor([offsets[id(one.data)] for one in self.models], torch.long)
        self._starts = self._tensor(np.arange(self.batch)[:, None] * lengths // self.batch, torch.long)     # (B, M)
        self._window = torch.arange(self.bptt + 1, device=self.device)[:, None, None]
        self._start_ids = self._tensor([one.data.start_id for one in self.models], torch.long)
        self._rows = torch.arange(len(self.models), device=self.device) * self.vocabulary
        padding = np.zeros((len(self.models), self.vocabulary))
        for row, one in zip(padding, self.models, strict=True):
            row[one.data.vocabulary:] = NEVER
        self._padding = self._tensor(padding)
        self._drops = any(one.dropout for one in self.models)
        self._dropout = self._tensor([one.dropout for one in self.models])[:, None]
        self._ends = self._tensor([one.steps for one in self.models])
        self._factors = self._tensor(learning_rate_factors([one.steps for one in self.models]))
        self._rates = self._tensor([one.learning_rate for one in self.models])
        self._decay = self._tensor([one.weight_decay for one in self.models])

    def reset(self) -> None:
        """Return to the initial weights and the first step."""
        self.flat.copy_(self._initial)
        if self.average is not None:
            self.average.copy_(self._initial)
        for tensor in (self._momentum, self._first, self._second, self._state, self.step):
            tensor.zero_()

    def load(self, model: int, weights: dict[str, torch.Tensor]) -> None:
        """Start one model from these weights, named as in a model file."""
        for name, values in weights.items():
            target = self.views[name][model]
            (target[:len(values)] if name.startswith(("embedding", "head")) else target).copy_(values)
        self._initial.copy_(self.flat)
        self.reset()

    def prepare(self) -> None:
        """Capture the update as a graph."""
        self._update = Replay(self.update_eagerly, self.device, self._log)
        self.reset()

    def update(self) -> None:
        """Run one update of all models."""
        (self._update or self.update_eagerly)()

    def evaluate(self, flat: torch.Tensor) -> np.ndarray:
        """Return each model's mean nats per held-out token (M,) with these weights (M, P), in float32 or TF32."""
        if self._evaluation is None:
            self._evaluation = HeldOut(self, self._log)
        return self._evaluation(flat)

    # The passes

    def _dropped(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        if not self._drops:
            return x, None
        mask = (torch.rand(x.shape, device=self.device) >= self._dropout) / (1 - self._dropout)
        return (x * mask).to(x.dtype), mask

    def read(self, tokens: torch.Tensor, views: dict[str, torch.Tensor], state: torch.Tensor, *, training: bool
             ) -> tuple[torch.Tensor, torch.Tensor, list[Trace], list[torch.Tensor | None]]:
        """Read tokens (T, B, M) from a state, which is moved on; return logits, the head's input, traces and masks."""
        precision, layer = (self.precision, self._layer) if training else self._exact
        biases = self.views if training else views              # in float32
        rows_of_table = tokens + self._rows
        x = views["embedding.weight"].reshape(-1, EMBEDDING)[rows_of_table]                 # (T, B, M, E)
        traces, masks = [], []
        for number in (0, 1):
            ih, hh = (views[f"decoder.{number}.weight_{kind}_l0"] for kind in ("ih", "hh"))
            bias = biases[f"decoder.{number}.bias_ih_l0"] + biases[f"decoder.{number}.bias_hh_l0"]
            gates = self.flat.new_empty(*tokens.shape, 4 * self.hidden)
            precision.multiply(rows(x), ih.mT, rows(gates))
            h, c, trace = layer.run(x, gates.add_(bias), hh, (state[2 * number], state[2 * number + 1]))
            state[2 * number].copy_(h)
            state[2 * number + 1].copy_(c)
            x, mask = self._dropped(trace.hidden[1:]) if training else (trace.hidden[1:], None)
            traces.append(trace)
            masks.append(mask)
        logits = self.flat.new_empty(*tokens.shape, self.vocabulary)
        precision.multiply(rows(x), views["head.weight"].mT, rows(logits))
        return logits.add_(biases["head.bias"] + self._padding), x, traces, masks

    def _read_back(self, tokens: torch.Tensor, gradient: torch.Tensor, x: torch.Tensor, traces: list[Trace],
                   masks: list[torch.Tensor | None]) -> None:
        """Fill in the gradients, given that of the logits (T, B, M, V) and what `read` returned."""
        multiply, low, views, out = self.precision.multiply, self.precision.low, self._low_views, self._gradients
        out["head.bias"].copy_(gradient.sum((0, 1)))
        name = "head.weight"
        gradient = gradient.to(low)
        for number in (1, 0):
            multiply(rows(gradient).mT, rows(x), out[name])
            before = self.flat.new_empty(*x.shape)
            multiply(rows(gradient), views[name], rows(before))
            if (mask := masks[number]) is not None:
                before.mul_(mask)
            trace, recurrent = traces[number], f"decoder.{number}.weight_hh_l0"
            gradient = self._layer.run_back(before, trace, views[recurrent])            # (T, B, M, 4H)
            multiply(rows(gradient).mT, rows(trace.hidden[:-1]), out[recurrent])
            bias = gradient.sum((0, 1), dtype=torch.float32)
            out[f"decoder.{number}.bias_ih_l0"].copy_(bias)
            out[f"decoder.{number}.bias_hh_l0"].copy_(bias)
            x, name = trace.x, f"decoder.{number}.weight_ih_l0"
        multiply(rows(gradient).mT, rows(x), out[name])
        before = self.flat.new_empty(*x.shape)
        multiply(rows(gradient), views[name], rows(before))
        table = self.flat.new_zeros(len(self.models) * self.vocabulary, EMBEDDING)
        table.index_add_(0, (tokens + self._rows).flatten(), before.view(-1, EMBEDDING))
        out["embedding.weight"].copy_(table.view_as(out["embedding.weight"]))

    # The update

    @torch.no_grad()
    def update_eagerly(self) -> None:
        """Run one update of all models, kernel by kernel."""
        at = (self._starts + self.step * self.bptt + self._window) % self._lengths
        ids = self._tokens[at + self._bases].long()                                     # (T + 1, B, M)
        tokens, targets = ids[:-1], ids[1:]
        if self._resets:
            drawn = torch.rand(tokens.shape[1:], device=self.device) < RESET_PROBABILITY
            self._state.mul_(~((tokens[0] == self._start_ids) & drawn)[..., None])
        if self._low is not self.flat:
            self._low.copy_(self.flat)
        logits, x, traces, masks = self.read(tokens, self._low_views, self._state, training=True)
        found = torch.log_softmax(logits, -1)
        self.loss.copy_(-found.gather(-1, targets[..., None]).mean((0, 1, 3)))
        gradient = found.exp_().scatter_add_(-1, targets[..., None], -found.new_ones(*targets.shape, 1))
        self._read_back(tokens, gradient.div_(self.batch * self.bptt), x, traces, masks)
        norm = torch.linalg.vector_norm(self._gradient, dim=1, keepdim=True)
        self._gradient.mul_((CLIP / (norm + 1e-6)).clamp(max=1.0))
        factor = self._factors.index_select(0, self.step)[0]                            # (M,)
        self._apply_muon(self._rates * factor * MUON_OVER_ADAMW)
        self._apply_adamw(self._rates * factor)
        if self.average is not None:
            weight = (1 / (self.step + AVERAGE_WARMUP)).clamp(min=1 - AVERAGING) * (self.step < self._ends)
            self.average.lerp_(self.flat, weight[:, None])
        self.step.add_(1)

    def _apply_muon(self, rate: torch.Tensor) -> None:
        """Apply Muon at these rates (M,) to the matrices of the layers."""
        matrices, gradient = self.flat[:, :self.weights.matrices], self._gradient[:, :self.weights.matrices]
        self._momentum.lerp_(gradient, 1 - MOMENTUM)
        direction = gradient.lerp(self._momentum, MOMENTUM)
        matrices.mul_((1 - rate * self._decay)[:, None])
        parts = (0, self.weights.narrow, EMBEDDING), (self.weights.narrow, self.weights.matrices, self.hidden)
        for begin, end, columns in parts:
            size = (len(self.models), -1, self.hidden, columns)
            blocks = direction[:, begin:end].view(size)
            update = self._orthogonalised(blocks.mT if self.hidden > columns else blocks)
            update = update.mT if self.hidden > columns else update
            scaled = (rate * max(1.0, self.hidden / columns) ** 0.5).view(-1, 1, 1, 1)
            matrices[:, begin:end].view(size).sub_(scaled * update.reshape(size))

    def _orthogonalised(self, blocks: torch.Tensor) -> torch.Tensor:
        """Return blocks (M, N, short, long) after Muon's polynomials, as (M * N, short, long)."""
        norm = torch.linalg.vector_norm(blocks, dim=(-2, -1), keepdim=True)
        x = (blocks / (norm * _SAFETY + 1e-7)).flatten(0, 1).contiguous()
        for a, b, c in POLYNOMIALS:
            gram = torch.bmm(x, x.mT)
            x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return x

    def _apply_adamw(self, rate: torch.Tensor) -> None:
        """Apply AdamW at these rates (M,) to all but the matrices of the layers."""
        rest, gradient = self.flat[:, self.weights.matrices:], self._gradient[:, self.weights.matrices:]
        count = self.step + 1
        self._first.lerp_(gradient, 1 - BETAS[0])
        self._second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        deviation = self._second.sqrt().div_((1 - BETAS[1] ** count).sqrt()).add_(EPSILON)
        rest.mul_((1 - rate * self._decay)[:, None])
        rest.sub_(self._first / deviation * (rate / (1 - BETAS[0] ** count))[:, None])
