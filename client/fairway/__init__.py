"""The client of Fairway's HTTP API: submit work, wait for it, follow it.

with Fairway.signed_in(url, organization="acme", email=email, password=password) as fairway:
    job = fairway.submit("jobs.rehearse", {"steps": 3})
    print(fairway.wait(job.id).result)
"""

from fairway.analytics_models import Report, TicketStatistics, Usage
from fairway.client import Fairway
from fairway.errors import FairwayError, NotInTime, NotSent, NotWhole, Problem, Unreachable
from fairway.events import Event
from fairway.file_models import AuditLogEntry, Entry, File, Room, RoomMember, SharedFile, Storage
from fairway.models import Job, Kind, Progress, RefusedRow, SignedUp, Ticket, TicketChange
from fairway.source_models import IngestionLog, RefusedRecord, Source, SourceRun

__all__ = [
    "AuditLogEntry",
    "Entry",
    "Event",
    "Fairway",
    "FairwayError",
    "File",
    "IngestionLog",
    "Job",
    "Kind",
    "NotInTime",
    "NotSent",
    "NotWhole",
    "Problem",
    "Progress",
    "RefusedRecord",
    "RefusedRow",
    "Report",
    "Room",
    "RoomMember",
    "SharedFile",
    "SignedUp",
    "Source",
    "SourceRun",
    "Storage",
    "Ticket",
    "TicketChange",
    "TicketStatistics",
    "Unreachable",
    "Usage",
]
