"""What a network carries from one window to the next."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Memory:
    """What the encoder made of a source, position by position; position 0 is the empty one.

    Without attention there is one position, which is the context at every step.
    """

    values: torch.Tensor                # (B, S, M)
    keys: torch.Tensor | None           # (B, S, H), with attention
    mask: torch.Tensor | None           # (B, S), False where a shorter source is padded

    def rows(self, rows: torch.Tensor) -> Memory:
        return Memory(*(part if part is None else part[rows]
                        for part in (self.values, self.keys, self.mask)))


@dataclass(frozen=True)
class State:
    """The recurrent state of every layer: a tuple of (1, B, H) tensors each (h, or h and c).

    A network with a source carries the memory of it, too; in a stream its source is the window of
    tokens before this one, so the tokens of this window, `window_tokens`, are kept for the next.
    """

    layers: tuple[tuple[torch.Tensor, ...], ...]
    memory: Memory | None = None
    window_tokens: torch.Tensor | None = None    # (B, t), t up to the window's length

    def detach(self) -> State:
        """The same values, cut off from what made them: the truncation of truncated BPTT."""
        layers = tuple(tuple(part.detach() for part in layer) for layer in self.layers)
        memory = self.memory and Memory(*(part if part is None else part.detach() for part in
                                          (self.memory.values, self.memory.keys, self.memory.mask)))
        return State(layers, memory, self.window_tokens)

    def reset(self, empty: State, rows: torch.Tensor) -> State:
        """This state, but the empty one in those rows (B,) that are true; what was read stays."""
        if not rows.any():
            return self
        mask = rows.to(empty.layers[0][0].device)[None, :, None]            # (1, B, 1)
        layers = tuple(tuple(torch.where(mask, new, old) for old, new in zip(*parts))
                       for parts in zip(self.layers, empty.layers))
        return State(layers, self.memory, self.window_tokens)

    def select(self, rows: torch.Tensor) -> State:
        """The state of these batch rows, in this order; rows may repeat."""
        return State(tuple(tuple(part[:, rows] for part in layer) for layer in self.layers),
                     self.memory and self.memory.rows(rows),
                     self.window_tokens if self.window_tokens is None else self.window_tokens[rows])

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every part by name, by reference."""
        parts = {f"layers.{number}.{part}": value for number, layer in enumerate(self.layers)
                 for part, value in enumerate(layer)}
        if self.memory is not None:
            parts |= {f"memory.{name}": value for name in ("values", "keys", "mask")
                      if (value := getattr(self.memory, name)) is not None}
        return parts if self.window_tokens is None else parts | {"window_tokens": self.window_tokens}

    @staticmethod
    def restored(tensors: dict[str, torch.Tensor], like: State) -> State:
        """The inverse of `tensors`, with the layers, types and device of a state of the same network and batch.

        Raises KeyError, ValueError for those of another one.
        """
        def part(name: str, old: torch.Tensor | None) -> torch.Tensor | None:
            if old is None:
                return None
            mine, its = list(tensors[name].shape), list(old.shape)
            if not name.startswith("layers"):
                mine[1:2] = its[1:2] = []                       # how much was read may differ
            if mine != its:
                raise ValueError(f"{name} is a state of another network or batch")
            return tensors[name].to(old.device, old.dtype)

        layers = tuple(tuple(part(f"layers.{number}.{place}", old) for place, old in enumerate(layer))
                       for number, layer in enumerate(like.layers))
        memory = like.memory and Memory(*(part(f"memory.{name}", getattr(like.memory, name))
                                          for name in ("values", "keys", "mask")))
        return State(layers, memory, part("window_tokens", like.window_tokens))

    @staticmethod
    def join(states: list[State]) -> State:
        """States of equally wide memories and windows as one batch, rows in order."""
        def joined(parts, dim=0):
            return None if parts[0] is None else torch.cat(parts, dim=dim)

        layers = zip(*(state.layers for state in states))
        memories = [state.memory for state in states]
        memory = memories[0] and Memory(*(joined([getattr(memory, part) for memory in memories])
                                          for part in ("values", "keys", "mask")))
        return State(tuple(tuple(joined(parts, 1) for parts in zip(*layer)) for layer in layers),
                     memory, joined([state.window_tokens for state in states]))
