"""Counts of the longest words and ids that there can be still fit into a document, and are folded."""

from common.ids import OrgId, new_id
from common.services import Services
from common.tickets.counting.cells import CELLS_A_DAY
from common.tickets.counting.collections import DELTAS, ROLLUPS
from common.tickets.counting.folding import fold_all

DAY, DELTAS_A_CELL = 20_000, 8


def test_a_day_of_the_longest_words_and_ids_is_folded(services: Services, org_id: OrgId) -> None:
    scope = services.scope(org_id)
    for cell in range(CELLS_A_DAY):
        for number in range(DELTAS_A_CELL):
            mark = f"{cell}-{number}"
            customers = {chr(0x1F600 + number) * 240 + f"{mark}-{at:06d}": 1 for at in range(460)}
            words = {"\u5b57" * 30 + f"{mark}-{at:06d}": 1 for at in range(2_400)}
            part = {"source_id": "manual", "day": DAY, "cell": cell, "quarters": {"1": 460}}
            part |= {"counts": {"total": 460}, "keywords": words, "customers": customers}
            scope[DELTAS].insert_one({"_id": new_id(), "weight": 460, "parts": [part]})

    fold_all(scope)

    assert scope[DELTAS].count_documents({}) == 0
    kept = scope[ROLLUPS].find_one({"source_id": None, "span": 64})
    assert kept is not None
    assert kept["cells"]["0"]["counts"]["total"] == CELLS_A_DAY * DELTAS_A_CELL * 460
