"""Figures of the tree: how long functions and files are, the longest of them, and import cycles."""

import ast
import graphlib
import statistics
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PARTS = ("common", "web", "workers", "deploy", "bench", "tests")
LONG_FILE = 200
LONG_FUNCTION = 40


def main() -> None:
    """Print the figures."""
    print(f"{'part':9} {'files':>5} {'lines a file':>18} {'functions':>9} {'lines a function':>18}")
    for part in PARTS:
        files = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / part).rglob("*.py"))}
        lengths = [text.count("\n") for text in files.values() if text.count("\n") > 1]
        functions = [size for text in files.values() for _, size in functions_of(text)]
        if lengths and functions:
            print(
                f"{part:9} {len(lengths):5} {statistics.median(lengths):8.0f} max {max(lengths):5}"
                f" {len(functions):9} {statistics.median(functions):8.0f} max {max(functions):5}"
            )
        for path, text in files.items():
            for what in outliers(text):
                print(f"          {path.relative_to(ROOT)}: {what}")
    print("import cycle:", cycle() or "none")


def cycle() -> str:
    """Name the modules of one import cycle, if there is any."""
    graph = grimp.build_graph("common", "web", "workers", cache_dir=None, exclude_type_checking_imports=True)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as found:
        return " -> ".join(found.args[1][::-1])
    return ""


def functions_of(text: str) -> list[tuple[str, int]]:
    """List the functions in *text* with their length in lines."""
    return [
        (node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def outliers(text: str) -> list[str]:
    """Name what is longer than a reader likes."""
    lines = text.count("\n")
    found = [f"{lines} lines"] if lines > LONG_FILE else []
    return found + [f"{name}() {size} lines" for name, size in functions_of(text) if size > LONG_FUNCTION]


if __name__ == "__main__":
    main()
