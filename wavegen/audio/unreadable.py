"""What to say of a file that libsndfile cannot read."""

from __future__ import annotations

from pathlib import Path

_BEGINNINGS = {  # of files that only look like sound by their names
    b"version https://git-lfs": "it is a Git LFS pointer; `git lfs pull` fetches the sound itself",
    b"<!doctype": "it is a web page, as a failed download leaves",
    b"<html": "it is a web page, as a failed download leaves",
}
_WORDS = {  # of libsndfile, and what they mean to a user
    # What it says of an MP3 without sound; the file is there.
    "does not exist": "there is no sound in it",
    "psf_fseek() failed": "nothing can be read after its header",
    "SF_INFO struct incomplete": "its header says what cannot be, such as a sample rate of 0",
    "unimplemented format": "its header names a format that is not known, or is wrong",
}


def reason(path: Path, said: str) -> str:
    """Why it cannot be read: by its first bytes, else what libsndfile said, in clearer words."""
    beginning = _beginning(path)
    for start, words in _BEGINNINGS.items():
        if beginning.lower().startswith(start):
            return words
    if beginning[4:8] == b"ftyp":
        return "it is an MP4 or M4A file, which libsndfile does not read; convert it to FLAC or WAV"
    for part, words in _WORDS.items():
        if part in said:
            return words
    return said.removeprefix("Error :").strip().rstrip(".")


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip()
    except OSError:
        return b""
