"""What is asked of the course of a run, by run and prompt: its best moment, its slope, its speed, equal rewards.

Each number is a table (R, P) of which a contrast gives the interval, as of any other. Where the number is no mean of
values (the passes that a gain takes, a column at equal reward), the table holds the first-order terms: for a statistic
f of means, f + f' (value - mean). Their mean is f, and their spread that of f (the delta method).

| side of a question       | what it is                                                                              |
|--------------------------|-----------------------------------------------------------------------------------------|
| `ARM`                    | at the end of its runs                                                                  |
| `ARM@0.5`                | after that share of its runs                                                            |
| `ARM@best:COLUMN`        | at the moment where a column is highest: for each run and half of the prompts the best  |
|                          | of all other runs on the other half, for else the best of several moments would always  |
|                          | look better than it is                                                                  |
| `base`, `data:SET`       | the untouched model; the fine-tuning clips themselves                                   |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.contrasts import BASE, Rows, change, has_no_runs, minus, table_of

SHARE_WITHIN = 0.02


def side(result: Mapping[str, Any], name: str, column: str, where: str | None = None) -> Rows:
    """Values of a side of a question by run and prompt, see the module.

    Raises:
        InputError: no such arm, moment, column or list.
    """
    arm, _, at = name.partition("@")
    if not at:
        return table_of(result, arm, column, None, where)
    if where is not None and where != next(iter(result["base_values"])):
        raise InputError(f"{name}: along the runs only the first list of prompts is measured, not {where}.")
    if at.startswith("best:"):
        return _at_its_best(result, arm, column, at.removeprefix("best:"))
    return table_of(result, arm, column, moment_of(result, arm, float(at)))


def difference_of(result: Mapping[str, Any], first: str, second: str, column: str, where: str | None = None) -> Rows:
    """second - first of two sides, by run and prompt."""
    a, b = (side(result, name, column, where) for name in (first, second))
    return minus(b, a, any(has_no_runs(result, name.partition("@")[0], where) for name in (first, second)))


def at_equal_cost(result: Mapping[str, Any], *names: str, where: str | None = None) -> tuple[str, ...]:
    """Arms as sides that cost the same: each at the moment at which it has cost as much as the cheapest of them.

    Where nothing was measured at that moment, as on all lists but the first, the end of the arm's runs; see `cost`.

    Args:
        result: content of result.json.
        names: of arms; others, such as "base", stay as they are.
        where: "LIST-D"; default the first.

    Example:
        >>> arms = [{"name": "long", "budget": 200}, {"name": "short", "budget": 100}]
        >>> moments = {"long": {"moments": [{"share": 0.5}, {"share": 1.0}]}}
        >>> at_equal_cost({"plan": {"arms": arms}, "arms": moments}, "base", "long", "short")
        ('base', 'long@0.5', 'short')
    """
    if where is not None and where != next(iter(result["base_values"])):
        return names
    least = min((cost(result, name) for name in names if cost(result, name) > 0), default=0.0)
    return tuple(_after(result, name, least / cost(result, name)) if cost(result, name) else name for name in names)


def cost(result: Mapping[str, Any], name: str) -> float:
    """Passes that `ARM` or `ARM@SHARE` may cost by the plan; 0 for what is no arm of it, such as "base"."""
    arm, _, share = name.partition("@")
    budgets = {planned["name"]: float(planned["budget"]) for planned in result["plan"]["arms"]}
    return budgets.get(arm, 0.0) * float(share or 1)


def pairs_at_equal_cost(
    result: Mapping[str, Any], first: str = BASE, arms: Sequence[str] = (), where: str | None = None
) -> list[tuple[str, str]]:
    """Arms, each with what it is compared with, as sides that have cost the same; see `at_equal_cost`.

    Args:
        result: content of result.json.
        first: what every arm is compared with: another arm, where both have cost the same, or the untouched model,
            where all arms have.
        arms: which; default all but `first`.
        where: "LIST-D"; default the first.

    Raises:
        InputError: an arm that the result does not have.

    Example:
        >>> pairs_at_equal_cost({"plan": {"arms": []}, "arms": {"a": {}, "b": {}}})
        [('base', 'a'), ('base', 'b')]
    """
    unknown = {first, *arms} - {BASE, *result["arms"]}
    if unknown:
        given, known = min(unknown), ", ".join([BASE, *result["arms"]])
        raise InputError(f"{result.get('experiment')} has no arm {given!r}: expected {known}.")
    rows = arms or [arm for arm in result["arms"] if arm != first]
    if first == BASE:
        return [(BASE, side) for side in at_equal_cost(result, *rows, where=where)]
    pairs = [at_equal_cost(result, first, arm, where=where) for arm in rows]
    return [(a, b) for a, b in pairs]


def cost_words(result: Mapping[str, Any], pairs: Sequence[tuple[str, str]]) -> str:
    """Whether the sides of `pairs_at_equal_cost` cost the same, in words; nothing where there is nothing to compare.

    A budget holds a whole number of steps, so sides with equal budgets may have spent different numbers of passes.
    """
    groups = [[b for _, b in pairs]] if {a for a, _ in pairs} == {BASE} else pairs
    planned, spent = (_largest_ratio(result, groups, count) for count in (cost, _spent))
    if planned is None or spent is None:
        return ""
    if planned >= 1.05:
        return f" at the end, where costs differ by up to {planned:.2g} times"
    return ", at equal cost" if spent < 1.05 else f", at nearly equal cost (up to {100 * (spent - 1):.0f} % apart)"


def _largest_ratio(
    result: Mapping[str, Any],
    groups: Sequence[Sequence[str]],
    count: Callable[[Mapping[str, Any], str], float],
) -> float | None:
    costs = [[passes for name in group if (passes := count(result, name))] for group in groups]
    return max((max(group) / min(group) for group in costs if len(group) > 1), default=None)


def _spent(result: Mapping[str, Any], name: str) -> float:
    """Passes that a side has made, if that is stored, or else its budget."""
    arm, _, share = name.partition("@")
    moments = result["arms"].get(arm, {}).get("moments", [])
    if not moments or "passes" not in moments[-1]:
        return cost(result, name)
    return float(moments[moment_of(result, arm, float(share)) if share else -1]["passes"])


def steps_of(result: Mapping[str, Any], name: str) -> int:
    """Steps of training that `ARM` or `ARM@SHARE` has behind it."""
    arm, _, share = name.partition("@")
    content = result["arms"][arm]
    return int(content["moments"][moment_of(result, arm, float(share))]["step"] if share else content["steps"])


def moment_of(result: Mapping[str, Any], arm: str, share: float) -> int:
    """The number of the measured moment after a share of an arm's runs.

    Raises:
        InputError: nothing was measured there.
    """
    shares = [moment["share"] for moment in result["arms"].get(arm, {}).get("moments", [])]
    near = [k for k, value in enumerate(shares) if abs(value - share) <= SHARE_WITHIN]
    if not near:
        raise InputError(f"{arm} was measured after {shares} of its runs, not after {share}.")
    return near[0]


def slope(result: Mapping[str, Any], arm: str, column: str) -> Rows:
    """Least-squares slope of a column over the share of the run, from the untouched model to the end: change a run."""
    shares, tables = _along(result, arm, column)
    centred = np.array(shares) - np.mean(shares)
    return np.asarray(np.tensordot(centred / (centred**2).sum(), np.stack(tables), axes=1))


def passes_to(result: Mapping[str, Any], arm: str, column: str, gain: float) -> Rows:
    """Natural logarithm of the passes until the mean of a column has risen by a gain, interpolated between moments.

    Raises:
        InputError: it never rises by that much.
    """
    shares, tables = _along(result, arm, column)
    means = [table.mean() for table in tables]
    k, w = _crossing(means, gain, arm, column)
    rise = means[k + 1] - means[k]
    share = (1 - w) * shares[k] + w * shares[k + 1]
    passes = share * result["arms"][arm]["moments"][-1]["passes"]
    residual = (1 - w) * tables[k] + w * tables[k + 1] - gain
    return np.log(passes) - residual * (shares[k + 1] - shares[k]) / (rise * share)


def at_equal_reward(result: Mapping[str, Any], first: str, second: str, column: str) -> Rows:
    """A column of the second arm minus that of the first where both have gained the same reward, by run and prompt.

    The gain is the smaller one of the two arms' ends; the arm that goes further is interpolated along its runs.

    Raises:
        InputError: an arm never gains anything.
    """
    gains = {name: float(change(result, BASE, name, "reward").mean()) for name in (first, second)}
    least = min(gains, key=lambda name: gains[name])
    gain = gains[least]
    if gain <= 0:
        raise InputError(f"{least} has gained no reward, so at no moment do both have gained the same")
    a, b = (_at_gain(result, name, column, gain) for name in (first, second))
    return minus(b, a)


def unrest(result: Mapping[str, Any], arm: str, column: str) -> Rows:
    """How far each run's change lies from the median of the arm's runs, (R, 1): the unrest of an arm."""
    means = change(result, BASE, arm, column).mean(axis=1, keepdims=True)
    return np.abs(means - np.median(means))


def _after(result: Mapping[str, Any], arm: str, share: float) -> str:
    shares = [moment["share"] for moment in result["arms"].get(arm, {}).get("moments", [])]
    measured = any(abs(value - share) <= SHARE_WITHIN for value in shares)
    return f"{arm}@{share:.2g}" if measured and share < 1 - SHARE_WITHIN else arm


def _along(result: Mapping[str, Any], arm: str, column: str) -> tuple[list[float], list[Rows]]:
    """Shares of the run and changes from the untouched model, by run and prompt, the start included."""
    moments = result["arms"].get(arm, {}).get("moments", [])
    if not moments:
        raise InputError(f"the result of {result.get('experiment')} has nothing measured along the runs of {arm!r}.")
    tables = [change(result, BASE, arm, column, (None, k)) for k in range(len(moments))]
    runs = min(map(len, tables))
    return [0.0, *(moment["share"] for moment in moments)], [0 * tables[0][:runs], *(table[:runs] for table in tables)]


def _crossing(means: list[float], gain: float, arm: str, column: str) -> tuple[int, float]:
    """(k, w): the curve reaches the gain between moments k and k + 1, a share w of the way."""
    for k, (low, high) in enumerate(zip(means, means[1:])):
        if low <= gain <= high and low < high:
            return k, (gain - low) / (high - low)
    raise InputError(f"{column} of {arm} never rises by {gain:g}.")


def _at_gain(result: Mapping[str, Any], arm: str, column: str, gain: float) -> Rows:
    _, gains = _along(result, arm, "reward")
    _, changes = _along(result, arm, column)
    means = [table.mean() for table in gains]
    k, w = _crossing(means, gain, arm, "reward")
    steepness = (changes[k + 1].mean() - changes[k].mean()) / (means[k + 1] - means[k])
    value, reached = ((1 - w) * tables[k] + w * tables[k + 1] for tables in (changes, gains))
    return np.asarray(value - steepness * (reached - gain))


def _at_its_best(result: Mapping[str, Any], arm: str, column: str, by: str) -> Rows:
    _, along = _along(result, arm, by)
    runs = len(along[0])
    values = [table_of(result, arm, column, k)[:runs] for k in range(len(along) - 1)]
    picked = values[0].copy()
    for run in range(runs):
        others = [k for k in range(runs) if k != run] or [run]
        for half in (0, 1):
            best = int(np.argmax([table[others, 1 - half :: 2].mean() for table in along[1:]]))
            picked[run, half::2] = values[best][run, half::2]
    return picked
