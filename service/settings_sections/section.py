"""What all sections of the settings have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Some of the settings; a name stands in one section only, and counts in all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
