"""The whole service in a process that tells of every attempt to reach another machine."""

import json
import socket
import sys
from pathlib import Path
from typing import Any, Final

WATCHED: Final = frozenset(
    {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
)


def main(data_folder: str, photo_file: str) -> None:
    """Enrolls, identifies and verifies a photo; prints what was answered and what was tried."""
    tried: list[str] = []

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event in WATCHED and getattr(args[0], "family", None) != socket.AF_UNIX:
            tried.append(event)

    sys.addaudithook(watch)
    # Imported here, so that what imports do is seen, too.
    from starlette.testclient import TestClient

    from service.app import create_app
    from service.assembly import open_parts
    from service.settings import Settings

    settings = Settings(data_folder=Path(data_folder))
    photo = Path(photo_file).read_bytes()
    with open_parts(settings) as parts:
        key = parts.keys.create_first()
        headers = {"Authorization": f"Bearer {key[1] if key else None}"}
        with TestClient(create_app(settings, parts=parts), headers=headers) as http:
            enrolled = http.post("/v1/enroll", data={"subject": "a"}, files={"photos": photo})
            found = http.post("/v1/identify", files={"photo": photo})
            compared = http.post("/v1/verify", files=[("photos", photo), ("photos", photo)])
            pages = [http.get(path).status_code for path in ("/", "/docs", "/openapi.json")]
    answers = {
        "enroll": enrolled.status_code,
        "identify": [face["decision"] for face in found.json()["faces"]],
        "verify": compared.json()["decision"],
        "pages": pages,
    }
    sys.stdout.write(json.dumps({"tried": tried, **answers}))


if __name__ == "__main__":
    main(*sys.argv[1:])
