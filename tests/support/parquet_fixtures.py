#!/usr/bin/env python3
"""Writes the Parquet files that tests read, with pyarrow (any version; these are of 26.0):

    python3 tests/support/parquet_fixtures.py tests/fuzz/corpus/dataset_fuzz

They are in the repository, so that tests need no pyarrow. Each codec has a file of the same rows, in
two row groups, and `nested.parquet` has a column of every type that data sets use."""
import datetime
import decimal
import sys

import pyarrow
import pyarrow.parquet

ROWS = [{"prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"{i} + {i}?"}],
         "reward_model": {"ground_truth": str(2 * i), "style": "rule"},
         "extra_info": {"index": i, "tags": ["sum", f"level {i % 2}"]}} for i in range(1, 6)]

NESTED = [{"question": "How many?", "answer": 5, "big": 9007199254740993, "small": -1, "share": 0.1,
           "half": 0.5, "yes": True, "none": None, "when": datetime.datetime(2026, 1, 2, 3, 4, 5, 6000),
           "day": datetime.date(2026, 1, 2), "price": decimal.Decimal("1.50"), "bytes": b"\xff\x00",
           "text_bytes": b"abc", "list": [[1, 2], [], None], "map": [("a", 1), ("b", None)],
           "not_finite": float("nan"), "quoted": "a\"b\\\n\u00e9"},
          {"question": None}]
SCHEMA = pyarrow.schema([
    ("question", pyarrow.string()), ("answer", pyarrow.uint8()), ("big", pyarrow.int64()),
    ("small", pyarrow.int16()), ("share", pyarrow.float64()), ("half", pyarrow.float32()), ("yes", pyarrow.bool_()),
    ("none", pyarrow.string()), ("when", pyarrow.timestamp("ms")), ("day", pyarrow.date32()),
    ("price", pyarrow.decimal128(10, 2)), ("bytes", pyarrow.binary()), ("text_bytes", pyarrow.binary()),
    ("list", pyarrow.list_(pyarrow.list_(pyarrow.int32()))), ("map", pyarrow.map_(pyarrow.string(), pyarrow.int32())),
    ("not_finite", pyarrow.float64()), ("quoted", pyarrow.large_string())])


def main(folder):
    rows = pyarrow.Table.from_pylist(ROWS)
    for codec in ["none", "snappy", "gzip", "lz4", "zstd"]:
        pyarrow.parquet.write_table(rows, f"{folder}/{codec}.parquet", compression=codec, row_group_size=3)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(NESTED, schema=SCHEMA), f"{folder}/nested.parquet")


if __name__ == "__main__":
    main(sys.argv[1])
