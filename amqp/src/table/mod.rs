//! Field tables, borrowed: validated once, then read in place.
//!
//! ```text
//! table = *( name value )      array = *value      (both with a 4-byte length in front)
//! name  = length octet, bytes  value = type octet, then by type:
//!   t bool   b i8   B u8   s i16   u u16   I i32   i u32   l,L i64   f f32   d f64
//!   D scale u8, value u32   S long string   x bytes   A array   T u64 seconds   F table   V nothing
//! ```
//! These are the types RabbitMQ speaks (its errata of AMQP 0-9-1, 4.2.5.5), not the specification's.
//! A broker must not alter what it forwards: tables are kept as bytes, in order, duplicates and all;
//! [`TableBuilder`] copies values verbatim. `fields` bridges to the owned tables of `amq-protocol`.

mod builder;
mod fields;
pub(crate) mod read;

pub use builder::TableBuilder;
pub use fields::{arg_as_i64, arg_type_name, fields_from_table, table_from_fields};

use read::{shortstr, value};

/// How many tables and arrays may stand inside each other, the outermost counted. Deeper ones are
/// refused: everything that walks a table, here or in a client, may do so recursively.
pub const MAX_TABLE_DEPTH: usize = 32;

/// Why bytes are not a field table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TableError {
    /// A length points beyond the end.
    #[error("truncated field table")]
    Truncated,
    /// A type octet RabbitMQ does not know.
    #[error("unknown field type {0}")]
    UnknownType(u8),
    /// More than [`MAX_TABLE_DEPTH`] levels.
    #[error("field table nested deeper than {MAX_TABLE_DEPTH} levels")]
    TooDeep,
}

/// A field table in its encoded form, without the 4-byte length.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TableRef<'a> {
    bytes: &'a [u8],
}

impl<'a> TableRef<'a> {
    /// Takes bytes as a table after checking the whole tree.
    ///
    /// Names are not checked to be UTF-8, as RabbitMQ does not either.
    ///
    /// # Errors
    /// See [`TableError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TableError> {
        let table = Self { bytes };
        check_table(table, 1)?;
        Ok(table)
    }

    /// Takes bytes as a table that were checked before, or written by [`TableBuilder`]. If they are
    /// malformed nonetheless, iteration ends early.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The table without entries.
    pub fn empty() -> Self {
        Self { bytes: &[] }
    }

    /// The entries in the order of the wire, duplicates included.
    pub fn iter(&self) -> TableIter<'a> {
        TableIter { rest: self.bytes }
    }

    /// The value of the first entry with this name.
    pub fn get(&self, key: &[u8]) -> Option<ValueRef<'a>> {
        self.iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// The encoded form, without its length.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl AsRef<[u8]> for TableRef<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

impl<'a> IntoIterator for TableRef<'a> {
    type Item = (&'a [u8], ValueRef<'a>);
    type IntoIter = TableIter<'a>;

    fn into_iter(self) -> TableIter<'a> {
        self.iter()
    }
}

/// The entries of a [`TableRef`].
#[derive(Clone, Debug)]
pub struct TableIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for TableIter<'a> {
    type Item = (&'a [u8], ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (rest, name) = shortstr(self.rest).ok()?;
        let (rest, value) = value(rest).ok()?;
        self.rest = rest;
        Some((name, value))
    }
}

/// A field array in its encoded form, without the 4-byte length.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ArrayRef<'a> {
    bytes: &'a [u8],
}

impl<'a> ArrayRef<'a> {
    /// The members in order.
    pub fn iter(&self) -> ArrayIter<'a> {
        ArrayIter { rest: self.bytes }
    }

    /// The encoded form, without its length.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<'a> IntoIterator for ArrayRef<'a> {
    type Item = ValueRef<'a>;
    type IntoIter = ArrayIter<'a>;

    fn into_iter(self) -> ArrayIter<'a> {
        self.iter()
    }
}

/// The members of an [`ArrayRef`].
#[derive(Clone, Debug)]
pub struct ArrayIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ArrayIter<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        let (rest, value) = value(self.rest).ok()?;
        self.rest = rest;
        Some(value)
    }
}

/// One value of a table or array. The letter is the type octet on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// `t`: any octet but 0 is true.
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`, and `L`, which RabbitMQ takes for the same.
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: value / 10^scale.
    Decimal {
        /// How many digits stand after the point.
        scale: u8,
        /// All digits.
        value: u32,
    },
    /// `S`: bytes, most often UTF-8.
    LongStr(&'a [u8]),
    /// `x`
    Bytes(&'a [u8]),
    /// `A`
    Array(ArrayRef<'a>),
    /// `T`: seconds since 1970.
    Timestamp(u64),
    /// `F`
    Table(TableRef<'a>),
    /// `V`
    Void,
}

impl<'a> ValueRef<'a> {
    /// The value if it is of an integer type, whatever its width. Timestamps are not.
    pub fn as_i64(&self) -> Option<i64> {
        Some(match *self {
            Self::I8(v) => v.into(),
            Self::U8(v) => v.into(),
            Self::I16(v) => v.into(),
            Self::U16(v) => v.into(),
            Self::I32(v) => v.into(),
            Self::U32(v) => v.into(),
            Self::I64(v) => v,
            _ => return None,
        })
    }

    /// The bytes if it is a long string.
    pub fn as_longstr(&self) -> Option<&'a [u8]> {
        match *self {
            Self::LongStr(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The value if it is a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(v) => Some(v),
            _ => None,
        }
    }

    /// The value if it is a table.
    pub fn as_table(&self) -> Option<TableRef<'a>> {
        match *self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The value if it is an array.
    pub fn as_array(&self) -> Option<ArrayRef<'a>> {
        match *self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    /// RabbitMQ's name of the type, as its error texts have it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::LongStr(_) => "longstr",
            Self::Bytes(_) => "binary",
            Self::Array(_) => "array",
            Self::Timestamp(_) => "timestamp",
            Self::Table(_) => "table",
            Self::Void => "void",
        }
    }
}

fn check_table(table: TableRef<'_>, depth: usize) -> Result<(), TableError> {
    let mut rest = table.bytes;
    while !rest.is_empty() {
        let (after, _) = shortstr(rest).map_err(read::fault)?;
        rest = check_value(after, depth)?;
    }
    Ok(())
}

fn check_array(array: ArrayRef<'_>, depth: usize) -> Result<(), TableError> {
    let mut rest = array.bytes;
    while !rest.is_empty() {
        rest = check_value(rest, depth)?;
    }
    Ok(())
}

/// Recursive, but never beyond the limit: the depth is checked before going down.
fn check_value(input: &[u8], depth: usize) -> Result<&[u8], TableError> {
    let (rest, value) = value(input).map_err(read::fault)?;
    match value {
        ValueRef::Table(_) | ValueRef::Array(_) if depth >= MAX_TABLE_DEPTH => {
            return Err(TableError::TooDeep);
        }
        ValueRef::Table(table) => check_table(table, depth + 1)?,
        ValueRef::Array(array) => check_array(array, depth + 1)?,
        _ => {}
    }
    Ok(rest)
}

#[cfg(test)]
mod tests;
