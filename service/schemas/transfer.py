"""What taking a gallery's file in answers."""

from typing import Annotated

from pydantic import Field

from service.schemas.base import SUBJECT_ID, Answer


class ImportAnswer(Answer):
    """What an import did."""

    num_templates: Annotated[int, Field(description="Written.", examples=[1200])]
    num_subjects: Annotated[int, Field(description="Made.", examples=[400])]
    num_present: Annotated[
        int, Field(description="Templates that were there already.", examples=[0])
    ]
    num_look_alikes: Annotated[
        int, Field(description="Pairs that were not declared before.", examples=[1])
    ]
    num_merged: Annotated[
        int,
        Field(
            description="People who are known now to have been merged into others.", examples=[1]
        ),
    ]
    num_dropped: Annotated[
        int,
        Field(
            description="Templates of the file's people that were removed, written now or before, "
            "since the gallery keeps no more of a person.",
            examples=[0],
        ),
    ]
    rules_taken_over: Annotated[
        bool, Field(description="Whether the gallery, empty before, decides as the file says.")
    ]
    num_left_out: Annotated[
        int, Field(description="Templates that the removal ledger keeps out.", examples=[1])
    ]
    left_out: Annotated[
        list[str],
        Field(description="Ids of these, the first thousand.", examples=[[SUBJECT_ID]]),
    ]
    has_ledger: Annotated[
        bool, Field(description="Without a removal ledger nobody can be kept out.")
    ]
