"""Single-line mutants of a Python source: each changes one expression or drops one statement, and still compiles.

Changed are arithmetic, bit and comparison operators, `and` and `or`, signs, conditions, integers (by one), floats
(doubled), True and False, the bounds of slices, the order of a call's first two arguments, min and max; dropped are
a clip, a call made for its effect, a change in place and a raise. Left out are texts, annotations, what an error says,
and the sizes of tiles: these say how much is worked on at a time, and no result depends on them.
"""
import ast
from typing import NamedTuple

OPERATORS = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.Div: ("/", "*"),
             ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "//"), ast.Pow: ("**", "*"), ast.LShift: ("<<", ">>"),
             ast.RShift: (">>", "<<"), ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"),
             ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
             ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
             ast.And: ("and", "or"), ast.Or: ("or", "and")}
OPPOSITES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "argmax": "argmin",
             "zeros": "ones", "ones": "zeros", "cos": "sin", "sin": "cos"}
TILE_SIZES = {"COLUMN_BLOCK", "WIDENED_BYTES", "TILE_BYTES", "POINT_TILE_BYTES", "GRADIENT_BYTES",
              "LARGE_GRADIENT_BYTES", "GRADIENT_COLUMNS", "CHUNK", "PIECE"}


class Mutant(NamedTuple):
    """A changed line of a file: `before` and `after` are that line, stripped."""
    file: str
    line: int
    function: str   # the innermost it stands in, or ""
    kind: str
    before: str
    after: str
    source: str     # the whole file, mutated

    @property
    def key(self):
        """What stays the same when other lines change."""
        return f"{self.file} | {self.function} | {self.before} | {self.after}"


class Finder(ast.NodeVisitor):
    """Collects the edits of a syntax tree: (function, kind, line, first column, last column, new text)."""

    def __init__(self, source):
        self.lines, self.edits, self.function = source.encode().split(b"\n"), [], ""

    def text(self, start, stop):
        """The source between two (line, column), or None if they stand on two lines."""
        return self.lines[start[0] - 1][start[1]:stop[1]].decode() if start[0] == stop[0] else None

    def edit(self, kind, start, stop, new):
        if start[0] == stop[0]:
            self.edits.append((self.function, kind, start[0], start[1], stop[1], new))

    def replace(self, kind, node, new):
        self.edit(kind, first(node), last(node), new)

    def swap(self, kind, one, other):
        """Two expressions of one line change places."""
        if first(one)[0] == last(other)[0]:
            between = self.text(last(one), first(other))
            self.edit(kind, first(one), last(other), self.of(other) + between + self.of(one))

    def of(self, node):
        return self.text(first(node), last(node)) or ""

    def operator(self, left, op, right):
        """The operator that stands between two operands."""
        old, new = OPERATORS.get(type(op), (None, None))
        between = self.text(last(left), first(right))
        if old and between and old in between:
            column = last(left)[1] + between.index(old)
            self.edit("operator", (last(left)[0], column), (last(left)[0], column + len(old)), new)

    def visit_FunctionDef(self, node):
        outer, self.function = self.function, node.name
        for part in node.args.defaults + node.decorator_list + node.body:
            self.visit(part)
        self.function = outer

    def visit_AnnAssign(self, node):
        if node.value:
            self.visit(node.value)

    def visit_JoinedStr(self, node):
        """A text says something to people."""

    def visit_Raise(self, node):
        self.replace("raise dropped", node, "pass")

    def visit_BinOp(self, node):
        self.operator(node.left, node.op, node.right)
        self.generic_visit(node)

    def visit_Compare(self, node):
        for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators):
            self.operator(left, op, right)
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        self.operator(node.values[0], node.op, node.values[1])
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, (ast.USub, ast.Not)):
            self.replace("sign dropped", node, self.of(node.operand))
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, bool):
            self.replace("constant", node, str(not node.value))
        elif isinstance(node.value, int):
            self.replace("constant + 1", node, str(node.value + 1))
            self.replace("constant - 1", node, str(node.value - 1))
        elif isinstance(node.value, float):
            self.replace("constant doubled", node, repr(2 * node.value) if node.value else "1.0")

    def visit_If(self, node):
        self.replace("condition negated", node.test, f"not ({self.of(node.test)})")
        self.generic_visit(node)

    def visit_IfExp(self, node):
        self.swap("branches swapped", node.body, node.orelse)
        self.generic_visit(node)

    def visit_Slice(self, node):
        for bound in (node.lower, node.upper):
            if bound:
                self.replace("bound of a slice dropped", bound, "")
        self.generic_visit(node)

    def visit_Call(self, node):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in ("min", "max") and TILE_SIZES & {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}:
            return
        if name in OPPOSITES:
            end = last(node.func)
            self.edit("opposite", (end[0], end[1] - len(name)), end, OPPOSITES[name])
        if name == "clip" and len(node.args) == 3:
            self.replace("clip dropped", node, self.of(node.args[0]))
        if len(node.args) >= 2 and name not in OPPOSITES:
            self.swap("arguments swapped", *node.args[:2])
        self.generic_visit(node)

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Call):
            self.replace("call dropped", node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node):
        self.replace("change in place dropped", node, "pass")
        old, new = OPERATORS[type(node.op)]
        between = self.text(last(node.target), first(node.value))
        if between:
            self.edit("operator", last(node.target), first(node.value), between.replace(old + "=", new + "="))
        self.generic_visit(node)

    def visit_Assign(self, node):
        target = node.targets[0]
        if getattr(target, "id", "") in TILE_SIZES:
            return
        if isinstance(target, (ast.Subscript, ast.Attribute)):
            self.replace("assignment dropped", node, "pass")
        self.generic_visit(node)


def first(node):
    """Where a node begins: (line from 1, column in bytes)."""
    return node.lineno, node.col_offset


def last(node):
    """Where a node ends."""
    return node.end_lineno, node.end_col_offset


def mutants_of(file, source):
    """All mutants of a source, each once; a few are none (`is_one`).  file: its name, for the records."""
    finder, found = Finder(source), {}
    finder.visit(ast.parse(source))
    for function, kind, number, start, stop, new in finder.edits:
        line = finder.lines[number - 1]
        changed = line[:start] + new.encode() + line[stop:]
        lines = [*finder.lines[:number - 1], changed, *finder.lines[number:]]
        mutated = b"\n".join(lines).decode()
        mutant = Mutant(file, number, function, kind, code_of(line), code_of(changed), mutated)
        found.setdefault(mutant.key, mutant)
    return list(found.values())


def is_one(mutant, source):
    """Whether it compiles, and to something else than its source does."""
    try:
        return ast.dump(compile(mutant.source, mutant.file, "exec", ast.PyCF_ONLY_AST)) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def code_of(line):
    """A line without its indentation and its comment."""
    return line.decode().split("  #")[0].strip()
