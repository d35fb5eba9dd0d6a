"""Ids as the command line takes them; what is none is refused with a word on where ids are to be had."""

import re

import click

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


class IdOf(click.ParamType[str]):
    """The id of something; *where* is the command that lists them."""

    name = "id"

    def __init__(self, where: str) -> None:
        self._where = where

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return *value* if it is an id."""
        if not ID.match(value):
            self.fail(f"{value!r} is no id. `{self._where}` lists them.", param, ctx)
        return value


FILE_ID = IdOf("fairway files ROOM")
JOB_ID = IdOf("fairway jobs")
REPORT_ID = IdOf("fairway reports")
TICKET_ID = IdOf("fairway tickets")
