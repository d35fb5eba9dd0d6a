"""What a content is, found out by a process that has nothing to lose.

examiner ── hands over descriptors, keeps the time ──▶ child ── sniff ──▶ readers, one for each sort of content
   ▲                                                     │
   └──────── answers: bounded and checked ◀──────────────┘
"""
