"""Tests of calibrations that lie with their gallery."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from embedding.errors import GalleryNotFound, ModelNotFound, StoreCorrupt
from embedding.model import ModelCard, default_model, read_card, shipped_models, write_card
from index.calibration.kept import (
    KeptCalibration,
    calibrate_gallery,
    model_of,
    read_calibration,
    stale_reasons,
)
from index.calibration.records import Calibration, calibration_of_json
from index.calibration.templates import read_templates
from index.encryption import AesGcmSealer
from index.galleries import Galleries
from index.gallery import Gallery
from index.key_ring import KeyRing
from index.store import template_export
from index.store.loading import unsealed_rows
from tests.index.calibration.samples import new_card
from tests.index.samples import FINGERPRINT, new_template, unit_vectors

VECTORS = unit_vectors(60, seed=31)


def enroll(gallery: Gallery, first: int, last: int) -> None:
    """Enroll a person for each of these numbers."""
    for number in range(first, last):
        gallery.enroll([new_template(VECTORS[number])])


def read(gallery: Gallery, *, rule: str | None = None) -> KeptCalibration:
    """What is kept with the gallery, which must be something."""
    kept = read_calibration(gallery.store, rule=rule)
    assert kept is not None
    return kept


def test_a_calibration_is_read_back_as_it_was(gallery: Gallery) -> None:
    """Every field survives; the newest one counts, and before the first there is none."""
    assert read_calibration(gallery.store) is None
    enroll(gallery, 0, 12)
    first = calibrate_gallery(gallery.store, card=new_card())
    assert read(gallery).calibration == first
    enroll(gallery, 12, 14)
    second = calibrate_gallery(gallery.store, card=new_card())
    assert second.num_subjects == 14
    assert read(gallery).calibration == second
    assert not read(gallery).stale


def test_changes_go_on_while_templates_are_read(gallery: Gallery) -> None:
    """Nobody waits for the end of a calibration; who comes meanwhile is not in it."""
    enroll(gallery, 0, 3)
    rows = gallery.store.export()
    next(rows)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(enroll, gallery, 3, 4).result(timeout=60.0)
    assert sum(1 for _ in rows) == 2
    assert gallery.num_subjects == 4


def test_who_is_merged_while_templates_are_read_is_one_person(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two photos of one person would be the closest pair of strangers."""
    ids = [gallery.enroll([new_template(VECTORS[each])] * 2).subject_id for each in range(3)]

    def merge_after_a_page(*args: Any, **kwargs: Any) -> Any:
        page = unsealed_rows(*args, **kwargs)
        if len(ids) == 3:
            gallery.merge_subjects(ids.pop(0), into=ids[-1])
        return page

    monkeypatch.setattr(template_export, "_ROWS_AT_A_TIME", 2)
    monkeypatch.setattr(template_export, "unsealed_rows", merge_after_a_page)
    found = read_templates(gallery.store)
    assert (found.num_subjects, sorted(np.bincount(found.owners()))) == (2, [2, 4])
    merged = [gallery.references(each).vectors_ND for each in sorted(ids)]
    np.testing.assert_array_equal(found.vectors_TD, np.concatenate(merged))


def test_it_outlives_the_process(open_galleries: Callable[[], Galleries]) -> None:
    """What was kept is there after a restart."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        enroll(gallery, 0, 5)
        made = calibrate_gallery(gallery.store, card=new_card())
    with open_galleries() as galleries:
        assert read(galleries.get("people")).calibration == made


def test_it_goes_with_its_gallery(galleries: Galleries) -> None:
    """A deleted gallery leaves none to a new one of its name, and another keeps its own."""
    first, other = (galleries.create(name, fingerprint=FINGERPRINT) for name in ("a", "b"))
    for each in (first, other):
        enroll(each, 0, 5)
        calibrate_gallery(each.store, card=new_card())
        each.store.write_facts({"track_calibration": b"of tracks"})
    galleries.delete("a")
    assert first.store.fact("calibration") is first.store.fact("track_calibration") is None
    assert read_calibration(galleries.create("a", fingerprint=FINGERPRINT).store) is None
    assert other.store.fact("calibration") is not None
    with pytest.raises(GalleryNotFound):
        first.store.write_facts({"calibration": b"late"})
    assert first.store.fact("calibration") is None


def test_a_grown_gallery_is_stale(gallery: Gallery) -> None:
    """Twice as many people are not yet too many, one more is."""
    enroll(gallery, 0, 6)
    calibrate_gallery(gallery.store, card=new_card())
    enroll(gallery, 6, 12)
    assert not read(gallery).stale
    enroll(gallery, 12, 13)
    kept = read(gallery)
    assert kept.stale
    assert "calibrated with 6 people and has 13 now" in kept.reasons[0]


def test_more_templates_are_staleness_too(gallery: Gallery) -> None:
    """The same people with more than twice the templates find closer ones."""
    enroll(gallery, 0, 4)
    made = calibrate_gallery(gallery.store, card=new_card())
    now = {"num_subjects": 4, "fingerprint": FINGERPRINT, "rule": None}
    assert stale_reasons(made, num_templates=8, **now) == ()  # type: ignore[arg-type]
    assert "templates" in stale_reasons(made, num_templates=9, **now)[0]  # type: ignore[arg-type]


def test_another_rule_or_model_is_staleness(gallery: Gallery) -> None:
    """A threshold holds for the rule and the model that it was measured with."""
    enroll(gallery, 0, 4)
    made = calibrate_gallery(gallery.store, card=new_card())
    assert not read(gallery, rule="maximum").stale
    assert "rule" in read(gallery, rule="mean").reasons[0]
    reasons = stale_reasons(
        made, num_subjects=4, num_templates=4, fingerprint="d" * 64, rule="maximum"
    )
    assert ["of model dddd" in each for each in reasons] == [True]


def test_a_secret_space_changes_nothing(galleries: Galleries) -> None:
    """Vectors are compared in the model's own space, where strangers' are."""
    plain = galleries.create("plain", fingerprint=FINGERPRINT)
    enroll(plain, 0, 12)
    expected = calibrate_gallery(plain.store, card=new_card()).points[-1].measured
    assert expected == pytest.approx(_measured_in_a_space(galleries), abs=1e-5)


def _measured_in_a_space(galleries: Galleries) -> float:
    folder = galleries.path.with_name("sealed")
    sealer = AesGcmSealer(KeyRing.generate(folder.with_name("space.keys")))
    with Galleries.open(folder, sealer=sealer) as sealed:
        gallery = sealed.create("people", fingerprint=FINGERPRINT, space=True)
        enroll(gallery, 0, 12)
        return calibrate_gallery(gallery.store, card=new_card()).points[-1].measured


@pytest.fixture
def made(gallery: Gallery) -> Calibration:
    """A calibration of ten people."""
    enroll(gallery, 0, 10)
    return calibrate_gallery(gallery.store, card=new_card())


def test_what_cannot_be_read_is_told(gallery: Gallery, made: Calibration) -> None:
    """A damaged calibration is an error that says what to do, never another threshold."""
    good = json.loads(made.to_json())
    point = good["points"][0]
    damaged = [
        b"",
        b"[]",
        b"\xff",
        made.to_json()[:-1],
        json.dumps(good | {"format": 2}).encode(),
        json.dumps(good | {"more": 1}).encode(),
        json.dumps(good | {"points": []}).encode(),
        json.dumps(good | {"num_subjects": 0}).encode(),
        json.dumps(good | {"num_probes": "many"}).encode(),
        json.dumps(good | {"source": "elsewhere"}).encode(),
        json.dumps(good | {"unit": "minute"}).encode(),
        json.dumps(good | {"made_at": "yesterday"}).encode(),
        json.dumps(good | {"points": [point | {"value": None}]}).encode(),
        json.dumps(good | {"points": [point | {"value": True}]}).encode(),
        json.dumps(good | {"points": [point | {"supported": 1}]}).encode(),
        json.dumps(good | {"points": [point | {"value": "0.5"}]}).encode(),
        json.dumps({key: value for key, value in good.items() if key != "rule"}).encode(),
    ]
    assert calibration_of_json(made.to_json()) == made
    for each in damaged:
        with pytest.raises(StoreCorrupt, match="calibrate it again"):
            calibration_of_json(each)
    gallery.store.write_facts({"calibration": b"{}"})
    with pytest.raises(StoreCorrupt):
        read_calibration(gallery.store)


def test_a_gallery_s_model_is_found_by_its_fingerprint() -> None:
    """Among the shipped ones; one that is not there is named with what to do."""
    path = shipped_models()[default_model()]
    card = read_card(path / "card.json")
    assert model_of(card.fingerprint) == (path, card)
    with pytest.raises(ModelNotFound, match="FACEGALLERY_MODELS_FOLDER"):
        model_of(FINGERPRINT)


def test_a_model_in_a_folder_is_found_beside_one_that_is_damaged(
    galleries: Galleries,
) -> None:
    """A damaged card is left out, and named only when nothing was found."""
    folder = galleries.path.with_name("models")
    for name in ("bad", "good"):
        (folder / name).mkdir(parents=True)
    (folder / "bad" / "card.json").write_text("{")
    card: ModelCard = new_card()
    write_card(folder / "good", card)
    assert model_of(FINGERPRINT, models_folder=folder) == (folder / "good", card)
    with pytest.raises(ModelNotFound, match="not JSON"):
        model_of("d" * 64, models_folder=folder)
