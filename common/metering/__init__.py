"""Metering: what each organization uses, added up in memory, handed on through Redis and kept in MongoDB.

    a process ──each second──▶ Redis, hashes of sums ──each 10 s──▶ MongoDB, one document an organization and day

`meter` counts and hands on, `mover` moves, `kept` declares and reads what is kept. None of them knows a family.
"""
