"""The classification of tickets against people's own judgement, VADER's beside it, and what each costs.

People gave each text a valence from -4 to 4, averaged; here at most -0.5 is negative, at least 0.5 positive, and
what lies between neutral. VADER is cut where its authors cut it, at -0.05 and 0.05. No word of these texts was
looked at for the rules. Where they are not, only the speed is measured.
"""

import csv
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.rig import ROOT, pairs, report
from common.tickets.classifying.classifier import VERSION, classify

DATA = ROOT.parent / "shared" / "data"
CLASSES = ("negative", "neutral", "positive")
HUMAN_CUT = 0.5
VADER_CUT = 0.05
OWN_MESSAGES = (
    "How long does it take until a transfer to France arrives?",
    "The app crashes every time that I open the list of orders.",
    "Thank you so much, Anna has been brilliant, and so quick!",
    "My card has not arrived yet and I need it for a trip, please!",
    "I can't log in since this morning, and payday is today!!",
    "We would like to change the address on our next invoice.",
)

# Intents of the bank's messages that tell of a loss, a theft or somebody else's payment. Nobody judged the urgency
# of these messages; that they should be high is our reading.
PRESSING_INTENTS = frozenset(
    {"lost_or_stolen_card", "lost_or_stolen_phone", "compromised_card", "card_swallowed"}
    | {f"{what}_not_recognised" for what in ("card_payment", "cash_withdrawal", "direct_debit_payment")}
)

Judge = Callable[[str], str]


def main() -> None:
    """Measure and print."""
    print(f"classification by {VERSION}: its sentiment and VADER's, people's valence cut at ±{HUMAN_CUT}")
    vader = judge_by_vader()
    judged = sorted((DATA / "sentiment").glob("*_GroundTruth.txt"))
    for path in judged:
        show(path, vader)
    if not judged:
        print("classification: the texts that people judged are not here, so nothing is said of accuracy")
    rows = list(customer_messages())
    messages = [text for text, _ in rows]
    if messages:
        show_distribution(messages)
        show_pressing(rows)
    else:
        print("classification: the customers' messages are not here; the speed is that on six of our own")
        messages = list(OWN_MESSAGES) * 1_000
    found = pairs(lambda: rate(judge_by_rules, messages), lambda: rate(vader, messages))
    report("classifying messages, plain is VADER", found, "/s", ">= 1")
    own = list(OWN_MESSAGES) * 1_000
    print(
        f"classification: {1e6 / max(rate(judge_by_rules, own) for _ in range(5)):.1f} us for about 60 characters"
    )


def judge_by_rules(text: str) -> str:
    return classify(None, text).sentiment


def judge_by_vader() -> Judge:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    score = SentimentIntensityAnalyzer().polarity_scores
    return lambda text: cut(score(text)["compound"], VADER_CUT)


def cut(value: float, at: float) -> str:
    if value <= -at:
        return "negative"
    return "positive" if value >= at else "neutral"


def show(path: Path, vader: Judge) -> None:
    """Print how often each side agrees with the people, and where it does not."""
    texts, human = [], []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            _, valence, text = line.rstrip("\n").split("\t", 2)
            texts.append(text)
            human.append(cut(float(valence), HUMAN_CUT))
    shares = ", ".join(f"{name} {human.count(name) / len(human):.0%}" for name in CLASSES)
    print(f"  {path.name}: {len(texts):,} texts, to people {shares}")
    for name, judge in ((VERSION, judge_by_rules), ("VADER", vader)):
        said = [judge(text) for text in texts]
        counts = Counter(zip(human, said, strict=True))
        confusion = "  ".join(
            f"{one[:3]}: " + "/".join(f"{counts[one, other]}" for other in CLASSES) for one in CLASSES
        )
        print(
            f"    {name:8} accuracy {accuracy(counts):.3f}  macro-F1 {macro_f1(counts):.3f}"
            f"  said neg/neu/pos of {confusion}"
        )


def accuracy(counts: Counter[tuple[str, str]]) -> float:
    return sum(counts[name, name] for name in CLASSES) / counts.total()


def macro_f1(counts: Counter[tuple[str, str]]) -> float:
    """Return the mean of the three classes' harmonic means of precision and recall."""
    return sum(f1(counts, name) for name in CLASSES) / len(CLASSES)


def f1(counts: Counter[tuple[str, str]], name: str) -> float:
    right = counts[name, name]
    there = sum(counts[name, other] for other in CLASSES)
    said = sum(counts[other, name] for other in CLASSES)
    return 2 * right / (there + said) if there + said else 0.0


def customer_messages() -> Iterator[tuple[str, str]]:
    """Read the messages of a bank's customers and their intents; nobody has judged them."""
    for path in sorted((DATA / "customer-messages").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield row["text"], row["category"]


def show_pressing(rows: Sequence[tuple[str, str]]) -> None:
    """Print how urgent the messages are said to be whose intent is pressing, beside all the others."""
    for what, is_pressing in (("pressing", True), ("any other", False)):
        found = Counter(
            classify(None, text).urgency for text, name in rows if (name in PRESSING_INTENTS) == is_pressing
        )
        shares = ", ".join(f"{value} {number / found.total():.1%}" for value, number in sorted(found.items()))
        print(f"  {found.total():,} of {what} intent, urgency: {shares}")


def show_distribution(messages: Sequence[str]) -> None:
    """Print what the rules say of messages that nobody has judged."""
    found = [classify(None, message) for message in messages]
    count = len(found)
    for name, values in (
        ("urgency", Counter(one.urgency for one in found)),
        ("sentiment", Counter(one.sentiment for one in found)),
        ("requires action", Counter(one.requires_action for one in found)),
    ):
        shares = ", ".join(f"{value} {number / count:.1%}" for value, number in sorted(values.items()))
        print(f"  {count:,} customers' messages, {name}: {shares}")


def rate(judge: Judge, messages: Sequence[str]) -> float:
    """Return the messages a second of the processor's time, which what else runs here counts little in."""
    started = time.process_time()
    for message in messages:
        judge(message)
    return len(messages) / (time.process_time() - started)


if __name__ == "__main__":
    main()
