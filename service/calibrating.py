"""Thresholds of a gallery: measured on itself, and told as they are. No HTTP here."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from embedding.errors import CalibrationRunning, RequestInvalid
from embedding.model import ModelCard
from index.calibration.asked import check_rate, thresholds_for_fpir
from index.calibration.calibrating import Wanted
from index.calibration.in_force import ThresholdsInForce, read_known
from index.calibration.kept import KeptCalibration, measure_gallery, read_calibration
from index.calibration.rules import rule_for_many
from index.galleries import Galleries
from index.gallery import Gallery
from service.embedders import Embedders
from service.settings import Settings

MAX_PROBES: Final = 10_000
"""Searches in one request: a hundred errors at FPIR 1 %; some four seconds with as many templates
on two cores."""

MAX_TEMPLATES: Final = 100_000
"""Copied and searched through within a request: half a minute, and 200 MB."""

MAX_RATES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GalleryThresholds:
    """What decides in a gallery.

    Attributes:
        gallery: its name.
        thresholds: for the rate that was asked about.
        num_templates: of all subjects.
        kept: its calibration; None where it was never calibrated.
        card: of its model.
    """

    gallery: str
    thresholds: ThresholdsInForce
    num_templates: int
    kept: KeptCalibration | None
    card: ModelCard


class Calibrating:
    """Measures and tells thresholds; thread safe."""

    def __init__(self, galleries: Galleries, embedders: Embedders, *, settings: Settings) -> None:
        self._galleries = galleries
        self._embedders = embedders
        self._settings = settings

    def calibrate(
        self, gallery: str, *, fpirs: Sequence[float] = (), max_probes: int = MAX_PROBES
    ) -> GalleryThresholds:
        """Measure a gallery by itself, keep the result, and return what decides now.

        Args:
            gallery: name.
            fpirs: measured beside the rates in the settings, without which no calibration
                decides.
            max_probes: at most so many searches, 1 to 10,000.

        Raises:
            CalibrationRunning: a service on this database calibrates the gallery at the moment.
            GalleryNotFound: no such gallery.
            ModelError: the gallery's model is not installed or damaged.
            RequestInvalid: a value out of range, fewer than two people, or more templates than
                a request may search through.
        """
        for each in fpirs:
            check_rate(each)
        if len(fpirs) > MAX_RATES or not 1 <= max_probes <= MAX_PROBES:
            raise RequestInvalid(
                f"a calibration takes up to {MAX_RATES} rates and 1 to {MAX_PROBES} searches"
            )
        target = self._galleries.get(gallery)
        card = self._embedders.of_gallery(target.fingerprint).card
        with self._one_at_a_time(target):
            target.refresh()
            if target.num_templates > MAX_TEMPLATES:
                raise RequestInvalid(
                    f"the gallery has {target.num_templates} templates, and a request calibrates "
                    f"up to {MAX_TEMPLATES}; use facegallery-index calibrate"
                )
            wanted = Wanted(
                fpirs=self._rates(fpirs),
                rule=rule_for_many(target.store.rules().fusion),
                max_probes=max_probes,
            )
            measure_gallery(target.store, card=card, wanted=wanted)
        return self._told(target, card, self._settings.fpir)

    def thresholds(self, gallery: str, *, fpir: float | None = None) -> GalleryThresholds:
        """What decides in a gallery now, for a rate.

        Args:
            gallery: name.
            fpir: wanted for ``match``; None for that of the settings.

        Raises:
            GalleryNotFound: no such gallery.
            ModelError: the gallery's model is not installed or damaged.
            RequestInvalid: no rate.
            StoreCorrupt: the gallery's calibration cannot be read.
        """
        target = self._galleries.get(gallery)
        card = self._embedders.of_gallery(target.fingerprint).card
        target.refresh()
        return self._told(target, card, self._settings.fpir if fpir is None else fpir)

    def _told(self, target: Gallery, card: ModelCard, fpir: float) -> GalleryThresholds:
        known = read_known(target)
        return GalleryThresholds(
            gallery=target.name,
            thresholds=thresholds_for_fpir(
                known, card=card, fpir=fpir, review_fpir=self._settings.review_fpir
            ),
            num_templates=known.num_templates,
            kept=read_calibration(target.store, rule=known.rule),
            card=card,
        )

    def _rates(self, fpirs: Sequence[float]) -> tuple[float, ...]:
        """Those of the settings and those asked for, each once."""
        usual = (self._settings.fpir, self._settings.review_fpir)
        return tuple(sorted({*usual, *fpirs}))

    @contextmanager
    def _one_at_a_time(self, gallery: Gallery) -> Iterator[None]:
        """Run a block while no other process of the database is in it for this gallery."""
        code = hashlib.sha256(b"calibration\0" + gallery.id.encode()).digest()
        with self._galleries.claims.claimed(code) as free:
            if not free:
                raise CalibrationRunning(
                    "this gallery is being calibrated; its threshold tells when that was done"
                )
            yield
