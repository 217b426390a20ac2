#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::{
    codec::{Encoder, opus_packet_samples},
    level::dbfs,
    rtp::RtpSender,
};

fn tone(rate: u32, samples: usize) -> Vec<i16> {
    let step = std::f64::consts::TAU * 440.0 / f64::from(rate);
    (0..samples).map(|i| (9_000.0 * (step * i as f64).sin()) as i16).collect()
}

fn packets(codec: Codec, count: usize) -> Vec<RtpPacket> {
    let (mut encoder, mut rtp) = (Encoder::new(codec).unwrap(), RtpSender::new(3, 65_530, u32::MAX - 1_000));
    let pcm = tone(codec.sample_rate(), codec.frame() * count);
    let frames = pcm.chunks_exact(codec.frame());
    frames.map(|f| rtp.audio(codec.payload_type(), encoder.encode(f).unwrap(), codec.frame_ticks())).collect()
}

/// The file as it lies on the disk after the given packets.
fn record(codec: Codec, packets: &[RtpPacket], finished: bool) -> Vec<u8> {
    let mut recording = Recording::new(codec, 99);
    let mut file = recording.start();
    packets.iter().for_each(|p| file.extend(recording.push(p)));
    if finished {
        let finish = recording.finish();
        file.extend(finish.tail);
        if let Some(header) = finish.header {
            file[..header.len()].copy_from_slice(&header);
        }
    }
    file
}

#[test]
fn a_recording_sounds_as_it_was_sent() {
    for codec in Codec::ALL {
        let mut recording = Recording::new(codec, 1);
        let packets = packets(codec, 100);
        let file = record(codec, &packets, true);
        let pcm = decode(&file).unwrap();
        assert_eq!(pcm.rate, codec.sample_rate());
        let expected = codec.frame() * 100 - if codec == Codec::Opus { 312 } else { 0 };
        assert_eq!(pcm.samples.len(), expected, "{codec}");
        assert!((dbfs(&pcm.samples[codec.frame() * 5..]) + 14.2).abs() < 0.5, "{codec}: {}", dbfs(&pcm.samples));
        packets.iter().for_each(|p| drop(recording.push(p)));
        assert_eq!(recording.duration(), Duration::from_secs(2));
    }
}

#[test]
fn g711_is_stored_bit_by_bit_and_other_programs_read_the_header() {
    let packets = packets(Codec::Pcma, 3);
    let file = record(Codec::Pcma, &packets, true);
    let payload: Vec<u8> = packets.iter().flat_map(|p| p.payload.to_vec()).collect();
    assert_eq!(file[WAV_HEADER_LEN..], payload);
    assert_eq!(file.len() as u32 - 8, u32::from_le_bytes([file[4], file[5], file[6], file[7]]));
    assert_eq!((&file[54..58], &file[46..50]), (&480u32.to_le_bytes()[..], &480u32.to_le_bytes()[..]));
}

#[test]
fn gaps_become_silence_of_the_same_length() {
    for codec in Codec::ALL {
        let mut packets = packets(codec, 60);
        packets.drain(20..40);
        let pcm = decode(&record(codec, &packets, true)).unwrap();
        let frame = codec.frame();
        let expected = frame * 60 - if codec == Codec::Opus { 312 } else { 0 };
        assert_eq!(pcm.samples.len(), expected, "{codec}");
        // Opus fades out what it heard last.
        let middle = dbfs(&pcm.samples[frame * 32..frame * 39]);
        assert!(middle < -45.0, "{codec}: {middle}");
        assert!(dbfs(&pcm.samples[frame * 45..frame * 55]) > -16.0);
    }
}

#[test]
fn disorder_and_duplicates_change_nothing() {
    for codec in Codec::ALL {
        let mut packets = packets(codec, 40);
        let expected = record(codec, &packets, true);
        packets.swap(5, 7);
        packets.swap(20, 21);
        packets.insert(30, packets[28].clone());
        packets.insert(31, packets[10].clone());
        assert_eq!(record(codec, &packets, true), expected, "{codec}");
    }
}

#[test]
fn another_stream_follows_without_a_gap() {
    for codec in Codec::ALL {
        let mut packets = packets(codec, 50);
        for (n, packet) in packets[25..].iter_mut().enumerate() {
            packet.ssrc = 8;
            packet.timestamp = 5_000_000 + n as u32 * codec.frame_ticks();
            packet.sequence = 40_000 + n as u16;
        }
        let pcm = decode(&record(codec, &packets, true)).unwrap();
        assert_eq!((pcm.duration().as_millis() + 10) / 20, 50, "{codec}");
    }
}

#[test]
fn a_crash_loses_a_second_at_most_and_can_be_repaired() {
    for codec in Codec::ALL {
        let packets = packets(codec, 275);
        let mut file = record(codec, &packets, false);
        // Torn in the middle of the last write.
        file.truncate(file.len() - 7);
        let heard = decode(&file).unwrap();
        assert!(heard.duration() > Duration::from_millis(3_900), "{codec}: {:?}", heard.duration());
        if codec == Codec::Opus {
            let (keep, tail) = repair_ogg(&file).unwrap();
            file.truncate(keep);
            file.extend(tail);
            assert_eq!(repair_ogg(&file), None);
        } else {
            let header = repair_wav(&file, file.len() as u64).unwrap();
            assert_eq!(header, wav_header(codec, Some(file.len() as u32 - 58)).unwrap());
            file[..58].copy_from_slice(&header);
        }
        assert_eq!(decode(&file).unwrap(), heard);
    }
}

#[test]
fn ogg_pages_come_once_a_second_and_another_reader_likes_them() {
    let packets = packets(Codec::Opus, 130);
    let mut recording = Recording::new(Codec::Opus, 5);
    let mut file = recording.start();
    let mut writes = 0;
    for packet in &packets {
        let bytes = recording.push(packet);
        writes += usize::from(!bytes.is_empty());
        file.extend(bytes);
    }
    assert_eq!(writes, 2);
    assert!(!recording.flush().is_empty() && recording.flush().is_empty());

    let file = record(Codec::Opus, &packets, true);
    let mut reader = ::ogg::PacketReader::new(std::io::Cursor::new(file));
    let head = reader.read_packet_expected().unwrap();
    assert!(head.data.starts_with(b"OpusHead") && head.first_in_stream());
    assert!(reader.read_packet_expected().unwrap().data.starts_with(b"OpusTags"));
    for (n, packet) in packets.iter().enumerate() {
        let found = reader.read_packet_expected().unwrap();
        assert_eq!(found.data, packet.payload);
        if found.last_in_page() {
            assert_eq!(found.absgp_page(), (n as u64 + 1) * 960);
        }
    }
    assert!(reader.read_packet().unwrap().is_none());
}

#[test]
fn files_of_another_writer_are_read() {
    // Packets that span pages, two channels' worth of header, a tail to cut off.
    let mut bytes = Vec::new();
    let mut writer = ::ogg::PacketWriter::new(&mut bytes);
    use ::ogg::PacketWriteEndInfo::{EndPage, EndStream, NormalPacket};
    let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0".to_vec();
    writer.write_packet(head, 1, EndPage, 0).unwrap();
    writer.write_packet(b"OpusTags\0\0\0\0\0\0\0\0".to_vec(), 1, EndPage, 0).unwrap();
    let packets = packets(Codec::Opus, 10);
    for (n, packet) in packets.iter().enumerate() {
        let (end, granule) = if n == 9 { (EndStream, 9_000) } else { (NormalPacket, (n as u64 + 1) * 960) };
        writer.write_packet(packet.payload.to_vec(), 1, end, granule).unwrap();
    }
    drop(writer);
    assert_eq!(decode(&bytes).unwrap().samples.len(), 9_000 - 312);
}

#[test]
fn fillers_have_the_configuration_of_what_they_replace() {
    let packet = &packets(Codec::Opus, 1)[0].payload;
    let (filler, samples) = crate::codec::opus_silence_like(packet[0]);
    assert_eq!((opus_packet_samples(&filler), samples), (Some(960), 960));
}

#[test]
fn pcm16_round_trips_and_hound_agrees() {
    let pcm = tone(44_100, 1_234);
    let file = wav_pcm16(&pcm, 44_100);
    assert_eq!(decode(&file).unwrap(), Pcm { samples: pcm.clone(), rate: 44_100 });
    let mut reader = hound::WavReader::new(std::io::Cursor::new(&file)).unwrap();
    assert_eq!((reader.spec().sample_rate, reader.spec().channels), (44_100, 1));
    assert_eq!(reader.samples::<i16>().map(Result::unwrap).collect::<Vec<_>>(), pcm);
}

#[test]
fn other_kinds_of_wav_are_mixed_down() {
    let write = |bits, format, channels| {
        let spec = hound::WavSpec { channels, sample_rate: 16_000, bits_per_sample: bits, sample_format: format };
        let mut file = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        for _ in 0..100 * channels {
            match format {
                hound::SampleFormat::Float => writer.write_sample(0.25f32).unwrap(),
                hound::SampleFormat::Int => writer.write_sample(1i32 << (bits - 3)).unwrap(),
            }
        }
        writer.finalize().unwrap();
        file.into_inner()
    };
    for (bits, format, channels) in [
        (8, hound::SampleFormat::Int, 1),
        (16, hound::SampleFormat::Int, 2),
        (24, hound::SampleFormat::Int, 1),
        (32, hound::SampleFormat::Int, 2),
        (32, hound::SampleFormat::Float, 2),
    ] {
        let pcm = decode(&write(bits, format, channels)).unwrap();
        assert_eq!((pcm.samples.len(), pcm.rate), (100, 16_000));
        assert!(pcm.samples.iter().all(|&s| (8_190..=8_192).contains(&s)), "{bits} bits: {}", pcm.samples[0]);
    }
}

#[test]
fn what_is_no_sound_is_an_error() {
    assert!(matches!(decode(b"ID3\x04"), Err(DecodeError::UnknownFormat)));
    assert!(matches!(decode(b"RIFF\0\0\0\0WAVE"), Err(DecodeError::Header)));
    assert!(matches!(decode(b"OggS"), Err(DecodeError::Header)));
    assert_eq!(repair_ogg(b"OggS"), None);
    assert_eq!(repair_wav(&[0; 80], 80), None);
}

#[test]
fn an_empty_recording_is_a_file_too() {
    for codec in Codec::ALL {
        let pcm = decode(&record(codec, &[], true)).unwrap();
        assert!(pcm.samples.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cut_or_damaged_files_never_panic(cut in 0usize..6_000, at in 0usize..6_000, byte: u8, opus: bool) {
        let codec = if opus { Codec::Opus } else { Codec::Pcmu };
        let mut file = record(codec, &packets(codec, 30), true);
        let at = at % file.len();
        file[at] = byte;
        file.truncate(cut.min(file.len()));
        let _ = decode(&file);
        let _ = repair_ogg(&file);
        let _ = repair_wav(&file, file.len() as u64);
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut wav = b"RIFF\0\0\0\0WAVE".to_vec();
        wav.extend_from_slice(&bytes);
        let _ = decode(&wav);
        let _ = decode(&bytes);
    }
}
