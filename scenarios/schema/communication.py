"""Section `communication` of a scenario: the links between agents that decide by messages."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from stackelgrid.profiles.section import Name, NonNegative, Positive, Section, Share
from stackelgrid.simulators.messages.communication_settings import CommunicationError, LinkQuality

PERFECT_QUALITY = "perfect"
# schemes that agents can negotiate by messages
NEGOTIATED = ("bottom_up", "integrated", "ldd_admm")

Direction = Literal["to", "from", "both"]
Agents = Annotated[tuple[Name, ...], Field(min_length=1)]
# waiting times are shares of the gate: with a shorter gate they fall below the resolution of the
# clock in a long run
Gate = Annotated[float, Field(ge=1e-3, allow_inf_nan=False)]

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def _moment(value: object) -> str:
    """Return a clock time, or a local date and time, as text; accepts TOML's local date-times."""
    accepted = 'a clock time "HH:MM" or a local date and time is accepted'
    if isinstance(value, str) and _CLOCK.fullmatch(value):
        return value
    if isinstance(value, time) and value == value.replace(second=0, microsecond=0, tzinfo=None):
        return f"{value:%H:%M}"
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"{value!r} is no time; {accepted}") from error
    if not isinstance(moment, datetime):
        raise ValueError(f"{value!r} is no time; {accepted}")
    if moment.tzinfo is not None:
        raise ValueError(f"{value} has an offset; {accepted} (time.timezone)")
    return moment.isoformat()


Moment = Annotated[str, BeforeValidator(_moment)]


def local_time(moment: str, day: date) -> datetime:
    """Return a moment as local date and time; a clock time is on `day`."""
    if _CLOCK.fullmatch(moment):
        return datetime.fromisoformat(f"{day:%Y-%m-%d}T{moment}")
    return datetime.fromisoformat(moment)


class QualitySection(Section):
    """Delay and faults of a link; the defaults are none."""

    latency_s: NonNegative = 0.0
    """Mean delay."""
    jitter_s: NonNegative = 0.0
    """Standard deviation of the delay."""
    loss: Share = 0.0
    """Probability that a message is lost."""
    duplication: Share = 0.0
    """Probability of a second copy."""
    reordering: Share = 0.0
    """Probability that a message may overtake others; needs jitter."""
    bandwidth_bit_per_s: Positive | None = None
    """Bandwidth; default: unlimited."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.link_quality()
        return self

    def link_quality(self, own: Mapping[str, float] = MappingProxyType({})) -> LinkQuality:
        """Return the quality of a link with its own keys `own`; raises ValueError."""
        keys = {key: getattr(self, key) for key in QualitySection.model_fields}
        try:
            return LinkQuality(**(keys | dict(own)))
        except CommunicationError as error:
            raise ValueError(str(error)) from error


class LinkSection(Section):
    """Exceptions for the links between some agents and the agent of the grid above."""

    agents: Agents
    direction: Direction = "both"
    latency_s: NonNegative | None = None
    jitter_s: NonNegative | None = None
    loss: Share | None = None
    duplication: Share | None = None
    reordering: Share | None = None
    bandwidth_bit_per_s: Positive | None = None

    @property
    def given(self) -> dict[str, float]:
        """Keys of the quality that the link sets."""
        named = ((key, getattr(self, key)) for key in QualitySection.model_fields)
        return {key: value for key, value in named if value is not None}

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if not self.given:
            raise ValueError(
                f"sets nothing; at least one of {', '.join(QualitySection.model_fields)} is "
                "accepted"
            )
        return self


class OutageSection(Section):
    """Outage of the links between some agents and the agent of the grid above."""

    agents: Agents
    """Agents whose links are down."""
    direction: Direction = "both"
    """Messages to the agents, from them, or both."""
    from_: Annotated[Moment, Field(alias="from")]
    """Beginning, local time: `HH:MM` of the first day, or date and time."""
    to: Moment
    """End, likewise."""


def empty_outage(outage: OutageSection) -> str:
    """Return the message that refuses an outage of no duration."""
    return (
        f"the outage from {outage.from_} to {outage.to} is empty; a later to is accepted, after "
        "midnight with its date"
    )


class CommunicationSection(Section):
    """Gate and links of negotiations by messages; the quality `perfect` is always defined."""

    gate_s: Gate
    """Length of a negotiation, before its interval; at most the interval."""
    compute_s: NonNegative = 1.0
    """Simulated time of an agent's computation."""
    quality: str = PERFECT_QUALITY
    """Quality of all links: a name of `qualities`, or `perfect`."""
    qualities: Annotated[dict[Name, QualitySection], Field(default_factory=dict)]
    """Qualities by name."""
    links: tuple[LinkSection, ...] = ()
    """Exceptions for single links."""
    outages: tuple[OutageSection, ...] = ()
    """Times in which links are down."""

    @model_validator(mode="after")
    def _qualities(self) -> Self:
        if self.qualities.get(PERFECT_QUALITY, QualitySection()) != QualitySection():
            raise ValueError(
                f"qualities.{PERFECT_QUALITY} has delay or faults; another name is accepted for it"
            )
        if self.quality not in self.known_qualities:
            raise ValueError(
                f"quality {self.quality!r} unknown; known: {', '.join(self.known_qualities)}"
            )
        for i, link in enumerate(self.links):
            try:
                self.base.link_quality(link.given)
            except ValueError as error:
                raise ValueError(f"links.{i} on quality {self.quality!r}: {error}") from error
        return self

    @property
    def base(self) -> QualitySection:
        """Quality of every link without exceptions."""
        return self.known_qualities[self.quality]

    @property
    def known_qualities(self) -> dict[str, QualitySection]:
        """Qualities by name, `perfect` first."""
        return {PERFECT_QUALITY: QualitySection()} | self.qualities


def check_controller(coordination: str, controller: str) -> None:
    """Refuse a scheme that agents cannot negotiate by messages; raises ValueError."""
    if coordination != "central" and controller not in NEGOTIATED:
        raise ValueError(
            f"{coordination!r} is not possible with controller {controller!r}; accepted "
            f"controllers: {', '.join(NEGOTIATED)}"
        )


def check_communication(
    section: CommunicationSection,
    coordination: str,
    interval_s: float,
    day: date,
    parents: Mapping[str, str | None],
) -> None:
    """Refuse a section that contradicts the rest of its scenario; raises ValueError."""
    if coordination == "central":
        raise ValueError(
            f'coordination is {coordination!r}, which sends no messages; "ldd_admm" is accepted'
        )
    if section.gate_s > interval_s:
        raise ValueError(
            f"gate_s is {section.gate_s:g} and the interval {interval_s:g} s; at most the "
            "interval is accepted"
        )
    known = [name for name, parent in parents.items() if parent is not None]
    for key in ("links", "outages"):
        for i, entry in enumerate(getattr(section, key)):
            for agent in entry.agents:
                if agent not in known:
                    what = "has no grid above" if agent in parents else "unknown"
                    raise ValueError(
                        f"{key}.{i}.agents: {agent!r} {what}; known: {', '.join(known) or 'none'}"
                    )
    for i, outage in enumerate(section.outages):
        if not local_time(outage.from_, day) < local_time(outage.to, day):
            raise ValueError(f"outages.{i}: {empty_outage(outage)}")
