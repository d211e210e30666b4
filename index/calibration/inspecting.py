"""What a check of the data folder says of calibrations that cannot be used."""

from collections.abc import Iterator
from typing import Final

from embedding.errors import SealKeyMissing, StoreCorrupt
from index.calibration.kept import fact_of, normalisation_fact_of
from index.calibration.normalisation import normalisation_of_bytes
from index.calibration.records import calibration_of_json
from index.calibration.strangers import Unit
from index.sealing import ClearSealer, Sealer
from index.store.database import Database
from index.store.facts import gallery_fact, read_fact, unseal_fact
from index.store.stored_gallery import StoredGallery

_UNITS: Final[tuple[Unit, ...]] = ("photo", "track")


def calibration_problems(
    database: Database, gallery: StoredGallery, *, sealer: Sealer | None
) -> Iterator[str]:
    """Yield why a gallery's calibrations cannot be read; that they are stale is no damage.

    Args:
        database: of the gallery.
        gallery: its row.
        sealer: None where its key is not at hand; cohorts are left out then.
    """
    for unit in _UNITS:
        with database.transaction() as connection:
            content = read_fact(connection, gallery_fact(fact_of(unit), gallery.id))
            kind = normalisation_fact_of(unit)
            cohort = read_fact(connection, gallery_fact(kind, gallery.id))
        if content is None:
            continue
        try:
            made = calibration_of_json(content)
            if made.cohort_digest and (sealer is not None or cohort is None):
                clear = None
                if cohort is not None:
                    clear = unseal_fact(
                        kind, cohort, gallery_id=gallery.id, sealer=sealer or ClearSealer()
                    )
                normalisation_of_bytes(clear, digest=made.cohort_digest)
        except (StoreCorrupt, SealKeyMissing) as error:
            yield f"calibration of gallery {gallery.id} for {unit}s: {error}"
