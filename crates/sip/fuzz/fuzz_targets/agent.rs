#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aftertone_sip_fuzz::agent(data));
