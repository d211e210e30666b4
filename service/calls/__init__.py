"""Every request that a client can make, defined once: a module for each kind of thing.

A function here makes a `Call`: where it goes, what is sent, the class of its answer, and whether
it may be sent again. Both HTTP clients make their methods of these functions, so signatures and
docstrings are written for those who call `client.identify(...)`.
"""

from service.calls.call import AnyAnswer, Call
from service.calls.face_calls import (
    detect,
    enroll,
    identify,
    identify_across,
    verify,
)
from service.calls.gallery_calls import (
    calibrate,
    change_gallery,
    create_gallery,
    delete_gallery,
    export_path,
    galleries,
    gallery,
    gallery_erasure,
    import_gallery,
    threshold,
)
from service.calls.operation_calls import (
    audit,
    create_key,
    keys,
    models,
    ready,
    revoke_key,
)
from service.calls.review_calls import (
    claim_review,
    decide_review,
    events,
    release_review,
    review,
    review_crop,
    reviews,
)
from service.calls.subject_calls import (
    change_subject,
    declare_look_alikes,
    erasure,
    look_alikes,
    look_alikes_of,
    merge_subjects,
    remove_subject,
    subject,
    subjects,
    withdraw_look_alikes,
)
from service.calls.template_calls import (
    move_templates,
    remove_template,
    template,
    template_crop,
    template_erasure,
    templates,
)

__all__ = [
    "AnyAnswer",
    "Call",
    "audit",
    "calibrate",
    "change_gallery",
    "change_subject",
    "claim_review",
    "create_gallery",
    "create_key",
    "decide_review",
    "declare_look_alikes",
    "delete_gallery",
    "detect",
    "enroll",
    "erasure",
    "events",
    "export_path",
    "galleries",
    "gallery",
    "gallery_erasure",
    "identify",
    "identify_across",
    "import_gallery",
    "keys",
    "look_alikes",
    "look_alikes_of",
    "merge_subjects",
    "models",
    "move_templates",
    "ready",
    "release_review",
    "remove_subject",
    "remove_template",
    "review",
    "review_crop",
    "reviews",
    "revoke_key",
    "subject",
    "subjects",
    "template",
    "template_crop",
    "template_erasure",
    "templates",
    "threshold",
    "verify",
    "withdraw_look_alikes",
]
