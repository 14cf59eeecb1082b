"""Files that options name: read as text, or refused in words that a person understands."""

from __future__ import annotations

from pathlib import Path

from tieline.client.rest import ClientError


def text(path: Path, option: str) -> str:
    """The file's text; raises ClientError where it cannot be read, or is no text."""
    try:
        return path.read_text()
    except OSError as error:
        raise ClientError("NO_FILE", f"cannot read {path}: {error.strerror}", f"check {option}") from error
    except UnicodeDecodeError as error:
        raise ClientError("NO_TEXT", f"{path} is no text (UTF-8)", f"is this the file for {option}?") from error
