"""Pages that stand alone: text filled into templates, with all that they show inside them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2

from wavegen.audio import files
from wavegen.errors import WavegenError

TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
}


def render(template: str, **values: Any) -> str:
    """The page that a template of this folder makes of the values; they are text, never markup.

    Every page extends page.html.j2, which wants `version` and `made` (when) for its foot.
    """
    room = jinja2.FileSystemLoader(Path(__file__).parent)
    pages = jinja2.Environment(
        loader=room,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["data_uri"] = data_uri
    return pages.get_template(template).render(**values)


def data_uri(content: bytes | str, ending: str) -> str:
    """What an <img> or <audio> takes as its src, with the content inside it."""
    held = content.encode() if isinstance(content, str) else content
    return f"data:{TYPES[ending]};base64,{base64.b64encode(held).decode()}"


def write(path: Path, text: str) -> None:
    """A text as a file: whole, or not there at all. Raises WavegenError where it cannot be."""
    files.make_room(path)
    beside = path.with_name(path.name + ".partial")
    try:
        # A file's name may hold bytes that are no letters; a page has a "?" for each.
        beside.write_text(text, encoding="utf-8", errors="replace")
        beside.replace(path)
    except OSError as error:
        raise WavegenError(
            f"cannot write {path}: {error.strerror or error}", "a place that can be written to"
        ) from None
    finally:
        beside.unlink(missing_ok=True)
