"""Sealing with AES-256-GCM: what opens, what does not, and what the errors say."""

import base64
import hmac
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

import index.encryption
from embedding.errors import SealKeyMissing, StoreCorrupt
from index.encryption import OVERHEAD_BYTES, AesGcmSealer
from index.key_ring import KeyRing, SealKey
from index.sealing import ChunkContext, ClearSealer, SealContext, Sealer, TemplateContext
from tests.index.samples import unit_vectors

TEMPLATE = TemplateContext(
    gallery_id="gallery-1",
    subject_id="subject-1",
    template_id="template-1",
    fingerprint="a" * 64,
    space_id="space-1",
)
CHUNK = ChunkContext(purpose="snapshot", owner_id="gallery-1", file="7", chunk=3, last=False)
CLEAR = unit_vectors(1)[0].tobytes()

OTHER_CONTEXTS: list[tuple[SealContext, SealContext]] = [
    (TEMPLATE, replace(TEMPLATE, gallery_id="gallery-2")),
    (TEMPLATE, replace(TEMPLATE, subject_id="subject-2")),
    (TEMPLATE, replace(TEMPLATE, subject_id=None)),
    (TEMPLATE, replace(TEMPLATE, subject_id="")),
    (TEMPLATE, replace(TEMPLATE, template_id="template-2")),
    (TEMPLATE, replace(TEMPLATE, fingerprint="b" * 64)),
    (TEMPLATE, replace(TEMPLATE, space_id="space-2")),
    (TEMPLATE, replace(TEMPLATE, space_id=None)),
    (TEMPLATE, CHUNK),
    (CHUNK, replace(CHUNK, purpose="backup")),
    (CHUNK, replace(CHUNK, owner_id="gallery-2")),
    (CHUNK, replace(CHUNK, file="8")),
    (CHUNK, replace(CHUNK, chunk=4)),
    (CHUNK, replace(CHUNK, last=True)),
    (CHUNK, TEMPLATE),
]

_TEXT = st.text(max_size=4)
_CONTEXTS = st.one_of(
    st.builds(
        TemplateContext,
        gallery_id=_TEXT,
        subject_id=st.none() | _TEXT,
        template_id=_TEXT,
        fingerprint=_TEXT,
        space_id=st.none() | _TEXT,
    ),
    st.builds(
        ChunkContext,
        purpose=_TEXT,
        owner_id=_TEXT,
        file=_TEXT,
        chunk=st.integers(0, 20),
        last=st.booleans(),
    ),
)


def _ring(num_keys: int = 1) -> KeyRing:
    return KeyRing(tuple(SealKey.random() for _ in range(num_keys)))


@pytest.fixture(scope="module")
def ring() -> KeyRing:
    """Two keys."""
    return _ring(2)


@pytest.fixture(scope="module")
def sealer(ring: KeyRing) -> AesGcmSealer:
    """A sealer with two keys."""
    return AesGcmSealer(ring)


@given(clear=st.binary(max_size=3000), context=_CONTEXTS)
def test_what_was_sealed_opens(sealer: AesGcmSealer, clear: bytes, context: SealContext) -> None:
    """Any bytes come back in their context, from another sealer with the same keys too."""
    sealed = sealer.seal(clear, context=context)
    assert len(sealed) == len(clear) + OVERHEAD_BYTES
    assert sealer.unseal(sealed, context=context) == clear
    assert sealer.is_current(sealed)


@given(one=_CONTEXTS, other=_CONTEXTS)
def test_two_contexts_never_have_the_same_bytes(one: SealContext, other: SealContext) -> None:
    """What is authenticated differs whenever a field differs, wherever the texts are cut."""
    assert (one.authenticated() == other.authenticated()) == (one == other)


def test_a_moved_border_between_fields_is_another_context() -> None:
    """Two fields whose texts joined are equal, or look like a length, are told apart."""
    base = replace(TEMPLATE, gallery_id="ab", subject_id="1:c", space_id=None)
    others = [
        replace(base, gallery_id="a", subject_id="b1:c"),
        replace(base, gallery_id="ab1:", subject_id="c"),
        replace(base, gallery_id="ab:1", subject_id="c"),
        replace(base, gallery_id="ab1:c", subject_id=""),
        replace(base, gallery_id="ab1:c", subject_id=None),
        replace(base, gallery_id="ab1:c-", subject_id=""),
        replace(base, gallery_id="ab3:", subject_id="1:c"),
        replace(base, space_id=""),
        replace(base, space_id="-"),
    ]
    contexts = [base, *others]
    assert len({each.authenticated() for each in contexts}) == len(contexts)


def test_it_is_aes_gcm_under_a_subkey_of_hkdf(ring: KeyRing, sealer: AesGcmSealer) -> None:
    """A second implementation, from the description of the form alone, opens sealed bytes."""
    sealed = sealer.seal(CLEAR, context=TEMPLATE)
    form, key_id, salt = sealed[:4], sealed[4:12], sealed[12:28]
    assert (form, key_id.hex()) == (b"FGS\x01", ring.current.id)
    subkey = HKDFExpand(SHA256(), 32, form + key_id + salt).derive(ring.current.secret)
    bound = TEMPLATE.authenticated()
    assert AESGCM(subkey).decrypt(sealed[28:40], sealed[40:], bound) == CLEAR


def test_every_flipped_bit_is_noticed(ring: KeyRing) -> None:
    """Each single bit of a sealed template that changes makes it StoreCorrupt, header included."""
    for sealer in (AesGcmSealer(ring), AesGcmSealer(ring)):
        sealed = sealer.seal(CLEAR, context=TEMPLATE)
        for place in range(8 * len(sealed)):
            changed = bytearray(sealed)
            changed[place // 8] ^= 1 << place % 8
            with pytest.raises(StoreCorrupt):
                sealer.unseal(bytes(changed), context=TEMPLATE)
        assert sealer.unseal(sealed, context=TEMPLATE) == CLEAR


def test_cut_and_lengthened_bytes_are_noticed(sealer: AesGcmSealer) -> None:
    """A sealed template that lost or gained bytes at its end is StoreCorrupt, at any length."""
    sealed = sealer.seal(CLEAR, context=TEMPLATE)
    for length in range(len(sealed)):
        with pytest.raises(StoreCorrupt):
            sealer.unseal(sealed[:length], context=TEMPLATE)
    with pytest.raises(StoreCorrupt):
        sealer.unseal(sealed + b"\x00", context=TEMPLATE)


@pytest.mark.parametrize(("context", "other"), OTHER_CONTEXTS)
def test_another_context_does_not_open(
    sealer: AesGcmSealer, context: SealContext, other: SealContext
) -> None:
    """Sealed bytes that were put in another place are StoreCorrupt, whichever field differs."""
    sealed = sealer.seal(CLEAR, context=context)
    with pytest.raises(StoreCorrupt):
        sealer.unseal(sealed, context=other)


def test_the_contexts_tried_differ_in_every_field() -> None:
    """The test of other contexts leaves no field out, a later one neither."""
    for kind in (TEMPLATE, CHUNK):
        changed = {
            each.name
            for one, other in OTHER_CONTEXTS
            if one is kind and type(other) is type(kind)
            for each in fields(kind)
            if getattr(one, each.name) != getattr(other, each.name)
        }
        assert changed == {each.name for each in fields(kind)}


def test_another_key_is_said_to_be_missing(sealer: AesGcmSealer) -> None:
    """What another ring's key sealed raises SealKeyMissing, which names both key ids."""
    stranger = AesGcmSealer(_ring())
    with pytest.raises(
        SealKeyMissing, match=rf"{stranger.current_key_id}.*add that key"
    ) as caught:
        sealer.unseal(stranger.seal(CLEAR, context=TEMPLATE), context=TEMPLATE)
    assert sealer.current_key_id in str(caught.value)


@pytest.mark.parametrize(
    "clear", [CLEAR, unit_vectors(1)[0].astype("<f2").tobytes(), b"\x00" * 99]
)
def test_bytes_that_are_not_sealed_are_refused(sealer: AesGcmSealer, clear: bytes) -> None:
    """A template in the clear is never taken for a sealed one; the error says what to do."""
    with pytest.raises(SealKeyMissing, match=r"template-1 is not sealed.*without a key"):
        sealer.unseal(clear, context=TEMPLATE)


def test_rotation_keeps_old_templates_open(ring: KeyRing) -> None:
    """After a new key came in front, old sealed bytes open and ask to be sealed anew."""
    sealer = AesGcmSealer(ring)
    old = sealer.seal(CLEAR, context=TEMPLATE)
    new_ring = KeyRing((SealKey.random(), *ring.keys))
    sealer.use(new_ring)
    assert sealer.unseal(old, context=TEMPLATE) == CLEAR
    assert not sealer.is_current(old)
    new = sealer.seal(sealer.unseal(old, context=TEMPLATE), context=TEMPLATE)
    assert sealer.is_current(new)
    assert sealer.current_key_id == new_ring.current.id
    sealer.use(KeyRing(new_ring.keys[:1]))
    assert sealer.unseal(new, context=TEMPLATE) == CLEAR
    with pytest.raises(SealKeyMissing):
        sealer.unseal(old, context=TEMPLATE)


def test_a_check_value_knows_its_keys_and_owner(ring: KeyRing, sealer: AesGcmSealer) -> None:
    """A store without templates learns at open whether the key is its own."""
    value = sealer.check_value("store-1")
    AesGcmSealer(ring).verify(value, owner_id="store-1")
    AesGcmSealer(KeyRing((SealKey.random(), *ring.keys))).verify(value, owner_id="store-1")
    assert sealer.is_current(value)
    with pytest.raises(SealKeyMissing):
        AesGcmSealer(_ring()).verify(value, owner_id="store-1")
    with pytest.raises(StoreCorrupt):
        sealer.verify(value, owner_id="store-2")
    with pytest.raises(StoreCorrupt):
        sealer.verify(sealer.seal(b"", context=CHUNK), owner_id="gallery-1")


def test_equal_templates_never_look_equal(sealer: AesGcmSealer) -> None:
    """The same template sealed many times gives as many nonces and ciphertexts."""
    sealed = [sealer.seal(CLEAR, context=TEMPLATE) for _ in range(500)]
    assert len({each[28:40] for each in sealed}) == 500
    assert len({each[40:] for each in sealed}) == 500
    assert all(CLEAR[start : start + 8] not in sealed[0] for start in range(0, len(CLEAR), 8))


def test_a_salt_serves_a_bounded_number_of_seals(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the bound a sealer takes a new salt, from any thread; everything still opens."""
    monkeypatch.setattr(index.encryption, "SEALS_A_SALT", 10)
    monkeypatch.setattr(index.encryption, "_MAX_KNOWN_SALTS", 3)
    sealer = AesGcmSealer(ring)
    with ThreadPoolExecutor(4) as pool:
        sealed = list(pool.map(lambda _: sealer.seal(CLEAR, context=TEMPLATE), range(100)))
    salts = [each[12:28] for each in sealed]
    assert {salts.count(each) for each in salts} == {10}
    assert {sealer.unseal(each, context=TEMPLATE) for each in sealed * 2} == {CLEAR}
    assert len(sealer._subkeys.known) == 3


def test_threads_seal_and_unseal_while_keys_change(ring: KeyRing) -> None:
    """Threads get their own bytes back at any time while another one changes the keys."""
    sealer = AesGcmSealer(ring)
    turned = KeyRing(ring.keys[::-1])

    def work(number: int) -> None:
        context = replace(TEMPLATE, template_id=str(number))
        for round_ in range(200):
            clear = f"{number} {round_}".encode() * 40
            assert sealer.unseal(sealer.seal(clear, context=context), context=context) == clear

    with ThreadPoolExecutor(5) as pool:
        working = [pool.submit(work, number) for number in range(4)]
        for number in range(200):
            sealer.use(turned if number % 2 else ring)
        for each in working:
            each.result()


def test_nothing_secret_is_shown(
    ring: KeyRing, sealer: AesGcmSealer, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither keys, subkeys nor vectors stand in a repr, an error or a log line."""
    caplog.set_level(logging.DEBUG)
    sealed = sealer.seal(CLEAR, context=TEMPLATE)
    shown = [repr(ring), repr(ring.current), repr(sealer)]
    attempts: list[tuple[bytes, SealContext]] = [
        (CLEAR, TEMPLATE),
        (sealed[:-1], TEMPLATE),
        (sealed, CHUNK),
        (AesGcmSealer(_ring()).seal(CLEAR, context=TEMPLATE), TEMPLATE),
    ]
    for wrong, context in attempts:
        with pytest.raises((SealKeyMissing, StoreCorrupt)) as caught:
            sealer.unseal(wrong, context=context)
        shown.append(repr(caught.value))
    text = " ".join([*shown, caplog.text])
    subkey = hmac.digest(ring.current.secret, sealed[:28] + b"\x01", "sha256")
    for secret in (CLEAR, subkey, *(each.secret for each in ring.keys)):
        for form in (
            repr(secret)[2:18],
            secret.hex()[:16],
            base64.b64encode(secret).decode()[:12],
        ):
            assert form not in text
    assert ring.current.id in text


def test_both_sealers_follow_the_interface(sealer: AesGcmSealer) -> None:
    """Whoever holds a Sealer sees in `encrypts` whether files of it may be memory-mapped."""
    both: list[Sealer] = [sealer, ClearSealer()]
    assert [each.encrypts for each in both] == [True, False]
    for each in both:
        sealed = each.seal(CLEAR, context=CHUNK)
        assert each.unseal(sealed, context=CHUNK) == CLEAR
        assert each.is_current(sealed)
