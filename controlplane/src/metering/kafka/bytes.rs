//! Kafka's primitive types, written and read (Kafka protocol guide, "Protocol Primitive Types"). What is read may be anything:
//! it is an error, never a panic.

use super::KafkaError;

/// No list of an answer has more entries.
const MAX_ENTRIES: usize = 100_000;

#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn i8(&mut self, number: i8) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub fn i16(&mut self, number: i16) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub fn i32(&mut self, number: i32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub fn i64(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    /// Of lists and bytes. What is sent is bounded far below what fits.
    pub fn length(&mut self, count: usize) {
        self.i32(i32::try_from(count).unwrap_or(i32::MAX));
    }

    pub fn string(&mut self, text: &str) {
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        self.0.extend_from_slice(text.as_bytes());
    }

    pub fn no_string(&mut self) {
        self.i16(-1);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Zigzag, seven bits a byte.
    pub fn varint(&mut self, number: i64) {
        let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.0.push((rest as u8 & 0x7f) | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    pub fn var_bytes(&mut self, bytes: &[u8]) {
        self.varint(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.0.extend_from_slice(bytes);
    }
}

pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], KafkaError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(KafkaError::Garbled)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], KafkaError> {
        self.take(N)?.try_into().map_err(|_| KafkaError::Garbled)
    }

    pub fn i8(&mut self) -> Result<i8, KafkaError> {
        Ok(i8::from_be_bytes(self.number()?))
    }

    pub fn i16(&mut self) -> Result<i16, KafkaError> {
        Ok(i16::from_be_bytes(self.number()?))
    }

    pub fn i32(&mut self) -> Result<i32, KafkaError> {
        Ok(i32::from_be_bytes(self.number()?))
    }

    pub fn i64(&mut self) -> Result<i64, KafkaError> {
        Ok(i64::from_be_bytes(self.number()?))
    }

    /// An absent list is an empty one.
    pub fn entries(&mut self) -> Result<usize, KafkaError> {
        match self.i32()? {
            -1 => Ok(0),
            count => usize::try_from(count)
                .ok()
                .filter(|count| *count <= MAX_ENTRIES)
                .ok_or(KafkaError::Garbled),
        }
    }

    /// An absent text is an empty one.
    pub fn string(&mut self) -> Result<&'a str, KafkaError> {
        let length = self.i16()?;
        if length == -1 {
            return Ok("");
        }
        let bytes = self.take(usize::try_from(length).map_err(|_| KafkaError::Garbled)?)?;
        std::str::from_utf8(bytes).map_err(|_| KafkaError::Garbled)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], KafkaError> {
        let length = self.i32()?;
        match length {
            -1 => Ok(&[]),
            _ => self.take(usize::try_from(length).map_err(|_| KafkaError::Garbled)?),
        }
    }

    pub fn skip_i32s(&mut self) -> Result<(), KafkaError> {
        let count = self.entries()?;
        self.take(count * 4).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, Writer};

    #[test]
    fn numbers_are_zigzag_of_seven_bits() {
        // Protocol Buffers, "Signed Integers": the same encoding.
        for (number, bytes) in [
            (0i64, &[0u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (-2, &[3]),
            (63, &[0x7e]),
            (64, &[0x80, 0x01]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Writer::default();
            out.varint(number);
            assert_eq!(out.0, bytes, "{number}");
        }
    }

    #[test]
    fn what_is_cut_or_absurd_is_an_error() {
        let mut whole = Writer::default();
        whole.string("topic");
        whole.bytes(b"abc");
        whole.length(3);
        for cut in 0..whole.0.len() {
            let mut reader = Reader(&whole.0[..cut]);
            let read = reader
                .string()
                .and_then(|_| reader.bytes())
                .and_then(|_| reader.skip_i32s());
            assert!(read.is_err(), "{cut}");
        }
        assert!(Reader(&[0x7f, 0xff, 0xff, 0xff]).entries().is_err());
        assert!(Reader(&[0x80, 0, 0, 0]).bytes().is_err());
        assert_eq!(Reader(&[0xff, 0xff]).string().expect("absent"), "");
    }
}
