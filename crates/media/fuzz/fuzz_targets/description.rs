#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aftertone_media_fuzz::description(data));
