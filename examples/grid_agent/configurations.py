"""What can be changed about the agent, and two named choices to compare."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from grid_agent.primitives import PRIMITIVES


@dataclass(frozen=True, slots=True)
class Configuration:
    """One version of the agent. The same values give the same programs, whatever the machine, unless time runs out."""

    name: str
    search_depth: int
    """Steps of the longest program that is tried."""
    beam_width: int
    """Unfinished programs that are kept from one depth to the next."""
    time_budget_s: float
    """CPU seconds that the search may use."""
    primitives: tuple[str, ...]
    """Names of the primitives that programs are made of."""

    def __post_init__(self) -> None:
        for field in ("search_depth", "beam_width", "time_budget_s"):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field} must be more than 0")
        if unknown := set(self.primitives) - set(PRIMITIVES):
            raise ValueError(f"primitives has unknown names: {', '.join(sorted(unknown))}")

    def to_dict(self) -> dict[str, Any]:
        """The JSON-like form, which is what the SDK hashes into a version."""
        return {**asdict(self), "primitives": list(self.primitives)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of to_dict. Raises ValueError, naming the key that is missing, unknown or wrong."""
        known = {field.name for field in fields(cls)}
        if wrong := known ^ set(values):
            raise ValueError(f"a configuration has exactly the keys {sorted(known)}; look at {sorted(wrong)}")
        return cls(**{**values, "primitives": tuple(values["primitives"])})


BASIC_PRIMITIVES = (
    "rotate90",
    "rotate180",
    "flip_horizontal",
    "flip_vertical",
    "transpose",
    "recolour",
    "crop_to_content",
    "fill_background",
    "fill_enclosed",
    "gravity_down",
    "scale2",
    "mirror_right",
    "swap_colours",
    "outline",
    "left_half",
)

SHALLOW_GREEDY = Configuration(
    name="shallow-greedy", search_depth=2, beam_width=4, time_budget_s=0.06, primitives=BASIC_PRIMITIVES
)
WIDE_BEAM = Configuration(
    name="wide-beam", search_depth=4, beam_width=24, time_budget_s=0.45, primitives=tuple(PRIMITIVES)
)

CONFIGURATIONS = {configuration.name: configuration for configuration in (SHALLOW_GREEDY, WIDE_BEAM)}


def load_configuration(name_or_file: str) -> Configuration:
    """A named configuration, or one read from a JSON file. Raises ValueError and OSError."""
    if name_or_file in CONFIGURATIONS:
        return CONFIGURATIONS[name_or_file]
    path = Path(name_or_file)
    if not path.is_file():
        raise ValueError(f"no configuration {name_or_file!r}: give one of {sorted(CONFIGURATIONS)} or a JSON file")
    return Configuration.from_dict(json.loads(path.read_text("utf-8")))
