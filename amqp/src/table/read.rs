//! nom parsers of the wire's elementary types, over borrowed and complete input.

use nom::error::{ErrorKind, ParseError};
use nom::number::complete::{
    be_f32, be_f64, be_i16, be_i32, be_i64, be_u16, be_u32, be_u64, i8, u8,
};
use nom::{IResult, Parser};

use super::{ArrayRef, TableError, TableRef, ValueRef};

/// What is left of the input, and the value.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, TableError>;

impl ParseError<&[u8]> for TableError {
    /// All that nom itself can find wrong here is that the input ends too early.
    fn from_error_kind(_input: &[u8], _kind: ErrorKind) -> Self {
        Self::Truncated
    }

    fn append(_input: &[u8], _kind: ErrorKind, other: Self) -> Self {
        other
    }
}

/// The error inside nom's.
pub(crate) fn fault(error: nom::Err<TableError>) -> TableError {
    match error {
        nom::Err::Incomplete(_) => TableError::Truncated,
        nom::Err::Error(error) | nom::Err::Failure(error) => error,
    }
}

/// Bytes with a one-byte length in front.
#[inline]
pub(crate) fn shortstr(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, len) = u8(input)?;
    bytes(rest, usize::from(len))
}

/// Bytes with a four-byte length in front.
#[inline]
pub(crate) fn longstr(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, len) = be_u32(input)?;
    bytes(rest, len as usize)
}

/// A table with a four-byte length in front; its contents are not looked at.
#[inline]
pub(crate) fn table(input: &[u8]) -> Parsed<'_, TableRef<'_>> {
    longstr.map(|bytes| TableRef { bytes }).parse(input)
}

/// `len` bytes.
#[inline]
pub(crate) fn bytes(input: &[u8], len: usize) -> Parsed<'_, &[u8]> {
    match input.split_at_checked(len) {
        Some((taken, rest)) => Ok((rest, taken)),
        None => Err(nom::Err::Error(TableError::Truncated)),
    }
}

/// A value with its type octet in front; the contents of tables and arrays are not looked at.
pub(crate) fn value(input: &[u8]) -> Parsed<'_, ValueRef<'_>> {
    let (rest, kind) = u8(input)?;
    match kind {
        b'S' => longstr.map(ValueRef::LongStr).parse(rest),
        b't' => u8.map(|v| ValueRef::Bool(v != 0)).parse(rest),
        b'b' => i8.map(ValueRef::I8).parse(rest),
        b'B' => u8.map(ValueRef::U8).parse(rest),
        b's' => be_i16.map(ValueRef::I16).parse(rest),
        b'u' => be_u16.map(ValueRef::U16).parse(rest),
        b'I' => be_i32.map(ValueRef::I32).parse(rest),
        b'i' => be_u32.map(ValueRef::U32).parse(rest),
        b'l' | b'L' => be_i64.map(ValueRef::I64).parse(rest),
        b'f' => be_f32.map(ValueRef::F32).parse(rest),
        b'd' => be_f64.map(ValueRef::F64).parse(rest),
        b'D' => (u8, be_u32)
            .map(|(scale, value)| ValueRef::Decimal { scale, value })
            .parse(rest),
        b'x' => longstr.map(ValueRef::Bytes).parse(rest),
        b'A' => longstr
            .map(|bytes| ValueRef::Array(ArrayRef { bytes }))
            .parse(rest),
        b'T' => be_u64.map(ValueRef::Timestamp).parse(rest),
        b'F' => table.map(ValueRef::Table).parse(rest),
        b'V' => Ok((rest, ValueRef::Void)),
        unknown => Err(nom::Err::Failure(TableError::UnknownType(unknown))),
    }
}

/// Whether all names in a checked table, at every level, are UTF-8.
pub(crate) fn names_are_utf8(table: TableRef<'_>) -> bool {
    every_table(ValueRef::Table(table), &mut |table| {
        table
            .iter()
            .all(|(name, _)| std::str::from_utf8(name).is_ok())
    })
}

/// Whether any table in a checked table, itself included, has two entries of the same name.
pub(crate) fn has_equal_names(table: TableRef<'_>) -> bool {
    !every_table(ValueRef::Table(table), &mut |table| {
        let mut seen = std::collections::HashSet::new();
        table.iter().all(|(name, _)| seen.insert(name))
    })
}

/// Whether `test` holds for each table in a value. Recursive: the value must have been checked.
fn every_table<'a>(value: ValueRef<'a>, test: &mut impl FnMut(TableRef<'a>) -> bool) -> bool {
    match value {
        ValueRef::Table(table) => {
            test(table) && table.iter().all(|(_, value)| every_table(value, test))
        }
        ValueRef::Array(array) => array.iter().all(|value| every_table(value, test)),
        _ => true,
    }
}
