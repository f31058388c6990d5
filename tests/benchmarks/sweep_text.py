"""Train hundreds of small networks for running text on one GPU, and write one line of figures for each.

`python tests/benchmarks/sweep_text.py --corpora DIR --out runs.tsv --seconds 260` reads DIR/<name>.txt and trains
what fits into the time, in groups of equal shape (`many_networks.py`). `--plan` only prints the groups. A law for the
defaults of `charlm train` can be fitted to the table.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from pathlib import Path

BEGAN = time.monotonic()                # imports count
sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from many_networks import ManyNetworks  # noqa: E402
from many_parts import Data, Settings  # noqa: E402
from text_grid import Corpora, Group, Run, grid, packed  # noqa: E402

COLUMNS = ("corpus", "train_tokens", "vocabulary", "hidden", "batch", "bptt", "passes", "steps", "dropout",
           "weight_decay", "lr", "seed", "loss", "loss_ema", "loss_half", "loss_threequarters", "seconds_group",
           "models_in_group", "precision", "ms_per_update", "held_out_tokens")
# The share of the time that the groups of each tier get before the rest is handed out in order.
SHARES = {1: 0.40, 2: 0.16, 3: 0.20, 4: 0.10, 5: 0.06, 6: 0.06}
TIMED, CHECK_EVERY = 50, 100            # updates that are timed first; updates between two looks at the clock
GRACE = 20                              # seconds by which the last group may be late
REPORT_EVERY = 15                       # seconds between two lines about a group in training


def log(message: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"{time.monotonic() - BEGAN:7.1f} s  {message}", flush=True)


class Sweep:
    """Trains groups until the time is over."""

    def __init__(self, corpora: Corpora, out: Path, *, seconds: float, device: str, precision: str):
        self._corpora, self._out, self._deadline = corpora, out, BEGAN + seconds
        self._device, self._precision = device, precision
        self._chosen: dict[int, str] = {}       # precision by hidden size
        self._ratios: dict[int, float] = {}     # measured over guessed time by hidden size
        self.finished = 0

    def left(self) -> float:
        """Return the seconds left."""
        return self._deadline - time.monotonic()

    def estimate(self, group: Group) -> float:
        """Return the estimated seconds of a group, with what starting and scoring it take."""
        known = self._ratios or {0: 1.0}
        ratio = known.get(group.runs[0].hidden, sum(known.values()) / len(known))
        return group.guess() * ratio + 3.0

    def _build(self, group: Group, precision: str) -> ManyNetworks:
        one = group.runs[0]
        settings = [Settings(self._corpora.load(run.corpus), steps, run.dropout, run.weight_decay, run.lr, run.seed)
                    for run, steps in zip(group.runs, group.steps, strict=True)]
        networks = ManyNetworks(settings, hidden=one.hidden, batch=one.batch, bptt=one.bptt, device=self._device,
                                precision=precision, log=log)
        networks.prepare()
        return networks

    def _timed(self, networks: ManyNetworks, updates: int) -> float:
        """Return the seconds of each of the next updates."""
        self._wait()
        began = time.perf_counter()
        for _ in range(updates):
            networks.update()
        self._wait()
        return (time.perf_counter() - began) / updates

    def _wait(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()

    def _precision_for(self, group: Group) -> str:
        """Return the precision to use; TF32 unless bfloat16 is clearly faster."""
        if self._device != "cuda":
            return "f32"
        if self._precision != "auto":
            return self._precision
        hidden = group.runs[0].hidden
        if hidden not in self._chosen and self.estimate(group) < 8:
            return "tf32"               # not worth the comparison
        if hidden not in self._chosen:
            speed = {}
            for name in ("tf32", "bf16"):
                networks = self._build(group, name)
                self._timed(networks, 5)
                speed[name] = self._timed(networks, 20) * 1000
                del networks
                self._clear()
            self._chosen[hidden] = "bf16" if speed["bf16"] < 0.85 * speed["tf32"] else "tf32"
            log(f"hidden {hidden}, {len(group.runs)} models: " + ", ".join(f"{n} {t:.2f} ms" for n, t in speed.items()))
        return self._chosen[hidden]

    def _clear(self) -> None:
        gc.collect()
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def run(self, group: Group) -> bool:
        """Train and score a group if it fits; return whether it did. An error costs only this group."""
        began = time.monotonic()
        try:
            precision = self._precision_for(group)
            networks = self._build(group, precision)
            update = self._timed(networks, min(TIMED, max(group.steps)))
            needed = update * max(group.steps)
            self._ratios[group.runs[0].hidden] = needed / group.guess()
            log(f"{group.describe()}: {update * 1000:.2f} ms per update, {needed:.0f} s, {precision}, "
                f"{networks.kernels}, started in {time.monotonic() - began:.1f} s")
            if needed + 1.5 > self.left():
                log(f"does not fit into {self.left():.0f} s")
                return False
            losses = self._train(group, networks)
            if losses is None:
                return False
            self._write(group, losses, time.monotonic() - began, precision, update)
            return True
        except (RuntimeError, ValueError, OSError) as error:
            log(f"FAILED, {group.describe()}: {type(error).__name__}: {error}")
            return False
        finally:
            networks = None
            self._clear()

    def _train(self, group: Group, networks: ManyNetworks) -> dict[str, np.ndarray] | None:
        """Train to the end; return the held-out losses (M,) by column, or None if the time is over."""
        unfinished = np.full(len(group.runs), np.nan)
        losses = {"loss_half": unfinished, "loss_threequarters": unfinished}
        at = {name: [int(share * steps) for steps in group.steps]
              for name, share in (("loss_half", 0.5), ("loss_threequarters", 0.75))}
        networks.reset()
        reported = time.monotonic()
        copy = networks.flat.clone()
        for step in range(1, max(group.steps) + 1):
            networks.update()
            for name, steps in at.items():
                for model in (index for index, value in enumerate(steps) if value == step):
                    copy[model].copy_(networks.flat[model])
                if step == max(steps):
                    losses[name] = networks.evaluate(copy)
            if step % CHECK_EVERY == 0:
                self._wait()
                if self.left() < -GRACE:
                    log(f"out of time at step {step}")
                    return None
                if time.monotonic() - reported > REPORT_EVERY:
                    reported = time.monotonic()
                    log(f"  step {step:,} of {max(group.steps):,}, mean loss {networks.loss.mean().item():.4f}")
        self._wait()
        before = time.monotonic()
        losses["loss"] = networks.evaluate(networks.flat)
        losses["loss_ema"] = networks.evaluate(networks.average)
        log(f"scored twice in {time.monotonic() - before:.1f} s; losses {losses['loss'].min():.4f} to "
            f"{losses['loss'].max():.4f}")
        return losses

    def _write(self, group: Group, losses: dict[str, np.ndarray], seconds: float, precision: str,
               update: float) -> None:
        new = not self._out.exists()
        with self._out.open("a", encoding="utf-8") as file:
            if new:
                file.write("\t".join(COLUMNS) + "\n")
            for index, (run, steps) in enumerate(zip(group.runs, group.steps, strict=True)):
                data = self._corpora.load(run.corpus)
                values = vars(run) | {name: f"{found[index]:.6f}" for name, found in losses.items()} | {
                    "train_tokens": len(data.train), "vocabulary": data.vocabulary, "steps": steps,
                    "seconds_group": f"{seconds:.2f}", "models_in_group": len(group.runs), "precision": precision,
                    "ms_per_update": f"{update * 1000:.3f}", "held_out_tokens": len(data.held_out)}
                file.write("\t".join(str(values[name]) for name in COLUMNS) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.finished += len(group.runs)
        log(f"wrote {len(group.runs)} runs, {self.finished} in all, {self.left():.0f} s left")

    def run_all(self, groups: list[Group], seconds: float) -> None:
        """Give each tier its share of the time, its groups in order; then run whatever else fits."""
        waiting = list(groups)
        for tier, share in [*SHARES.items(), (0, 1.0)]:
            limit = time.monotonic() + share * seconds
            for group in [one for one in waiting if tier in (0, one.tier)]:
                left = min(limit - time.monotonic(), self.left())
                if self.estimate(group) <= left:
                    waiting.remove(group)
                    self.run(group)
        for group in waiting:
            log(f"not run (about {self.estimate(group):.0f} s): {group.describe()}")


def self_check(device: str) -> None:
    """Exit with an error if ten updates on the device differ from those on the CPU."""
    rng = np.random.default_rng(0)
    data = Data(rng.integers(1, 20, 5000), rng.integers(1, 20, 500), 20, 0)
    models = [Settings(data, 40, 0.0, 0.1, rate, seed) for seed, rate in enumerate((6e-3, 3e-3, 6e-3))]
    reference = None
    for place, precision in (("cpu", "f32"), (device, "f32"), (device, "tf32"), (device, "bf16")):
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        networks = ManyNetworks(models, hidden=64, batch=8, bptt=16, device=place, precision=precision, log=log)
        source = reference or networks
        for index in range(len(models)):
            networks.load(index, {name: view[index].cpu() for name, view in source.weights.views(
                source._initial).items()})
        networks.prepare()
        for _ in range(10):
            networks.update()
        reference = reference or networks
        worst = (networks.flat.cpu() - reference.flat).abs().max().item()
        losses = abs(networks.evaluate(networks.flat) - reference.evaluate(reference.flat)).max()
        log(f"self-check on {place} in {precision}: weights differ by {worst:.1e}, held-out losses by {losses:.1e}")
        if not (losses < 2e-4 and worst < 1e-2 if precision == "f32" else losses < 2e-2):
            sys.exit("the self-check failed")


def main() -> None:
    """Read the options and run the sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=260)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="auto", choices=("auto", "tf32", "bf16", "f32"))
    parser.add_argument("--tiers", default="123456", help="digits of the tiers to run")
    parser.add_argument("--done", type=Path, nargs="*", default=[], help="tables of an earlier call; skip their runs")
    parser.add_argument("--plan", action="store_true", help="print the groups and exit")
    options = parser.parse_args()
    corpora, done = Corpora(options.corpora), set()
    for path in [*options.done, *([options.out] if options.out.exists() else [])]:
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        names = header.split("\t")
        done |= {Run(0, v["corpus"], *(v[k] for k in ("hidden", "passes", "dropout", "weight_decay", "batch", "bptt",
                                                      "lr", "seed"))).key()
                 for v in (dict(zip(names, line.split("\t"), strict=True)) for line in lines)}
    runs = [run for run in grid()
            if str(run.tier) in options.tiers and corpora.exists(run.corpus) and run.key() not in done]
    groups = packed(list(dict.fromkeys(runs)), corpora)
    log(f"{len(runs)} runs in {len(groups)} groups, torch {torch.__version__}, {options.device}")
    if options.plan:
        for group in groups:
            print(f"{group.guess():6.1f} s  {group.describe()}")
        return
    if options.device == "cuda":
        log(torch.cuda.get_device_name())
        self_check("cuda")
    torch.backends.cuda.matmul.allow_tf32 = options.precision != "f32"
    sweep = Sweep(corpora, options.out, seconds=options.seconds, device=options.device, precision=options.precision)
    sweep.run_all(groups, options.seconds)
    log(f"{sweep.finished} runs finished")


if __name__ == "__main__":
    main()
