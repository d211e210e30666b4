"""Subjects and what became of them, as they are answered."""

from index.galleries import Galleries
from index.receipts import Erasure, Receipt
from index.records import Page, Subject
from service import schemas


def subject_answer(subject: Subject) -> schemas.SubjectAnswer:
    """A subject, with all that is kept of it."""
    details = subject.details
    return schemas.SubjectAnswer(
        id=subject.id,
        name=subject.name,
        external_id=subject.external_id,
        num_templates=subject.num_templates,
        created_at=subject.created_at,
        metadata=dict(details.metadata),
        purpose=details.purpose,
        consent_reference=details.consent,
        expires_at=details.expires_at,
        version=subject.version,
    )


def identified_subject(subject: Subject) -> schemas.IdentifiedSubject:
    """A subject as an identification names it, whoever asks."""
    return schemas.IdentifiedSubject(
        id=subject.id,
        name=subject.name,
        external_id=subject.external_id,
        num_templates=subject.num_templates,
        created_at=subject.created_at,
    )


def subjects_answer(page: Page) -> schemas.SubjectsAnswer:
    """A page of subjects."""
    return schemas.SubjectsAnswer(
        subjects=[subject_answer(subject) for subject in page.subjects],
        next_cursor=page.next_cursor,
    )


def receipt_answer(receipt: Receipt) -> schemas.ReceiptAnswer:
    """A receipt."""
    return schemas.ReceiptAnswer(
        content=schemas.ErasureContent.model_validate(dict(receipt.content)),
        signature=receipt.signature,
        public_key=receipt.public_key,
    )


def erased_answer(erasure: Erasure, galleries: Galleries) -> schemas.ErasedAnswer:
    """A removal, with its receipt."""
    return schemas.ErasedAnswer(
        num_templates=erasure.num_templates, receipt=receipt_answer(galleries.receipt(erasure))
    )
