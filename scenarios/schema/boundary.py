"""Section `boundary` of a grid, and ratings of its lines."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from stackelgrid.profiles.section import Finite, Index, NonNegative, Positive, Section, Tap


class BoundarySection(Section):
    """Connection of a grid to its parent.

    `oltc` needs vm_set_pu, deadband_pu and delay_s. sn_mva, vk_percent and vkr_percent describe a
    transformer to add. Without them the net's own transformer is used, and tap data and phase shift
    given here replace the net's.
    """

    kind: Literal["oltc", "fixed_tap", "ideal"]
    """Tie without transformer, transformer with a fixed tap, or on-load tap changer."""
    sn_mva: Positive | None = None
    """Rating of a transformer that is added."""
    vk_percent: Positive | None = None
    """Its short-circuit voltage."""
    vkr_percent: NonNegative | None = None
    """Real part of its short-circuit voltage."""
    shift_degree: Finite | None = None
    """Phase shift."""
    tap_min: Tap | None = None
    """Lowest tap position; -8 for an added transformer."""
    tap_max: Tap | None = None
    """Highest tap position; 8 for an added transformer."""
    tap_step_percent: Positive | None = None
    """Size of a tap step; 1.25 for an added transformer."""
    tap_pos: Tap | None = None
    """Tap position before the first interval; 0 for an added transformer."""
    vm_set_pu: Positive | None = None
    """Voltage of the lower side that an oltc holds."""
    deadband_pu: Positive | None = None
    """Total width of its deadband, at least one tap step."""
    delay_s: NonNegative | None = None
    """Time outside the deadband before a step."""

    @property
    def adds_transformer(self) -> bool:
        """True if a transformer is added to the grid."""
        return self.sn_mva is not None

    @property
    def stated(self) -> dict[str, Any]:
        """Tap data and phase shift given here, by pandapower's column."""
        columns = ("shift_degree", "tap_min", "tap_max", "tap_step_percent", "tap_pos")
        values = {column: getattr(self, column) for column in columns}
        return {column: value for column, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        plate = (self.sn_mva, self.vk_percent, self.vkr_percent)
        if any(v is None for v in plate) and any(v is not None for v in plate):
            raise ValueError("sn_mva, vk_percent and vkr_percent come together")
        regulation = (self.vm_set_pu, self.deadband_pu, self.delay_s)
        if self.kind == "oltc" and any(v is None for v in regulation):
            raise ValueError("an oltc boundary needs vm_set_pu, deadband_pu and delay_s")
        if self.kind != "oltc" and any(v is not None for v in regulation):
            raise ValueError(f"a {self.kind} boundary has no vm_set_pu, deadband_pu or delay_s")
        if self.kind == "ideal" and self.sn_mva is not None:
            raise ValueError("an ideal boundary has no transformer")
        if self.kind == "ideal" and self.stated:
            raise ValueError(
                f"an ideal boundary has no {', '.join(self.stated)}; fixed_tap and oltc have"
            )
        return self


class Rating(Section):
    """Current rating of some lines (pandapower indices)."""

    lines: Annotated[tuple[Index, ...], Field(min_length=1)]
    """Lines (pandapower indices)."""
    max_i_ka: Positive
    """Their rating."""
