"""`charlm view --gradients`: how far back a loss reaches in a model of running text. The only view that needs torch."""

from __future__ import annotations

import math
import shutil
from typing import TYPE_CHECKING

from charlm.cli.exit_codes import message
from charlm.cli.output import Output, json_record
from charlm.cli.view_text import ViewRequest
from charlm.errors import CorpusError, UsageError

if TYPE_CHECKING:
    from charlm.model import LanguageModel

STEPS = 200                             # tokens back
WINDOWS = 32                            # places in the text, evenly spread, over which norms are averaged
SHOWN = (1, 2, 5, 10, 20, 50, 100, 200)     # steps whose norms are written beside the picture


def show_gradients(model: LanguageModel, source: str, request: ViewRequest, workers: int) -> None:
    """Write the norm of the gradient with respect to the state 1 … 200 tokens before a loss.

    A terminal gets a picture, on a logarithmic scale. Raises CorpusError for a text that is too short.
    """
    if model.task_row.ends_with_eos:
        raise UsageError(f"--gradients is for models of running text, not for {model.task_row.model_phrase}")
    from charlm.text.reading import read_text
    ids = model.tokenizer.encode("".join(read_text([source], request.errors, message)))
    if len(ids) <= STEPS:
        raise CorpusError(f"the text has {len(ids)} tokens; --gradients needs more than {STEPS}")
    import numpy as np
    import torch

    from charlm.nn.gradients import WARM_UP, gradient_norms
    from charlm.nn.network import Network
    torch.set_num_threads(workers)
    network = Network(model.stored.config)
    network.load_weights(model.stored.weights)
    width = min(STEPS + 1 + WARM_UP, len(ids))
    starts = np.unique(np.linspace(0, len(ids) - width, WINDOWS).astype(int))
    windows = torch.from_numpy(np.stack([ids[start:start + width] for start in starts]).astype(np.int64))
    norms = gradient_norms(network, windows, STEPS).tolist()
    output = Output()
    if request.style() is None:
        output.write("".join(json_record(steps=steps, norm=float(f"{norm:.6g}")) if request.jsonl
                             else f"{steps}\t{norm:.6g}\n" for steps, norm in enumerate(norms, 1)))
        return
    output.write(_picture(norms))


def _picture(norms: list[float]) -> str:
    """Return a sparkline of the logarithms, from 1 to 200 steps before, and some of the norms."""
    from charlm.reports.curves import sparkline
    columns = shutil.get_terminal_size().columns
    line = sparkline([math.log(norm) for norm in norms if norm > 0], min(columns, len(norms)))
    return f"{line}\n" + "".join(f"{steps:>4} tokens before  {norms[steps - 1]:.3g}\n" for steps in SHOWN)
