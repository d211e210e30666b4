"""What Prometheus reads, for whoever holds the token of the settings; a key does not open it."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from embedding.errors import KeyInvalid, KeyMissing
from service.access import PartsOf
from service.metrics_token import read_token
from service.openapi import Responses, problems

router = APIRouter()

token_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="metrics token",
    description="The line in the file that `FACEGALLERY_METRICS_TOKEN_FILE` names.",
)

RESPONSES: Responses = {
    200: {"description": "Metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    **{status: said for status, said in problems(404).items() if status in {401, 404, 500, 503}},
}


@router.get("/metrics", tags=["operation"], response_class=Response, responses=RESPONSES)
def metrics(
    request: Request,
    parts: PartsOf,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(token_bearer)],
) -> Response:
    """Tell counts, times and sizes in the form that Prometheus reads."""
    path = parts.settings.metrics_token_file
    if path is None:
        raise HTTPException(404, "metrics are off: the settings name no file with a token")
    if given is None:
        raise KeyMissing("a token is needed: send the header 'Authorization: Bearer ...'")
    # Bytes, since a header may hold characters that the comparison of text refuses.
    sent, kept = given.credentials.encode("utf-8", "surrogatepass"), read_token(path).encode()
    if not hmac.compare_digest(sent, kept):
        raise KeyInvalid("this is not the token of /metrics")
    text, media_type = parts.metrics.text(request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": media_type})
