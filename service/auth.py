"""Who may do what, in which galleries."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from embedding.errors import KeyForbidden
from service.limits import Allowance


class Role(enum.StrEnum):
    """What a key is for."""

    ADMIN = "admin"
    OPERATOR = "operator"
    IDENTIFIER = "identifier"
    AUDITOR = "auditor"
    LISTENER = "listener"


class Permission(enum.StrEnum):
    """One kind of thing that a route lets a caller do."""

    IDENTIFY = "identify"
    SEE_SIMILARITIES = "see_similarities"
    CHOOSE_THRESHOLDS = "choose_thresholds"
    VERIFY = "verify"
    DETECT = "detect"
    ENROLL = "enroll"
    READ_SUBJECTS = "read_subjects"
    CHANGE_SUBJECTS = "change_subjects"
    ARRANGE = "arrange"
    REMOVE = "remove"
    READ_GALLERIES = "read_galleries"
    MANAGE_GALLERIES = "manage_galleries"
    CALIBRATE = "calibrate"
    MANAGE_KEYS = "manage_keys"
    TRANSFER = "transfer"
    READ_AUDIT = "read_audit"
    SEE_EMBEDDINGS = "see_embeddings"
    FOLLOW_EVENTS = "follow_events"
    REVIEW = "review"
    SEE_CROPS = "see_crops"


PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.OPERATOR: frozenset(Permission)
    - {
        Permission.MANAGE_GALLERIES,
        Permission.CALIBRATE,
        Permission.MANAGE_KEYS,
        Permission.TRANSFER,
        Permission.READ_AUDIT,
        Permission.SEE_EMBEDDINGS,
    },
    Role.IDENTIFIER: frozenset({Permission.IDENTIFY}),
    Role.AUDITOR: frozenset({Permission.READ_AUDIT}),
    # A door that acts on decisions needs neither photos nor people: whoever takes its key can
    # neither enroll nor try faces.
    Role.LISTENER: frozenset({Permission.FOLLOW_EVENTS}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is asking.

    Attributes:
        key_id: public part of the key.
        role: decides what is allowed.
        galleries: names of those that the key is tied to; None for all.
        expires_at: UTC; None for never.
        allowance: how often the key may ask.
    """

    key_id: str
    role: Role
    galleries: frozenset[str] | None
    expires_at: datetime | None = None
    allowance: Allowance = field(default_factory=Allowance)

    def may(self, permission: Permission) -> bool:
        """Whether the role allows it; galleries are asked apart."""
        return permission in PERMISSIONS[self.role]

    @property
    def permissions(self) -> list[Permission]:
        """What the role allows, in the order of their definition."""
        return [each for each in Permission if self.may(each)]

    def sees(self, gallery: str) -> bool:
        """Whether the key reaches this gallery."""
        return self.galleries is None or gallery in self.galleries

    def require(self, permission: Permission) -> None:
        """Returns when the role allows it.

        Raises:
            KeyForbidden: it does not.
        """
        if not self.may(permission):
            raise KeyForbidden(f"a key with role {self.role} may not do this ({permission})")

    def require_gallery(self, gallery: str) -> None:
        """Returns when the key reaches the gallery, which need not exist.

        Raises:
            KeyForbidden: it does not.
        """
        if not self.sees(gallery):
            raise KeyForbidden("this key is tied to other galleries")

    def require_all_galleries(self) -> None:
        """Returns when the key is tied to no gallery, so that it may rule over keys.

        Raises:
            KeyForbidden: a tied key could otherwise make itself a wider one.
        """
        if self.galleries is not None:
            raise KeyForbidden("a key that is tied to galleries may not manage keys")

    def require_no_more(self, *, expires_at: datetime | None, allowance: Allowance) -> None:
        """Returns when a new key would outlive or outnumber this one in nothing.

        Raises:
            KeyForbidden: it would, so that this key could give itself what it does not have.
        """
        if self.expires_at is not None and (expires_at is None or expires_at > self.expires_at):
            raise KeyForbidden("a key that expires may only make keys that expire no later")
        if not allowance.within(self.allowance):
            raise KeyForbidden("a key with limits may only make keys with limits as low")


OWNER = Caller(key_id="local", role=Role.ADMIN, galleries=None)
"""Who works in process on the data folder: its owner, by the rights of the file system."""
