"""The figures that lines aim at, each computed round by round where there is something to compare."""

from __future__ import annotations

from benchmarks.line import Aim, Result, ascending
from benchmarks.measure import Run, Spread, ratios


def _cpu_per_byte(run: Run) -> float:
    return run.cpu_s / run.bytes


def faster(peer: str, times: float) -> Aim:
    """So many times as fast as a peer."""

    def figure(result: Result) -> Spread | None:
        return result.ratio(peer) if result.runs.get(peer) else None

    return Aim(f"times as fast as {peer}", times, figure)


def less_cpu(peer: str, share: float) -> Aim:
    """At most so much of the CPU time per byte of a peer."""

    def figure(result: Result) -> Spread | None:
        if not result.runs.get(peer):
            return None
        return ratios(result.values(peer, _cpu_per_byte), result.values(result.subject, _cpu_per_byte))

    return Aim(f"CPU per GB, as a part of that of {peer}", share, figure, at_least=False)


def per_core(peers: tuple[str, ...], times: float, *, with_start: bool = False) -> Aim:
    """So many times the objects per second of CPU time of the fastest peer."""

    def cost(run: Run) -> float:
        return (run.cpu_s + (run.start_cpu_s if with_start else 0)) / run.objects

    def figure(result: Result) -> Spread | None:
        present = [peer for peer in peers if result.runs.get(peer)]
        if not present:
            return None
        best = [min(costs) for costs in zip(*(result.values(p, cost) for p in present), strict=True)]
        return ratios(result.values(result.subject, cost), best)

    told = ", start-up counted" if with_start else ""
    return Aim(f"times the objects per core of the fastest tool{told}", times, figure)


def peak(megabytes: float) -> Aim:
    """At most so much memory of the process tree."""

    def figure(result: Result) -> Spread:
        return Spread.of(result.values(result.subject, lambda run: run.peak_bytes / 1e6))

    return Aim("peak memory", megabytes, figure, at_least=False, unit=" MB")


def core_share(percent: float) -> Aim:
    """At most so much of one core while nothing is to be done."""

    def figure(result: Result) -> Spread:
        return Spread.of(result.values(result.subject, lambda run: 100 * run.idle_core_share))

    return Aim("of one core", percent, figure, at_least=False, unit=" %")


def added_memory(megabytes: float) -> Aim:
    """At most so much memory more than before."""

    def figure(result: Result) -> Spread:
        return Spread.of(result.values(result.subject, lambda run: run.added_bytes / 1e6))

    return Aim("more memory", megabytes, figure, at_least=False, unit=" MB")


def no_growth(times: float) -> Aim:
    """The cost of a unit at any size at most so many times that at any smaller one."""

    def figure(result: Result) -> Spread | None:
        growth = result.line.growth
        assert growth is not None
        rows = list(zip(*result.runs.values(), strict=True))
        return Spread.of(
            ascending([growth.cost_us(run, size) for run, size in zip(row, growth.sizes, strict=True)])
            for row in rows
        )

    return Aim("the cost of a unit against that of a smaller size", times, figure, at_least=False)
