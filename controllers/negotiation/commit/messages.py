"""Messages between a coordinator and its agents: profiles at the boundary, prices, identifiers.

Nothing else leaves an agent: no load, no device, no datum of its network. Every message is a tagged
msgspec Struct in msgpack and carries the version of the protocol it speaks. Profiles are tuples of
floats (steps,), of ONE copy of the sender's grid: powers in MW and MVAr, positive into the agent's
grid (load positive), prices in EUR per MW of a step (the step's length is part of the price),
penalties in EUR/MW^2.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any, Final

import msgspec

from stackelgrid.controllers.errors import StackelgridError

PROTOCOL_VERSION: Final = 1

Profile = tuple[float, ...]
Count = Annotated[int, msgspec.Meta(ge=0)]


class MessageError(StackelgridError):
    """Raised for a message that is refused; names its fault, the value and what is accepted."""


class Version(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True, gc=False):
    """Identifier of a set of new schedules: the interval it begins with, and the attempt."""

    interval: Count
    attempt: Count

    def __str__(self) -> str:
        return f"{self.interval}.{self.attempt}"


class _Message(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False, tag=True
):
    """Common fields of all messages: sender, recipient, interval and attempt."""

    protocol: int = PROTOCOL_VERSION
    sender: str
    recipient: str
    interval: Count
    attempt: Count

    @property
    def version(self) -> Version:
        """Interval and attempt as one ordered identifier."""
        return Version(self.interval, self.attempt)


class Terms(msgspec.Struct, frozen=True, gc=False):
    """Prices, targets and penalties of one agent's trade and exchange in a round.

    Profiles (steps,). With `fixed`, the agent keeps its binaries.
    """

    round: Count
    fixed: bool
    trade_price: Profile
    trade_target: Profile
    trade_penalty: Profile
    exchange_price: Profile
    exchange_target: Profile
    exchange_penalty: Profile


class _Question(_Message, frozen=True, kw_only=True, gc=False):
    """The fields of `Terms`, and the recipient's last version that was decided to commit.

    Only versions with its vote count; any other one that it voted for was aborted.
    """

    round: Count
    fixed: bool
    committed: Version | None
    trade_price: Profile
    trade_target: Profile
    trade_penalty: Profile
    exchange_price: Profile
    exchange_target: Profile
    exchange_penalty: Profile

    @property
    def terms(self) -> Terms:
        """Terms of the round, without addresses."""
        return Terms(*(getattr(self, name) for name in Terms.__struct_fields__))

    @property
    def answer_header(self) -> dict[str, Any]:
        """Common fields of the recipient's answer."""
        return {
            "sender": self.recipient,
            "recipient": self.sender,
            "interval": self.interval,
            "attempt": self.attempt,
            "round": self.round,
        }


class Offer(_Question, frozen=True, kw_only=True, gc=False, tag="offer"):
    """Terms of a round, answered by a `Response`."""


class Prepare(_Question, frozen=True, kw_only=True, gc=False, tag="prepare"):
    """Final terms of an attempt, answered by a `Vote`."""


class Response(_Message, frozen=True, kw_only=True, gc=False, tag="response"):
    """Exchange and trade of an agent at the terms of a round."""

    round: Count
    exchange_mw: Profile
    trade_mw: Profile


class Vote(_Message, frozen=True, kw_only=True, gc=False, tag="vote"):
    """A binding answer to a `Prepare`.

    `exchange_mw`, `exchange_mvar`: the new schedule, the agent's after a `Commit`;
    `trade_mw`: the most it trades. `held`, `held_mw`, `held_mvar`: the version and the schedule it
    keeps otherwise, irrevocably: older commits are ignored from here on. All from the interval of
    the message on. A vote of no repeats the held schedule as the exchange.
    """

    round: Count
    yes: bool
    exchange_mw: Profile
    exchange_mvar: Profile
    trade_mw: Profile
    held: Version | None
    held_mw: Profile
    held_mvar: Profile


class Commit(_Message, frozen=True, kw_only=True, gc=False, tag="commit"):
    """The version in interval and attempt, repeated in `committed`, is to be adopted.

    `trade_mw`: the recipient's cleared trade from that interval on, of the sign of its offer and
    no more than that.
    """

    committed: Version
    trade_mw: Profile


class Abort(_Message, frozen=True, kw_only=True, gc=False, tag="abort"):
    """The version in interval and attempt will never be committed."""

    committed: Version | None


class Ack(_Message, frozen=True, kw_only=True, gc=False, tag="ack"):
    """Answer to the `Commit` or `Abort` of the same interval and attempt: what the agent holds."""

    held: Version | None


Message = Offer | Prepare | Response | Vote | Commit | Abort | Ack

_TYPES: Final[tuple[type[Message], ...]] = (Offer, Prepare, Response, Vote, Commit, Abort, Ack)
_REACTIVE: Final = ("exchange_mvar", "held_mvar")
_POWERS: Final = ("exchange_mw", "trade_mw", "held_mw", *_REACTIVE)

# nested too deep is a RecursionError
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Header(msgspec.Struct):
    """Header of a message of any protocol version; other fields are skipped."""

    protocol: int | str = PROTOCOL_VERSION


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode
_decode_header = msgspec.msgpack.Decoder(_Header).decode


_PROFILES: Final = {
    kind: tuple(f.name for f in msgspec.structs.fields(kind) if f.type == Profile)
    for kind in _TYPES
}


def encode(message: Message) -> bytes:
    """Return the message as msgpack bytes."""
    return _encode(message)


def decode(payload: bytes, *, recipient: str, known: frozenset[str], steps: int) -> Message:
    """Return the message in a payload that reached `recipient`.

    `known`: names whose messages are accepted; `steps`: length of every profile. Raises
    `MessageError` for what cannot be decoded, an unknown type or field, another version of the
    protocol, another sender or recipient, a profile of another length, a value that is not finite.
    """
    try:
        protocol = _decode_header(payload).protocol
        message: Message | None = _decode(payload) if protocol == PROTOCOL_VERSION else None
    except _UNREADABLE as error:
        what = " ".join(str(error).split())
        kinds = ", ".join(kind.__name__ for kind in _TYPES)
        raise MessageError(
            f"message of {len(payload)} bytes cannot be decoded ({what}): "
            f"accepted are {kinds} of protocol {PROTOCOL_VERSION}"
        ) from None
    if message is None:
        raise MessageError(f"message of protocol {protocol!r}: accepted is {PROTOCOL_VERSION}")
    if message.sender not in known:
        accepted = ", ".join(sorted(known)) or "none"
        raise MessageError(f"message from {message.sender!r}: accepted are {accepted}")
    if message.recipient != recipient:
        raise MessageError(
            f"message of {message.sender!r} to {message.recipient!r}: accepted is {recipient!r}"
        )
    for name in _PROFILES[type(message)]:
        profile: Profile = getattr(message, name)
        if len(profile) != steps:
            raise MessageError(
                f"{_title(message)}: {name} has {len(profile)} values: accepted are {steps}"
            )
        if isfinite(sum(profile)):  # a sum is finite only if all its terms are
            continue
        for step, value in enumerate(profile):
            if not isfinite(value):
                raise MessageError(
                    f"{_title(message)}: {name} is {value} at step {step}: accepted are finite "
                    "numbers"
                )
    return message


@dataclass(frozen=True)
class PowerLimits:
    """Largest |P| in MW and |Q| in MVAr of a step that a party is enrolled with, of one copy."""

    p_mw: float
    q_mvar: float


def check_range(message: Message, limits: PowerLimits) -> None:
    """Raise `MessageError` for powers of an agent beyond the limits that it is enrolled with."""
    for name in _PROFILES[type(message)]:
        if name not in _POWERS:
            continue
        limit, unit = (limits.q_mvar, "MVAr") if name in _REACTIVE else (limits.p_mw, "MW")
        profile: Profile = getattr(message, name)
        if profile and not (-limit <= min(profile) and max(profile) <= limit):
            step = max(range(len(profile)), key=lambda t: abs(profile[t]))
            raise MessageError(
                f"{_title(message)}: {name} is {profile[step]:g} {unit} at step {step}: "
                f"accepted is at most {limit:g} {unit} in size"
            )


def _title(message: Message) -> str:
    return f"{type(message).__name__} of {message.sender!r}"
