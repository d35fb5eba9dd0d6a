"""What the fuzzer can't know by itself: a zip goes over the wire as its bytes."""

import schemathesis

schemathesis.serializer.alias("application/zip", "application/octet-stream")
