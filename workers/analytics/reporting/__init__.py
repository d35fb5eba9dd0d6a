"""What reports are made of, and how they are written.

rows        `tickets` streams them, `figures` makes them of statistics and usage
files       `csv_file`, `json_file`, `xlsx_file`: rows in, bytes out; `formulas` keeps cells from being any
page        `overview`, with `pictures` and the template `overview.html`
"""
