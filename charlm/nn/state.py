"""The state that the torch network carries from one window to the next."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from charlm.nn.layers import HiddenState


@dataclass(frozen=True)
class Memory:
    """The encoder's outputs for a source, position by position; position 0 is a learned empty slot.

    Without attention there is one position, which is the context at every step.
    """

    values: torch.Tensor                # (B, S, M)
    keys: torch.Tensor | None           # (B, S, H), with attention
    mask: torch.Tensor | None           # (B, S), False in the padding of a shorter source

    def select(self, rows: torch.Tensor) -> Memory:
        """Return the memory of these rows."""
        keys, mask = (part if part is None else part[rows] for part in (self.keys, self.mask))
        return Memory(self.values[rows], keys, mask)


@dataclass(frozen=True)
class State:
    """The hidden state of every layer, (1, B, H) tensors h or h and c, and the memory of a source where there is one.

    In running text, the source is the previous window, so the current one's `window_tokens` are kept until it is full.
    """

    layers: tuple[HiddenState, ...]
    memory: Memory | None = None
    window_tokens: torch.Tensor | None = None    # (B, t), t up to the length of a window

    @property
    def tokens_in_window(self) -> int:
        """The number of tokens read in the current window."""
        return 0 if self.window_tokens is None else self.window_tokens.shape[1]

    def detach(self) -> State:
        """Return the same values in float32, detached from the graph that computed them, for truncated BPTT."""
        return _with_tensors(self, {name: value.detach().float() if value.is_floating_point() else value
                                    for name, value in self.tensors().items()})

    def reset(self, empty: State, rows: torch.Tensor) -> State:
        """Return the state with the hidden state, but not the memory, of the rows of mask `rows` (B,) emptied."""
        if not rows.any():
            return self
        mask = rows.to(empty.layers[0][0].device)[None, :, None]            # (1, B, 1)
        layers = tuple(tuple(torch.where(mask, new, old) for old, new in zip(*pair, strict=True))
                       for pair in zip(self.layers, empty.layers, strict=True))
        return State(layers, self.memory, self.window_tokens)

    def select(self, rows: torch.Tensor) -> State:
        """Return the state of these batch rows in this order; rows may repeat."""
        return _with_tensors(self, {name: value[:, rows] if name.startswith("layers") else value[rows]
                                    for name, value in self.tensors().items()})

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return every tensor by name; nothing is copied."""
        tensors = {f"layers.{number}.{part}": value for number, layer in enumerate(self.layers)
                   for part, value in enumerate(layer)}
        if self.memory is not None:
            tensors |= {f"memory.{name}": value for name in ("values", "keys", "mask")
                        if (value := getattr(self.memory, name)) is not None}
        return tensors if self.window_tokens is None else tensors | {"window_tokens": self.window_tokens}

    @staticmethod
    def restored(tensors: dict[str, torch.Tensor], like: State) -> State:
        """Return the state with these `tensors`, given any state `like` it of the same network and batch size.

        Types and devices are those of `like`. Raises KeyError or ValueError if the tensors do not fit.
        """
        def restore(name: str, old: torch.Tensor) -> torch.Tensor:
            shape, expected = list(tensors[name].shape), list(old.shape)
            if not name.startswith("layers"):
                shape[1:2] = expected[1:2] = []                 # the number of tokens read can differ
            if shape != expected:
                raise ValueError(f"{name} is a state of another network or batch")
            return tensors[name].to(old.device, old.dtype)

        return _with_tensors(like, {name: restore(name, old) for name, old in like.tensors().items()})

    @staticmethod
    def join(states: list[State]) -> State:
        """Concatenate the rows of states whose memories and windows are equally wide."""
        columns = [state.tensors() for state in states]
        return _with_tensors(states[0], {
            name: torch.cat([tensors[name] for tensors in columns], dim=1 if name.startswith("layers") else 0)
            for name in columns[0]})


def _with_tensors(state: State, tensors: dict[str, torch.Tensor]) -> State:
    """Return a state of the same structure that holds these tensors."""
    layers = tuple(tuple(tensors[f"layers.{number}.{part}"] for part in range(len(layer)))
                   for number, layer in enumerate(state.layers))
    memory = state.memory and Memory(tensors["memory.values"], tensors.get("memory.keys"), tensors.get("memory.mask"))
    return State(layers, memory, tensors.get("window_tokens"))
