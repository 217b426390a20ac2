//! Ogg pages (RFC 3533).

/// Set in a page's flags when its first packet began on the page before.
const CONTINUED: u8 = 1;
const FIRST: u8 = 2;
const LAST: u8 = 4;
const HEADER: usize = 27;
const MAX_SEGMENTS: usize = 255;

/// Collects packets into pages of one stream. A packet never spans pages: ours are far below 64 kB.
#[derive(Debug)]
pub(super) struct PageWriter {
    serial: u32,
    number: u32,
    lacing: Vec<u8>,
    body: Vec<u8>,
    granule: u64,
}

impl PageWriter {
    pub(super) fn new(serial: u32) -> Self {
        Self { serial, number: 0, lacing: Vec::new(), body: Vec::new(), granule: 0 }
    }

    /// Adds a packet that ends at `granule`; gives the page before it if there is no room.
    pub(super) fn add(&mut self, packet: &[u8], granule: u64) -> Vec<u8> {
        let segments = packet.len() / 255 + 1;
        let full = if self.lacing.len() + segments > MAX_SEGMENTS { self.page(false) } else { Vec::new() };
        self.lacing.extend(std::iter::repeat_n(255, segments - 1));
        self.lacing.push((packet.len() % 255) as u8);
        self.body.extend_from_slice(packet);
        self.granule = granule;
        full
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lacing.is_empty()
    }

    /// Closes the page; an empty one only ends a stream.
    pub(super) fn page(&mut self, last: bool) -> Vec<u8> {
        let flags = if self.number == 0 { FIRST } else { 0 } | if last { LAST } else { 0 };
        let mut page = Vec::with_capacity(HEADER + self.lacing.len() + self.body.len());
        page.extend_from_slice(b"OggS\0");
        page.push(flags);
        page.extend_from_slice(&self.granule.to_le_bytes());
        page.extend_from_slice(&self.serial.to_le_bytes());
        page.extend_from_slice(&self.number.to_le_bytes());
        page.extend_from_slice(&[0; 4]);
        page.push(self.lacing.len() as u8);
        page.append(&mut self.lacing);
        page.append(&mut self.body);
        let checksum = crc(&page);
        page[22..26].copy_from_slice(&checksum.to_le_bytes());
        self.number += 1;
        page
    }

    /// The open page ends there, before the end of its last packet.
    pub(super) fn end_at(&mut self, granule: u64) {
        self.granule = granule;
    }

    /// Continues a stream that somebody else wrote.
    pub(super) fn resume(serial: u32, number: u32, granule: u64) -> Self {
        Self { serial, number, lacing: Vec::new(), body: Vec::new(), granule }
    }
}

/// A page of a file.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) granule: u64,
    pub(super) serial: u32,
    pub(super) number: u32,
    pub(super) is_continued: bool,
    pub(super) is_last: bool,
    lacing: &'a [u8],
    body: &'a [u8],
    /// Where the next page begins.
    pub(super) end: usize,
}

impl<'a> Page<'a> {
    /// The page at `start`, complete and with the right checksum.
    pub(super) fn read(bytes: &'a [u8], start: usize) -> Option<Self> {
        let head = bytes.get(start..start + HEADER)?;
        if !head.starts_with(b"OggS\0") {
            return None;
        }
        let lacing = bytes.get(start + HEADER..start + HEADER + usize::from(head[26]))?;
        let body_start = start + HEADER + lacing.len();
        let end = body_start + lacing.iter().map(|&l| usize::from(l)).sum::<usize>();
        let body = bytes.get(body_start..end)?;
        let mut page = bytes[start..end].to_vec();
        page[22..26].fill(0);
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        (crc(&page) == word(22)).then_some(Self {
            granule: u64::from(word(6)) | u64::from(word(10)) << 32,
            serial: word(14),
            number: word(18),
            is_continued: head[5] & CONTINUED != 0,
            is_last: head[5] & LAST != 0,
            lacing,
            body,
            end,
        })
    }

    /// The page's pieces of packets; the last is `false` when it goes on in the next page.
    pub(super) fn pieces(&self) -> Vec<(&'a [u8], bool)> {
        let (mut pieces, mut start, mut end) = (Vec::new(), 0, 0);
        for &lace in self.lacing {
            end += usize::from(lace);
            if lace < 255 {
                pieces.push((&self.body[start..end], true));
                start = end;
            }
        }
        if self.lacing.last() == Some(&255) {
            pieces.push((&self.body[start..end], false));
        }
        pieces
    }
}

/// All intact pages, damaged bytes between them skipped.
pub(super) fn pages(bytes: &[u8]) -> impl Iterator<Item = Page<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            if let Some(page) = Page::read(bytes, at) {
                at = page.end;
                return Some(page);
            }
            let from = at + 1;
            let next = bytes.get(from..)?.windows(4).position(|w| w == b"OggS")?;
            at = from + next;
        }
    })
}

/// CRC-32 with the polynomial 0x04C11DB7, not reflected, starting at 0 (RFC 3533 section 6).
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0u32, |crc, &byte| crc << 8 ^ CRC_TABLE[usize::from((crc >> 24) as u8 ^ byte)])
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 0x8000_0000 == 0 { value << 1 } else { value << 1 ^ 0x04C1_1DB7 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};
