"""The text file under a table: how its rows are divided, which column holds the labels, and blocks of its rows."""

import csv
import re
from decimal import Decimal

import numpy as np

from datasets import text
from zo_numpy.files import short
from zo_numpy.samples import DataError

LABELS = ("label", "labels", "class", "target", "y")   # what the column of labels may be called
BLOCK = 1 << 22             # characters of rows read at a time
LONGEST = 1 << 24           # characters of a row
LONGEST_LABEL = 200         # characters of a label, the name of a class
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)


class RowFile:
    """A text file of rows. `columns`: how many it has; `label`: which of them holds the labels, from 0."""

    def __init__(self, path, label):
        """label: the option --label.  Raises DataError."""
        self.path, self.where = path, short(path)
        csv.field_size_limit(LONGEST)   # more than `numbered` lets through
        try:
            with open(path, "rb") as file:
                start = file.read(4)
        except OSError as error:
            raise DataError(f"{self.where} cannot be read ({error.strerror}): name another file") from None
        self.encoding = text.encoding(start)
        first = next((row for _, row in self.numbered()), None)
        if first is None:
            raise DataError(f"{self.where} holds no rows: name another file")
        self.delimiter = max(",;\t", key=first.count)
        fields = self.fields(first)
        self.columns = len(fields)
        numeric = [is_number(field) for field in fields]
        names = [field.casefold() for field in fields]
        numbers = [name for name, number in zip(names, numeric) if number]
        counted = [[str(i + start) for i in range(len(numbers))] for start in (0, 1)]   # columns called by their number
        self.has_names = sum(numeric) < len(fields) / 2 or bool(set(LABELS) & set(names)) and numbers in counted
        self.label = self.label_column(names, numeric, label)

    def label_column(self, names, numeric, label):
        """The column of the labels, from 0: the one asked for, else by its name, by being words, or the first."""
        if self.has_names and label.casefold() in names:
            return names.index(label.casefold())
        if label.isdecimal() and 1 <= int(label) <= self.columns:
            return int(label) - 1
        if label:
            have = f"its columns are {', '.join(names[:10])}.." if self.has_names else "its columns have no names"
            raise DataError(f"{self.where} has no column {label}: {have}; give the number of one, 1 to {self.columns}")
        named = [names.index(name) for name in LABELS if name in names]
        words = [] if self.has_names else [i for i, number in enumerate(numeric) if not number]
        return [*named, *words, 0][0]

    def numbered(self):
        """Yields (line number from 1, row) of the rows that are not blank.  Raises DataError."""
        try:
            with open(self.path, encoding=self.encoding, newline=None) as file:
                number = 0
                while row := file.readline(LONGEST):
                    number += 1
                    if len(row) == LONGEST or "\0" in row:
                        raise DataError(f"{self.where} line {number} is too long, or no text: name a file of rows")
                    if row.strip():
                        yield number, row.strip("\r\n ")
        except UnicodeDecodeError:
            raise DataError(f"{self.where} is not text in UTF-8: save it as UTF-8") from None
        except OSError as error:
            raise DataError(f"{self.where} cannot be read ({error.strerror}): name another file") from None

    def fields(self, row):
        """The texts between the delimiters of a row."""
        return [field.strip() for field in next(csv.reader([row], delimiter=self.delimiter))]

    def blocks(self):
        """Yields (line numbers, labels, pixels (n, columns - 1) float32) of some rows at a time.

        A row that is not numbers, or has another number of columns, has NaN as pixels.
        """
        rows, numbers, size = [], [], 0
        for count, (number, row) in enumerate(self.numbered()):
            if count or not self.has_names:
                rows.append(row)
                numbers.append(number)
                size += len(row)
            if size > BLOCK:
                yield self.read(rows, numbers)
                rows, numbers, size = [], [], 0
        if rows:
            yield self.read(rows, numbers)

    def read(self, rows, numbers):
        """A block of `blocks`."""
        labels = []
        for i, row in enumerate(rows):
            if '"' in row or row.count(self.delimiter) != self.columns - 1:
                fields = self.fields(row)
                rows[i] = self.delimiter.join("0" if j == self.label else field for j, field in enumerate(fields))
                if len(fields) != self.columns:
                    rows[i] = self.delimiter.join(["nan"] * self.columns)
                labels.append(fields[self.label] if self.label < len(fields) else "")
            else:
                labels.append(row.split(self.delimiter, self.label + 1)[self.label].strip())
        try:
            pixels = self.numbers(rows)
        except ValueError:   # one of them is no number: which?
            pixels = np.stack([self.numbers_or_nan(row) for row in rows])
        return numbers, [plain(label) for label in labels], pixels

    def numbers(self, rows):
        """(n, columns - 1) float32.  Raises ValueError."""
        columns = [i for i in range(self.columns) if i != self.label]
        return np.loadtxt(rows, np.float32, comments=None, delimiter=self.delimiter, usecols=columns, ndmin=2)

    def numbers_or_nan(self, row):
        try:
            return self.numbers([row])[0]
        except ValueError:
            return np.full(self.columns - 1, np.nan, np.float32)


def is_number(field):
    try:
        float(field)
    except ValueError:
        return False
    return True


def plain(label):
    """A label in one spelling: 5.0 is 5. Exact, however large the number is."""
    if len(label) > LONGEST_LABEL or not NUMBER.fullmatch(label):
        return label
    number = Decimal(label)
    return str(int(number)) if number == number.to_integral_value() else label
