"""The model directory, its card and its thresholds."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.errors import ModelInvalid, ModelNotFound, RequestInvalid
from embedding.model import (
    NO_LIVENESS,
    InputSpec,
    ModelCard,
    ModelDirectory,
    Threshold,
    default_model,
    find_model,
    model_fingerprint,
    read_card,
    shipped_models,
    write_card,
)
from tests.fakes import fake_thresholds, write_fake_model

SHA256 = "0" * 64


def card_with(thresholds: tuple[Threshold, ...]) -> ModelCard:
    """A card that is only asked for thresholds."""
    return ModelCard(
        name="m",
        model_sha256=SHA256,
        fingerprint=SHA256,
        mirrored=True,
        licence="none",
        thresholds=thresholds,
    )


@pytest.fixture
def card() -> ModelCard:
    """0.80, 0.85, 0.90 at 10, 100, 1000 subjects for FPIR 1 %."""
    return card_with(fake_thresholds())


@pytest.mark.parametrize(
    ("num_subjects", "value", "extrapolated"),
    [
        (0, 0.80, False),
        (1, 0.80, False),
        (10, 0.80, False),
        (31.6227766, 0.825, False),
        (100, 0.85, False),
        (1000, 0.90, False),
        (1001, 0.90 + 0.05 * math.log10(1.001), True),
        (10_000, 0.95, True),
        (10**9, 1.0, True),
    ],
)
def test_threshold_at_gallery_size(
    card: ModelCard, num_subjects: int, value: float, extrapolated: bool
) -> None:
    """Linear in ln N inside the grid, clamped below, continued and marked above."""
    found = card.threshold(fpir=0.01, num_subjects=num_subjects)
    assert found.value == pytest.approx(value)
    assert found.extrapolated is extrapolated
    assert found.low <= found.value <= found.high


@given(small=st.integers(0, 10**6), more=st.integers(0, 10**6))
def test_threshold_grows_with_the_gallery(small: int, more: int) -> None:
    """A larger gallery never has a lower threshold when the grid rises."""
    card = card_with(fake_thresholds())
    low = card.threshold(fpir=0.01, num_subjects=small)
    assert card.threshold(fpir=0.01, num_subjects=small + more).value >= low.value - 1e-12


def test_extrapolation_never_falls() -> None:
    """Beyond the grid the threshold does not fall, even where its last measured step did."""
    first, second, third = fake_thresholds()[:3]
    falling = dataclasses.replace(third, value=second.value - 0.01, high=second.high + 0.05)
    found = card_with((first, second, falling)).threshold(fpir=0.01, num_subjects=10**6)
    assert found.value == falling.value
    assert found.low <= found.value <= found.high


def test_extrapolated_entries_stay_marked(card: ModelCard) -> None:
    """What the card calls extrapolated stays so wherever it is used."""
    for num_subjects in (1, 50, 1000):
        assert card.threshold(fpir=0.001, num_subjects=num_subjects).extrapolated


def test_a_smaller_fpir_never_has_the_lower_threshold() -> None:
    """Lines that cross beyond the grid: the higher one counts, for the wanted FPIR."""
    loose, strict = ((0.05, 0.60, 0.70), (0.01, 0.72, 0.73))
    card = card_with(
        tuple(
            Threshold(
                value=value, low=value, high=value, fpir=fpir, num_subjects=size,
                num_probes=9000, extrapolated=False,
            )
            for fpir, *values in (loose, strict)
            for size, value in zip((10, 100), values, strict=True)
        )
    )  # fmt: skip
    assert card.threshold(fpir=0.01, num_subjects=100).value == 0.73
    found = card.threshold(fpir=0.01, num_subjects=10_000)
    assert found.value == pytest.approx(0.90)
    assert (found.fpir, found.num_subjects, found.extrapolated) == (0.01, 10_000, True)
    assert card.threshold(fpir=0.05, num_subjects=10_000).value == pytest.approx(0.90)


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_the_thresholds_of_shipped_models_are_in_order(name: str) -> None:
    """A match never takes less than a review, however large the gallery."""
    card = read_card(shipped_models()[name] / "card.json")
    for num_subjects in (1, 100, 10**4, 10**6, 10**9):
        values = [
            card.threshold(fpir=fpir, num_subjects=num_subjects).value
            for fpir in (0.05, 0.01, 0.001)
        ]
        assert values == sorted(values)


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_shipped_cards_say_that_there_is_no_liveness_detection(name: str) -> None:
    """Whoever reads a card reads first what no model here can tell."""
    assert read_card(shipped_models()[name] / "card.json").notes.startswith(NO_LIVENESS)


def test_unknown_fpir_is_refused(card: ModelCard) -> None:
    """A card answers only for the rates it holds, and names them."""
    with pytest.raises(RequestInvalid, match=r"0\.001, 0\.01"):
        card.threshold(fpir=0.05, num_subjects=10)


def test_negative_gallery_size_is_refused(card: ModelCard) -> None:
    """A gallery cannot hold fewer than no subjects."""
    with pytest.raises(RequestInvalid):
        card.threshold(fpir=0.01, num_subjects=-1)


def test_single_entry_grid() -> None:
    """One entry holds everywhere; beyond its size it counts as extrapolated."""
    card = card_with(fake_thresholds()[:1])
    assert card.threshold(fpir=0.01, num_subjects=1).value == 0.80
    beyond = card.threshold(fpir=0.01, num_subjects=500)
    assert (beyond.value, beyond.extrapolated) == (0.80, True)


def test_card_survives_the_file(tmp_path: Path, card: ModelCard) -> None:
    """A card that was written reads back equal."""
    write_card(tmp_path, card)
    assert read_card(tmp_path / "card.json") == card


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"surprise": 1}, "unknown fields: surprise"),
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"dimension": 256}, "dimension"),
        ({"dimension": 512.0}, "dimension"),
        ({"mirrored": 1}, "mirrored"),
        ({"precision": "bfloat16"}, "precision"),
        ({"model_sha256": "ABC"}, "model_sha256"),
        ({"norm_floor": -1}, "norm_floor"),
        ({"norm_floor": True}, "norm_floor"),
        ({"fusion": "mean"}, "fusion"),
        ({"input": []}, "JSON object"),
        ({"input": {"name": "crops"}}, "layout"),
        ({"thresholds": {}}, "thresholds"),
        ({"thresholds": [{"value": 2}]}, "value"),
        ({"training": "long"}, "training"),
        ({"format": 2}, "format"),
    ],
)
def test_invalid_cards_are_refused(
    tmp_path: Path, card: ModelCard, change: dict[str, Any], complaint: str
) -> None:
    """Every missing, unknown or ill-typed field is named."""
    write_card(tmp_path, card)
    file = tmp_path / "card.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ModelInvalid, match=complaint):
        read_card(file)


@pytest.mark.parametrize("field", ["name", "input", "thresholds", "fingerprint", "format"])
def test_missing_fields_are_refused(tmp_path: Path, card: ModelCard, field: str) -> None:
    """A card without one of its fields is refused by the field's name."""
    write_card(tmp_path, card)
    file = tmp_path / "card.json"
    content = json.loads(file.read_text())
    del content[field]
    file.write_text(json.dumps(content))
    with pytest.raises(ModelInvalid, match=field):
        read_card(file)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'"text"'])
def test_cards_that_are_no_json_objects(tmp_path: Path, content: bytes) -> None:
    """Anything else than a JSON object is refused."""
    file = tmp_path / "card.json"
    file.write_bytes(content)
    with pytest.raises(ModelInvalid):
        read_card(file)


def test_directory_opens(tmp_path: Path) -> None:
    """A complete directory opens with its card."""
    directory = ModelDirectory.open(write_fake_model(tmp_path / "m"))
    assert directory.card.name == "fake"


@pytest.mark.parametrize("name", ["model.onnx", "card.json"])
def test_incomplete_directory_is_refused(tmp_path: Path, name: str) -> None:
    """A directory without one of its two files is refused."""
    folder = write_fake_model(tmp_path / "m")
    (folder / name).unlink()
    with pytest.raises(ModelInvalid, match=name):
        ModelDirectory.open(folder)


def test_changed_model_is_refused(tmp_path: Path) -> None:
    """A model file of which one byte changed is refused."""
    folder = write_fake_model(tmp_path / "m")
    file = folder / "model.onnx"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelInvalid, match="changed"):
        ModelDirectory.open(folder)


def test_missing_directory_is_not_found(tmp_path: Path) -> None:
    """A path that does not exist is ModelNotFound, not a damaged model."""
    with pytest.raises(ModelNotFound):
        ModelDirectory.open(tmp_path / "nowhere")


def test_fingerprint_covers_everything() -> None:
    """Each part changes the fingerprint; the same parts give the same one."""
    parts: dict[str, Any] = {
        "model_sha256": SHA256,
        "input_spec": InputSpec(),
        "mirrored": True,
        "precision": "float32",
        "detector_fingerprint": "d",
    }
    changes: list[dict[str, Any]] = [
        {},
        {"model_sha256": "1" * 64},
        {"input_spec": dataclasses.replace(InputSpec(), std=128.0)},
        {"mirrored": False},
        {"precision": "bfloat16"},
        {"detector_fingerprint": "e"},
        {"dimension": 256},
    ]
    prints = [model_fingerprint(**(parts | change)) for change in changes]
    assert len(set(prints)) == len(changes)
    assert prints[0] == model_fingerprint(**parts)
    assert len(prints[0]) == 64


def test_fingerprint_is_stable() -> None:
    """The fingerprint of given parts never changes: galleries hold it."""
    assert (
        model_fingerprint(
            model_sha256=SHA256,
            input_spec=InputSpec(),
            mirrored=True,
            precision="float32",
            detector_fingerprint="d",
        )
        == "11ff278a394223fabc73d32935a9727f46cc041b0f225988798a9d5b3540e94f"
    )


def test_find_model_by_path(tmp_path: Path) -> None:
    """A folder is found by its path, as Path or text."""
    assert find_model(tmp_path) == tmp_path
    assert find_model(str(tmp_path)) == tmp_path


def test_unknown_model_is_not_found() -> None:
    """A name that is no shipped model and no folder is refused."""
    with pytest.raises(ModelNotFound, match="no-such-model"):
        find_model("no-such-model")


def test_shipped_models_open() -> None:
    """Every shipped model is intact, is named as its folder, and the default is one of them."""
    shipped = shipped_models()
    if not shipped:
        pytest.skip("no model ships with this checkout yet")
    for name, folder in shipped.items():
        assert ModelDirectory.open(folder).card.name == name
    assert default_model() in shipped
    assert find_model(None) == shipped[default_model()]
