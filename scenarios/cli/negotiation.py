"""Console lines about the negotiations of a run."""

from collections.abc import Iterator, Mapping
from typing import Any


def negotiation_lines(section: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield lines on the section `negotiation` of a summary; none for runs without messages."""
    if section is None or section["negotiations"] is None:
        return
    line = (
        f"messages: {section['agreements']} of {section['negotiations']} negotiations agreed, "
        f"{section['rounds_mean']:.1f} rounds on average (at most {section['rounds_max']})"
    )
    if section["agreement_mean_sec"] is not None:
        line += (
            f", after {section['agreement_mean_sec']:.1f} s (at most "
            f"{section['agreement_max_sec']:.1f} s) of simulated time"
        )
    lost = section["lost"] + section["in_outage"]
    yield f"{line}; {section['messages']} messages, {section['bytes'] / 1e3:.1f} kB, {lost} lost"
    if section["fallbacks"]:
        reasons = section["intervals_fallback_by_reason"]
        why = ", ".join(f"{kind} in {count}" for kind, count in reasons.items())
        yield (
            f"schedules of an interval before: {section['fallbacks']} times an agent kept its own "
            f"(intervals: {why}); {section['in_doubt']} times in doubt at a gate, "
            f"{section['settled']} doubts settled since"
        )
    if section["refused"] or section["failures"]:
        yield (
            f"{section['refused']} messages refused, {section['failures']} failures of agents; "
            "log.jsonl says why"
        )
