"""Evaluations as tables: for a terminal, and as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

HEADER = f"{'distraction':<22}{'policy':<12}{'mean':>8}   {'95 % interval':<18}{'least':>8}{'most':>8}\n{'-' * 76}"


def condition_row(condition: Row) -> str:
    """Lay out what a policy returned under one condition, below HEADER."""
    low, high = condition["ci95"]
    returns = condition["returns"]
    interval = f"{low:.1f} to {high:.1f}"
    return (
        f"{condition['distraction']:<22}{condition['policy']:<12}{condition['mean']:>8.1f}   {interval:<18}"
        f"{min(returns):>8.1f}{max(returns):>8.1f}"
    )


def metrics_table(conditions: Sequence[Row]) -> str:
    """Lay out what else was measured, a line for each name, a column for each condition of which there is any."""
    told = {f"{each['distraction']}, {each['policy']}": each["metrics"] for each in conditions if each["metrics"]}
    names = list(dict.fromkeys(name for metrics in told.values() for name in metrics))
    first, widths = max(map(len, names)) + 2, {title: max(len(title), 8) + 2 for title in told}
    lines = [" " * first + "".join(f"{title:>{width}}" for title, width in widths.items())]
    lines.append("-" * len(lines[0]))
    for name in names:
        cells = (f"{told[title][name]:.3f}" if name in told[title] else "" for title in told)
        lines.append(f"{name:<{first}}" + "".join(f"{c:>{w}}" for c, w in zip(cells, widths.values(), strict=True)))
    return "\n".join(lines)


def number_of(count: int, thing: str) -> str:
    """Count things in words: "1 episode", "20 episodes"."""
    return f"{count:,} {thing}{'s' * (count != 1)}"


def suite_table(found: Row) -> str:
    """Lay out summaries of a suite, all tasks together, for a terminal, an agent below the other."""
    rows = together(found)
    width = max(len(row["agent"]) for row in rows) + 2
    titles = f"{'condition':<17}{'mean':>7}  {'95 % interval':<18}{'IQM':>7}  {'95 % interval':<18}{'gap':>7}"
    lines = [f"{'agent':<{width}}{titles}  95 % interval", "-" * (width + 17 + 3 * 7 + 3 * 20)]
    for row in rows:
        numbers = "".join(
            f"{row[name]:>z7.1f}  {span(row[f'{name}_ci95']):<18}" for name in ("mean", "iqm", "gap") if name in row
        )
        lines.append(f"{row['agent']:<{width}}{row['condition']:<17}{numbers}".rstrip())
    return "\n".join(lines)


def together(found: Row) -> list[Row]:
    """Return the summaries over all tasks, where there are several, else those of the one task."""
    return [row for row in found["summaries"] if row["task"] == found["summaries"][0]["task"]]


def span(interval: Sequence[float]) -> str:
    return f"{interval[0]:z.1f} to {interval[1]:z.1f}"


def markdown_table(rows: Sequence[Row], name: str) -> str:
    """Lay out one number of summaries and its interval as Markdown: a line for each condition, a column an agent."""
    held = [row for row in rows if name in row]
    agents = list(dict.fromkeys(row["agent"] for row in held))
    cells = {(row["condition"], row["agent"]): f"{row[name]:z.1f} ({span(row[f'{name}_ci95'])})" for row in held}
    lines = ["| condition | " + " | ".join(agents) + " |", "|---" * (1 + len(agents)) + "|"]
    for condition in dict.fromkeys(row["condition"] for row in held):
        lines.append("| " + " | ".join([condition, *(cells.get((condition, agent), "") for agent in agents)]) + " |")
    return "\n".join(lines)


def improvement_table(pairs: Sequence[Row]) -> str:
    """Lay out the probability that a run of the line's agent beats one of the column's as Markdown."""
    agents = list(dict.fromkeys(pair["agent"] for pair in pairs))
    cells = {
        (
            pair["agent"],
            pair["over_agent"],
        ): f"{pair['probability']:.2f} ({pair['ci95'][0]:.2f} to {pair['ci95'][1]:.2f})"
        for pair in pairs
    }
    lines = ["| | " + " | ".join(agents) + " |", "|---" * (1 + len(agents)) + "|"]
    lines += ["| " + " | ".join([one, *(cells.get((one, other), "") for other in agents)]) + " |" for one in agents]
    return "\n".join(lines)
