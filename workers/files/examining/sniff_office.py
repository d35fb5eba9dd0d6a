"""What kind of container a zip or an OLE file is, by the parts in it."""

import re
import zipfile
from collections.abc import Mapping

from workers.files.examining import media_types
from workers.files.examining.content import Content, Unreadable
from workers.files.examining.zip_index import open_zip, read_member

OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OPEN_XML_LIST = "[Content_Types].xml"
_LIST_MAX_BYTES = 256 * 1024
_MIMETYPE_MAX_BYTES = 100
_OLE_LOOKED_AT_BYTES = 1024 * 1024
# The type of a package's main part (ISO/IEC 29500), and of those with macros, which Microsoft named.
_MAIN_PARTS: Mapping[bytes, str] = {
    b"openxmlformats-officedocument.wordprocessingml.document.main+xml": media_types.DOCX,
    b"openxmlformats-officedocument.spreadsheetml.sheet.main+xml": media_types.XLSX,
    b"openxmlformats-officedocument.presentationml.presentation.main+xml": media_types.PPTX,
    b"openxmlformats-officedocument.presentationml.slideshow.main+xml": media_types.PPSX,
    b"ms-word.document.macroenabled.main+xml": media_types.DOCM,
    b"ms-excel.sheet.macroenabled.main+xml": media_types.XLSM,
    b"ms-excel.sheet.binary.macroenabled.main": media_types.XLSB,
    b"ms-powerpoint.presentation.macroenabled.main+xml": media_types.PPTM,
}
_STREAMS: Mapping[str, str] = {
    "EncryptedPackage": media_types.ENCRYPTED_OFFICE,
    "WordDocument": media_types.DOC,
    "PowerPoint Document": media_types.PPT,
    "Workbook": media_types.XLS,
    "__properties_version1.0": media_types.MSG,
    "Book": media_types.XLS,
}
_DECLARED = re.compile(r"application/(vnd\.oasis\.opendocument\.[a-z-]{1,40}|epub\+zip)")


def sniff_zip(content: Content) -> str | None:
    """Return what the zip is a container for; None if it is just a zip, or can't be looked into."""
    try:
        with open_zip(content) as archive:
            return _declared(archive) or _open_xml(archive) or _java(archive)
    except Unreadable:
        return None


def sniff_ole(content: Content) -> str:
    """Return what the OLE container holds, by the names of its streams near its start and its end.

    Its directory may lie anywhere, but is written first or last.
    """
    looked_at = content.read(_OLE_LOOKED_AT_BYTES)
    if content.held_bytes > _OLE_LOOKED_AT_BYTES:
        looked_at += content.read(_OLE_LOOKED_AT_BYTES, content.held_bytes - _OLE_LOOKED_AT_BYTES)
    for stream, media_type in _STREAMS.items():
        if stream.encode("utf-16-le") + b"\0\0" in looked_at:
            return media_type
    return media_types.OLE


def _declared(archive: zipfile.ZipFile) -> str | None:
    said = read_member(archive, "mimetype", _MIMETYPE_MAX_BYTES).decode("ascii", "replace").strip()
    return said if _DECLARED.fullmatch(said) else None


def _open_xml(archive: zipfile.ZipFile) -> str | None:
    said = read_member(archive, _OPEN_XML_LIST, _LIST_MAX_BYTES).lower()
    return next((media_type for part, media_type in _MAIN_PARTS.items() if part in said), None)


def _java(archive: zipfile.ZipFile) -> str | None:
    names = archive.NameToInfo
    if "META-INF/MANIFEST.MF" not in names:
        return media_types.APK if "AndroidManifest.xml" in names else None
    return media_types.APK if "AndroidManifest.xml" in names else media_types.JAR
