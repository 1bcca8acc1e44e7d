//! Writing field tables, in the order asked for and byte for byte.

use super::{TableRef, ValueRef, read};

/// Builds the encoded form of a field table.
///
/// A name longer than 255 bytes is cut there. Names are not checked for being there already.
///
/// ```
/// use warren_amqp::{TableBuilder, TableRef};
/// let bytes = TableBuilder::new().longstr("reason", b"expired").long("count", 3).finish();
/// assert_eq!(TableRef::new(&bytes).get(b"count").and_then(|v| v.as_i64()), Some(3));
/// ```
#[derive(Clone, Debug, Default)]
pub struct TableBuilder {
    out: Vec<u8>,
}

impl TableBuilder {
    /// A table without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a long string (`S`).
    pub fn longstr(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.raw(key, ValueRef::LongStr(value.as_ref()))
    }

    /// Adds a 64-bit integer (`l`).
    pub fn long(&mut self, key: impl AsRef<[u8]>, value: i64) -> &mut Self {
        self.raw(key, ValueRef::I64(value))
    }

    /// Adds a 32-bit integer (`I`).
    pub fn int(&mut self, key: impl AsRef<[u8]>, value: i32) -> &mut Self {
        self.raw(key, ValueRef::I32(value))
    }

    /// Adds a time (`T`), in seconds since 1970.
    pub fn timestamp(&mut self, key: impl AsRef<[u8]>, seconds: u64) -> &mut Self {
        self.raw(key, ValueRef::Timestamp(seconds))
    }

    /// Adds a boolean (`t`).
    pub fn bool(&mut self, key: impl AsRef<[u8]>, value: bool) -> &mut Self {
        self.raw(key, ValueRef::Bool(value))
    }

    /// Adds a table (`F`), given in its encoded form.
    pub fn table(&mut self, key: impl AsRef<[u8]>, table: impl AsRef<[u8]>) -> &mut Self {
        self.raw(key, ValueRef::Table(TableRef::new(table.as_ref())))
    }

    /// Adds an array (`A`) of long strings.
    pub fn array_of_longstr<I>(&mut self, key: impl AsRef<[u8]>, values: I) -> &mut Self
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        self.array(key, |out| {
            for value in values {
                put_value(out, ValueRef::LongStr(value.as_ref()));
            }
        })
    }

    /// Adds an array (`A`) of tables, given in their encoded form.
    pub fn array_of_tables<I>(&mut self, key: impl AsRef<[u8]>, tables: I) -> &mut Self
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        self.array(key, |out| {
            for table in tables {
                put_value(out, ValueRef::Table(TableRef::new(table.as_ref())));
            }
        })
    }

    /// Adds any value, its contents verbatim.
    pub fn raw(&mut self, key: impl AsRef<[u8]>, value: ValueRef<'_>) -> &mut Self {
        put_name(&mut self.out, key.as_ref());
        put_value(&mut self.out, value);
        self
    }

    /// Adds the entries of `table` byte for byte, but for those with a name in `except`.
    pub fn copy_except(&mut self, table: TableRef<'_>, except: &[&[u8]]) -> &mut Self {
        let mut rest = table.as_bytes();
        while let Ok((after_name, name)) = read::shortstr(rest) {
            let Ok((after, _)) = read::value(after_name) else {
                break;
            };
            if !except.contains(&name) {
                self.out
                    .extend_from_slice(&rest[..rest.len() - after.len()]);
            }
            rest = after;
        }
        self
    }

    /// The encoded form, without its length. The builder is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn array(&mut self, key: impl AsRef<[u8]>, fill: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        put_name(&mut self.out, key.as_ref());
        self.out.push(b'A');
        put_counted(&mut self.out, fill);
        self
    }
}

/// Appends a name: a short string.
pub(super) fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    let name = &name[..name.len().min(255)];
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

/// Appends a value with its type octet.
pub(super) fn put_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Bool(v) => put(out, b't', &[u8::from(v)]),
        ValueRef::I8(v) => put(out, b'b', &v.to_be_bytes()),
        ValueRef::U8(v) => put(out, b'B', &[v]),
        ValueRef::I16(v) => put(out, b's', &v.to_be_bytes()),
        ValueRef::U16(v) => put(out, b'u', &v.to_be_bytes()),
        ValueRef::I32(v) => put(out, b'I', &v.to_be_bytes()),
        ValueRef::U32(v) => put(out, b'i', &v.to_be_bytes()),
        ValueRef::I64(v) => put(out, b'l', &v.to_be_bytes()),
        ValueRef::F32(v) => put(out, b'f', &v.to_be_bytes()),
        ValueRef::F64(v) => put(out, b'd', &v.to_be_bytes()),
        ValueRef::Decimal { scale, value } => {
            put(out, b'D', &[scale]);
            out.extend_from_slice(&value.to_be_bytes());
        }
        ValueRef::LongStr(bytes) => put_long(out, b'S', bytes),
        ValueRef::Bytes(bytes) => put_long(out, b'x', bytes),
        ValueRef::Array(array) => put_long(out, b'A', array.as_bytes()),
        ValueRef::Timestamp(v) => put(out, b'T', &v.to_be_bytes()),
        ValueRef::Table(table) => put_long(out, b'F', table.as_bytes()),
        ValueRef::Void => out.push(b'V'),
    }
}

/// Appends a 4-byte length and what `fill` writes.
pub(super) fn put_counted(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let len = length(out.len() - at - 4);
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
}

fn put(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

fn put_long(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    put_counted(out, |out| out.extend_from_slice(bytes));
}

/// Lengths are 4 bytes on the wire. Whatever comes from there or from a request fits; the limit
/// only keeps the arithmetic defined.
fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
