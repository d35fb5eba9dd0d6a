"""PDF: how many pages it has."""

from collections.abc import Mapping
from typing import Any

from pypdf import PdfReader
from pypdf.errors import LimitReachedError, PyPdfError

from workers.files.examining.content import Content, Unreadable


def read(content: Content) -> Mapping[str, Any]:
    """Return `pages` and `is_encrypted`; an empty password is tried. Raises `Unreadable` if another is needed."""
    with content.whole() as file:
        try:
            document = PdfReader(file, strict=False)
            if document.is_encrypted and not document.decrypt(""):
                raise Unreadable("The document is protected by a password.", is_encrypted=True)
            pages = document.get_num_pages()
        except LimitReachedError as error:
            raise Unreadable("There is too much in the document to be counted.") from error
        except (PyPdfError, ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
            raise Unreadable("The document is damaged.") from error
    return {"pages": pages, "is_encrypted": document.is_encrypted}
