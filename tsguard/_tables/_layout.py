"""Which column of a table is what: named by the user, or detected by the rules of docs/scan.md."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsguard._tables._reader import MISSING, Options, shorten

LABELS = ("label", "labels", "class", "class_label", "classlabel", "class_name", "target", "y")
IDS = (
    *("id", "series", "series_id", "case", "case_id", "sample", "sample_id"),
    *("sequence", "sequence_id", "instance", "instance_id", "uid", "", "unnamed: 0"),
)
TIMES = (
    *("time", "t", "timestamp", "time_step", "timestep", "step", "timepoint"),
    *("datetime", "date"),
)
# The channel, its separator and the number of a column: "x_3", "x[3]", "3", "t_-3", "t-3".
_NUMBERED = re.compile(r"(.*?)([ _.\[]-?|-)?(\d+)\]?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
#: Dates and times, which end with a number too: 2024-01-31, 31.1.2024, 2024-01, 2024Q1, 12:30.
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}\b.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}\b.*|\d{4}-?[QW]\d{1,2}|\d{1,2}:\d{2}\b.*"
)


@dataclass(frozen=True)
class Layout:
    """The columns of a table.

    Attributes
    ----------
    label, id, time : int or None
        Column numbers from 0; with a time column the table is long, else wide.
    channels : list of list of int
        Columns of the values: in a wide table one list per channel, in the order of time; in a
        long one, one column per channel.
    """

    label: int | None
    id: int | None
    time: int | None
    channels: list[list[int]]

    @property
    def is_long(self) -> bool:
        """Whether a series takes many rows."""
        return self.time is not None


def has_header(sample: Sequence[Sequence[Any]]) -> bool:
    """Say whether the first row of a table names its columns."""
    first = [str(cell).strip() for cell in sample[0]]
    words = [i for i, cell in enumerate(first) if not is_number(cell)]
    if any(cell.lower() in (*LABELS, *IDS, *TIMES) for cell in first if cell):
        return True
    if len(sample) > 1 and len(sample[1]) == len(first):
        if any(is_number(sample[1][i]) and str(first[i]) for i in words):
            return True
        rest = [cell for cell in first if is_number(cell) and cell.isdigit()]
        counted = len(rest) > 1 and len(rest) == len(first) - len(words)
        if words:
            return counted and _is_count([int(cell) for cell in rest])
        # Two rows that count are series that do.
        return _is_numbering(first) and not _is_numbering(sample[1], (str(sample[1][0]),))
    return False


def _is_count(values: list[int]) -> bool:
    return values == list(range(values[0], values[0] + len(values)))


def _is_numbering(cells: Sequence[Any], starts: tuple[str, ...] = ("0", "1")) -> bool:
    """Say whether cells number the columns, as pandas does with arrays.

    The first may be empty: the name of an index.
    """
    texts = [str(cell).strip() for cell in cells]
    rest = texts[1:] if texts[0] == "" else texts
    if len(rest) < 3 or rest[0] not in starts or not all(cell.isdecimal() for cell in rest):
        return False
    return _is_count([int(cell) for cell in rest])


def is_number(cell: Any) -> bool:
    """Say whether a cell is a number or a missing one."""
    if cell is None or str(cell).strip().lower() in MISSING:
        return True
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def find_layout(
    path: Path,
    header: list[str] | None,
    sample: Sequence[Sequence[Any]],
    options: Options,
    *,
    label_first: bool = False,
) -> Layout:
    """Say what the columns of a table are.

    Parameters
    ----------
    path : Path
        For messages.
    header : list of str or None
        Names of the columns.
    sample : sequence of rows
        The first rows, without the header.
    options : Options
        Columns that the user named.
    label_first : bool
        Whether the format has the label in the first column of a table without a header.

    Raises
    ------
    ValueError
        If the columns can't be told apart.
    """
    width = len(header) if header is not None else len(sample[0])
    ignored = {_column(path, header, width, one) for one in options.ignore}
    names = [] if header is None else [one.strip().lower() for one in header]
    given = [
        None if one is None else _column(path, header, width, one)
        for one in (options.label_column, options.id_column, options.time_column)
    ]
    label, id_, time = given
    free = [i for i in range(width) if i not in ignored and i not in given]
    if header is not None:
        time = time if time is not None else _named(names, TIMES, free)
        id_ = id_ if id_ is not None else _named(names, IDS, [i for i in free if i != time])
        if time is not None and id_ is None:
            raise ValueError(
                f"{path} must have a column of series ids beside the time column {header[time]!r}, "
                "got none with a known name; name it with --id-column, or leave the times aside "
                f"with --ignore {header[time]!r} if every row is a series."
            )
        label = label if label is not None else _named_label(names, free)
        free = [i for i in free if i not in (id_, time)]
    nameless = header is None or _is_numbering(header)
    has_label = options.labels is None and len(free) != options.n_values
    if label is None and has_label and nameless and free:
        label = free[0] if label_first else _guess_label(path, sample, free, options)
    values = [i for i in free if i not in (label, id_, time)]
    if not values:
        raise ValueError(
            f"{path} must hold columns of values, got none beside label, id and time; check the "
            "separator and the columns."
        )
    if time is not None:
        return Layout(label, id_, time, [[i] for i in values])
    return Layout(label, id_, None, _channels(path, header, values))


def _named(names: list[str], known: tuple[str, ...], free: list[int]) -> int | None:
    found = [(known.index(names[i]), i) for i in free if names[i] in known]
    return min(found)[1] if found else None


def _named_label(names: list[str], free: list[int]) -> int | None:
    """Return the label's column; "y" beside "x" or "z" is a channel."""
    is_axis = bool({"x", "z"} & set(names))
    return _named(names, LABELS[:-1] if is_axis else LABELS, free)


def _guess_label(
    path: Path, sample: Sequence[Sequence[Any]], free: list[int], options: Options
) -> int | None:
    """Return the label's column of a table without a header: the first or the last one."""
    ends = [free[0], free[-1]]
    text = [i for i in free if not all(is_number(row[i]) for row in sample)]
    if len(text) == 1 and text[0] in ends:
        return text[0]
    if text:
        return None  # the parser will name the cell that is no number
    whole = [i for i in ends if all(_is_whole(row[i]) for row in sample)]
    if len(set(whole)) == 2:
        beside = "" if options.n_values else " (or --labels FILE)"
        raise ValueError(
            f"{path} must tell its label from its values, got whole numbers in the first and in "
            f"the last column; say --label-column 1 or --label-column -1{beside}."
        )
    return whole[0] if whole else None


def _is_whole(cell: Any) -> bool:
    return is_number(cell) and str(cell).strip().lower() not in MISSING and float(cell).is_integer()


def _column(path: Path, header: list[str] | None, width: int, name: str) -> int:
    """Return the number of a column that the user named."""
    if header is not None and name in header:
        return header.index(name)
    try:
        number = int(name)
    except ValueError:
        number = 0
    if 1 <= abs(number) <= width:
        return number - 1 if number > 0 else width + number
    known = "no header" if header is None else f"columns {shorten(', '.join(header[:8]))}"
    raise ValueError(
        f"{path} must have the column {name!r}, got {known} ({width} columns); give a name of the "
        "header or a number from 1."
    )


def _channels(path: Path, header: list[str] | None, values: list[int]) -> list[list[int]]:
    """Return the columns of each channel of a wide table, in the order of time.

    Columns called <channel>_<number> are sorted by the number, one channel per name; those whose
    names are numbers are one channel, sorted too; those called by dates or times are one as well.
    """
    names = Counter(header[i].strip() for i in values) if header is not None else Counter()
    twice = next((name for name, count in names.items() if name and count > 1), None)
    if twice is not None:
        raise ValueError(
            f"{path} must name every column of values once, got {twice!r} twice; rename one, or "
            "leave it aside with --ignore and its number."
        )
    if header is not None:
        called = [header[i].strip() for i in values]
        if all(map(_DATE.fullmatch, called)):
            return [values]
        if all(map(_NUMBER.fullmatch, called)):
            return [sorted(values, key=lambda column: float(header[column]))]
    matches = [] if header is None else [_NUMBERED.fullmatch(header[i].strip()) for i in values]
    numbered = [one for one in matches if one is not None]
    if not numbered or header is None:
        return [values]
    if len(numbered) < len(values):
        odd = header[values[matches.index(None)]]
        if 2 * len(numbered) < len(values):
            return [values]  # names that only happen to end with a number
        raise ValueError(
            f"{path} must have numbered columns of values (such as t_0, t_1), got also {odd!r}; "
            f"leave it aside with --ignore {odd!r}, or name it as --label-column or --id-column."
        )
    # "t-2, t-1, t0, t1": a sign, where others of the channel have no separator there.
    joined = {match[1] for match in numbered if not match[2]}
    channels: dict[str, list[tuple[int, int]]] = {}
    for match, column in zip(numbered, values, strict=True):
        name, separator, number = match[1], match[2] or "", int(match[3])
        negative = (separator == "-" and name in joined) or len(separator) == 2
        channels.setdefault(name, []).append((-number if negative else number, column))
    if len({len(one) for one in channels.values()}) > 1:
        sizes = {name: len(one) for name, one in channels.items()}
        raise ValueError(
            f"{path} must have as many columns for every channel, got {shorten(sizes)}; add the "
            "missing ones (empty cells are fine) or leave columns aside with --ignore."
        )
    return [[column for _, column in sorted(one)] for one in channels.values()]
