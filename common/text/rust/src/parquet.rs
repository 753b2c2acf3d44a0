//! The rows of a Parquet file as JSON objects, one at a time.
//!
//! `Rows` owns the crate's reader. Each call has a budget of memory (memory.rs); a call that fails or
//! panics ends the file. Beside that a file is refused whose schema is long enough to exhaust the
//! stack of the crate's recursion (`check_footer`), or that states more rows than it could hold.

use crate::memory::{limited, Budget};
use bytes::Bytes;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use std::fs::File;
use std::path::Path;

/// Of one row: its pages are decompressed while it is read.
const BUDGET: Budget = Budget { held: 512 << 20, total: 2 << 30 };
const MAX_FOOTER: u64 = 64 << 20;
const MAX_SCHEMA: u64 = 1000;
/// A page of equal values takes a few bytes, but questions differ.
const MAX_ROWS_PER_BYTE: u64 = 64;

pub struct Rows {
    rows: Option<RowIter<'static>>, // None: after the end, or an error
}

impl Rows {
    pub fn open(path: &str) -> Result<Rows, String> {
        Self::new(File::open(Path::new(path)).map_err(|error| error.to_string())?)
    }

    pub fn of_content(content: &[u8]) -> Result<Rows, String> {
        Self::new(Bytes::copy_from_slice(content))
    }

    fn new<R: ChunkReader + 'static>(file: R) -> Result<Rows, String> {
        limited(BUDGET, || -> Result<Rows, String> {
            let size = file.len();
            check_footer(&file, size)?;
            let reader = SerializedFileReader::new(file).map_err(readable)?;
            let metadata = reader.metadata().file_metadata();
            if metadata.schema_descr().num_columns() == 0 {
                return Err("the file has no columns".to_string());
            }
            let groups = reader.metadata().row_groups().iter();
            let rows = groups.map(|group| group.num_rows().max(0) as u64).fold(0, u64::saturating_add);
            if rows > size.saturating_mul(MAX_ROWS_PER_BYTE) {
                return Err(format!("{rows} rows in {size} bytes"));
            }
            Ok(Rows { rows: Some(RowIter::from_file_into(Box::new(reader))) })
        })
    }

    /// The next row, or None at the end.
    pub fn next(&mut self) -> Result<Option<String>, String> {
        // Taken out, so that nothing is read on after a panic.
        let Some(mut rows) = self.rows.take() else { return Ok(None) };
        let row = limited(BUDGET, || -> Result<Option<String>, String> {
            let Some(row) = rows.next() else { return Ok(None) };
            let mut json = String::new();
            write_row(&row.map_err(readable)?, &mut json);
            Ok(Some(json))
        })?;
        if row.is_some() {
            self.rows = Some(rows);
        }
        Ok(row)
    }
}

fn readable(error: parquet::errors::ParquetError) -> String {
    error.to_string()
}

fn write_text(text: &str, json: &mut String) {
    json.push_str(&serde_json::Value::from(text).to_string());
}

fn write_row(row: &Row, json: &mut String) {
    json.push('{');
    for (i, (name, field)) in row.get_column_iter().enumerate() {
        if i > 0 {
            json.push(',');
        }
        write_text(name, json);
        json.push(':');
        write_field(field, json);
    }
    json.push('}');
}

fn write_float(value: f64, shortest: String, json: &mut String) {
    json.push_str(if value.is_finite() { &shortest } else { "null" });
}

fn write_field(field: &Field, json: &mut String) {
    match field {
        Field::Null => json.push_str("null"),
        Field::Bool(_)
        | Field::Byte(_)
        | Field::Short(_)
        | Field::Int(_)
        | Field::Long(_)
        | Field::UByte(_)
        | Field::UShort(_)
        | Field::UInt(_)
        | Field::ULong(_) => json.push_str(&field.to_string()),
        Field::Float16(value) => write_float(value.to_f64(), value.to_f32().to_string(), json),
        Field::Float(value) => write_float(f64::from(*value), value.to_string(), json),
        Field::Double(value) => write_float(*value, value.to_string(), json),
        Field::Str(text) => write_text(text, json),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => write_text(text, json),
            Err(_) => {
                let hex: String = bytes.data().iter().map(|byte| format!("{byte:02x}")).collect();
                write_text(&hex, json);
            }
        },
        Field::Group(row) => write_row(row, json),
        Field::ListInternal(list) => {
            json.push('[');
            for (i, element) in list.elements().iter().enumerate() {
                if i > 0 {
                    json.push(',');
                }
                write_field(element, json);
            }
            json.push(']');
        }
        Field::MapInternal(map) => {
            json.push('{');
            for (i, (key, value)) in map.entries().iter().enumerate() {
                if i > 0 {
                    json.push(',');
                }
                let name = match key {
                    Field::Str(text) => text.clone(),
                    key => key.to_string(),
                };
                write_text(&name, json);
                json.push(':');
                write_field(value, json);
            }
            json.push('}');
        }
        // Decimals, dates and times, as the crate writes them.
        other => write_text(&other.to_string(), json),
    }
}

/// Refuses a footer whose schema has more elements than MAX_SCHEMA: the crate builds the schema, and
/// drops it, by a recursion as deep as its groups nest. Walks Thrift's compact protocol.
fn check_footer<R: ChunkReader>(file: &R, size: u64) -> Result<(), String> {
    const MAGIC: &[u8] = b"PAR1";
    if size < 12 {
        return Err(format!("{size} bytes are no Parquet file"));
    }
    let tail = file.get_bytes(size - 8, 8).map_err(readable)?;
    if &tail[4..] != MAGIC {
        return Err("no Parquet file: it does not end with PAR1".to_string());
    }
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if length > MAX_FOOTER || length + 12 > size {
        return Err(format!("a footer of {length} bytes, in a file of {size}"));
    }
    let footer = file.get_bytes(size - 8 - length, length as usize).map_err(readable)?;
    let mut walk = Walk { bytes: &footer };
    walk.file_metadata().ok_or_else(|| "the footer is damaged".to_string())?
}

struct Walk<'a> {
    bytes: &'a [u8],
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn skip_bytes(&mut self, count: u64) -> Option<()> {
        self.bytes = self.bytes.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    /// The type and the number of a list's elements.
    fn list(&mut self) -> Option<(u8, u64)> {
        let header = self.byte()?;
        let count = if header >> 4 == 15 { self.number()? } else { u64::from(header >> 4) };
        Some((header & 15, count))
    }

    /// The id, after `last`, and the type of the next field; a type of 0 ends the struct.
    fn field(&mut self, last: u64) -> Option<(u64, u8)> {
        let header = self.byte()?;
        let kind = header & 15;
        let id = match header >> 4 {
            0 if kind != 0 => self.number()? >> 1, // zigzag; ids are positive
            delta => last + u64::from(delta),
        };
        Some((id, kind))
    }

    /// None: damaged. Err: refused.
    fn file_metadata(&mut self) -> Option<Result<(), String>> {
        let mut last = 0;
        let mut seen = false;
        loop {
            let (id, kind) = self.field(last)?;
            last = id;
            if kind == 0 {
                return Some(Ok(()));
            }
            if id != 2 {
                self.skip(kind, 0)?;
                continue;
            }
            if seen || kind != 9 {
                return None;
            }
            seen = true;
            let (element, count) = self.list()?;
            if count > MAX_SCHEMA {
                return Some(Err(format!("a schema of {count} elements; {MAX_SCHEMA} are accepted")));
            }
            for _ in 0..count {
                self.skip(element, 0)?;
            }
        }
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        if depth > 32 {
            return None;
        }
        match kind {
            1 | 2 => Some(()), // of a field; its value is in its type
            3 => self.skip_bytes(1),
            4..=6 => self.number().map(|_| ()),
            7 => self.skip_bytes(8),
            8 => {
                let length = self.number()?;
                self.skip_bytes(length)
            }
            9 | 10 => {
                let (element, count) = self.list()?;
                self.skip_many(&[element], count, depth)
            }
            11 => {
                let count = self.number()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                self.skip_many(&[kinds >> 4, kinds & 15], count, depth)
            }
            12 => {
                let mut last = 0;
                loop {
                    let (id, kind) = self.field(last)?;
                    last = id;
                    if kind == 0 {
                        return Some(());
                    }
                    self.skip(kind, depth + 1)?;
                }
            }
            _ => None,
        }
    }

    fn skip_many(&mut self, kinds: &[u8], count: u64, depth: u32) -> Option<()> {
        for _ in 0..count {
            for kind in kinds {
                match kind {
                    1 | 2 => self.skip_bytes(1)?, // of a list, a byte each
                    kind => self.skip(*kind, depth + 1)?,
                }
            }
        }
        Some(())
    }
}
