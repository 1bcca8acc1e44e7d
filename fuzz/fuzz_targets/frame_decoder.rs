//! A byte stream is split into the same frames however it is cut, or refused at the same place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use warren_amqp::frame::{FRAME_OVERHEAD, split};

const FRAME_MAX: u32 = 4096;

fuzz_target!(|input: &[u8]| {
    let mut stream = input;
    loop {
        match split(stream, FRAME_MAX) {
            Ok(Some((frame, used))) => {
                assert_eq!(frame.payload.len() + FRAME_OVERHEAD, used);
                assert!(frame.payload.len() <= FRAME_MAX as usize);
                for part in 0..used {
                    assert!(matches!(split(&stream[..part], FRAME_MAX), Ok(None)));
                }
                stream = &stream[used..];
            }
            Ok(None) => {
                assert!(stream.len() <= FRAME_MAX as usize + FRAME_OVERHEAD);
                break;
            }
            Err(error) => {
                assert!(error.code.is_hard());
                assert!(error.reply_text().len() <= 255);
                break;
            }
        }
    }
});
