"""The short form of `python -m benchmarks.schemathesis_run`, with the same choices each time."""

import secrets
from pathlib import Path

import pytest

from benchmarks.schemathesis_run import STREAMS, attack
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.listening import listening

NUM_EXAMPLES = 4
TOKEN = secrets.token_urlsafe(32)


@pytest.mark.slow
def test_answers_are_what_the_openapi_says(settings: Settings, tmp_path: Path) -> None:
    """Some hundred requests, right and wrong, find nothing that the document does not say."""
    portrait, token = tmp_path / "portrait.png", tmp_path / "token"
    portrait.write_bytes(make_photo(["ann"]))
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    with listening(
        settings.model_copy(update={"metrics_token_file": token, "http_export": True})
    ) as running:
        verdict = attack(
            running.url,
            running.app.openapi(),
            key=running.key,
            token=TOKEN,
            seed=None,
            num_examples=NUM_EXAMPLES,
            folder=tmp_path,
            portrait=portrait,
        )
    assert verdict.failures == (), verdict.output
    paths = running.app.openapi()["paths"]
    num_operations = sum(len(paths[path]) for path in paths if path not in STREAMS)
    assert verdict.num_operations == (num_operations, num_operations)
    assert verdict.num_cases > 300
    assert len(verdict.accepted) > 12, verdict.accepted
