"""The media types that we tell apart, by the names that are registered or, where none is, that libmagic uses."""

EMPTY = "application/x-empty"
PLAIN = "text/plain"
HTML = "text/html"
CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON = "application/json"
JSON_LINES = "application/x-ndjson"
XML = "application/xml"
SVG = "image/svg+xml"
RSS = "application/rss+xml"
ATOM = "application/atom+xml"
XHTML = "application/xhtml+xml"
PDF = "application/pdf"
ZIP = "application/zip"
JAR = "application/java-archive"
APK = "application/vnd.android.package-archive"
EPUB = "application/epub+zip"
OLE = "application/x-ole-storage"
ENCRYPTED_OFFICE = "application/encrypted"
DOC = "application/msword"
XLS = "application/vnd.ms-excel"
PPT = "application/vnd.ms-powerpoint"
MSG = "application/vnd.ms-outlook"

_OPEN_XML = "application/vnd.openxmlformats-officedocument"
DOCX = f"{_OPEN_XML}.wordprocessingml.document"
XLSX = f"{_OPEN_XML}.spreadsheetml.sheet"
PPTX = f"{_OPEN_XML}.presentationml.presentation"
DOCM = "application/vnd.ms-word.document.macroenabled.12"
XLSM = "application/vnd.ms-excel.sheet.macroenabled.12"
XLSB = "application/vnd.ms-excel.sheet.binary.macroenabled.12"
PPTM = "application/vnd.ms-powerpoint.presentation.macroenabled.12"
PPSX = f"{_OPEN_XML}.presentationml.slideshow"

_OPEN_DOCUMENT = "application/vnd.oasis.opendocument"
ODT = f"{_OPEN_DOCUMENT}.text"
ODS = f"{_OPEN_DOCUMENT}.spreadsheet"
ODP = f"{_OPEN_DOCUMENT}.presentation"

SPREADSHEETS = (XLSX, XLSM, XLSB, ODS, XLS)
DOCUMENTS = (DOCX, DOCM, ODT)
PRESENTATIONS = (PPTX, PPTM, PPSX)
ZIPS = (ZIP, JAR, APK)
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/tiff", "image/bmp")

_TEXT_TOO = frozenset({XML, SVG, RSS, ATOM, XHTML, JSON, JSON_LINES, "application/javascript", "message/rfc822"})
_NOT_PLAIN = frozenset({"text/rtf"})


def is_text(media_type: str) -> bool:
    """Tell whether a content of *media_type* is text that a person may read, in some encoding."""
    return media_type in _TEXT_TOO or (media_type.startswith("text/") and media_type not in _NOT_PLAIN)
