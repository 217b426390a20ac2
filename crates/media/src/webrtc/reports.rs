//! What the other end of a WebRTC connection reports of our stream: the crates read it for themselves alone.

use std::{collections::VecDeque, time::Instant};

use rtc_interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc_rtcp::{receiver_report::ReceiverReport, reception_report::ReceptionReport, sender_report::SenderReport};
use rtc_shared::error::Error;
use sansio::Protocol;

use crate::rtcp::Block;

/// A report that came: what it says of our stream, or `None` where it doesn't name it.
pub type Told = Option<Block>;

/// Tells of the reports that come in, and lets everything pass. For the registry of interceptors of a connection.
pub struct ReportListener<F> {
    ssrc: u32,
    tell: F,
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl<F: FnMut(Told) + Send + Sync> ReportListener<F> {
    /// For the stream that is sent under this SSRC. `tell` is called while packets are read: it must not wait.
    #[must_use]
    pub fn new(ssrc: u32, tell: F) -> Self {
        Self { ssrc, tell, read: VecDeque::new(), write: VecDeque::new() }
    }

    fn listen(&mut self, packet: &dyn rtc_rtcp::packet::Packet) {
        let sender = packet.as_any().downcast_ref::<SenderReport>().map(|report| &report.reports);
        let blocks = sender.or_else(|| packet.as_any().downcast_ref::<ReceiverReport>().map(|report| &report.reports));
        if let Some(blocks) = blocks {
            (self.tell)(blocks.iter().find(|block| block.ssrc == self.ssrc).map(block));
        }
    }
}

fn block(report: &ReceptionReport) -> Block {
    let ReceptionReport { ssrc, fraction_lost, total_lost, last_sequence_number: highest, jitter, .. } = *report;
    // 24 bits with a sign.
    let lost = (total_lost << 8).cast_signed() >> 8;
    let (last_report, since_report) = (report.last_sender_report, report.delay);
    Block { ssrc, fraction_lost, lost, highest, jitter, last_report, since_report }
}

impl<F: FnMut(Told) + Send + Sync> Protocol<TaggedPacket, TaggedPacket, ()> for ReportListener<F> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            packets.iter().for_each(|packet| self.listen(&**packet));
        }
        self.read.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.write.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }
}

impl<F: FnMut(Told) + Send + Sync> Interceptor for ReportListener<F> {
    fn bind_local_stream(&mut self, _stream: &StreamInfo) {}

    fn unbind_local_stream(&mut self, _stream: &StreamInfo) {}

    fn bind_remote_stream(&mut self, _stream: &StreamInfo) {}

    fn unbind_remote_stream(&mut self, _stream: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "tests; an Instant can't be made otherwise, and says nothing here"
    )]

    use std::sync::mpsc::channel;

    use rtc_interceptor::AttributedPacket;
    use rtc_shared::TransportContext;

    use super::*;

    fn reports(blocks: &[(u32, u32)]) -> Vec<ReceptionReport> {
        let report = |&(ssrc, highest)| ReceptionReport {
            ssrc,
            fraction_lost: 64,
            total_lost: 0xFF_FFFE,
            last_sequence_number: highest,
            jitter: 480,
            ..ReceptionReport::default()
        };
        blocks.iter().map(report).collect()
    }

    #[test]
    fn what_is_reported_of_our_stream_is_told_and_everything_passes() {
        let (told, heard) = channel();
        let mut listener = ReportListener::new(7, move |report| told.send(report).unwrap());
        let sender = SenderReport { reports: reports(&[(3, 1), (7, 70_000)]), ..SenderReport::default() };
        let receiver = ReceiverReport { reports: reports(&[(3, 1)]), ..ReceiverReport::default() };
        let packet = Packet::Rtcp(vec![Box::new(sender), Box::new(receiver)]);
        let (now, transport) = (Instant::now(), TransportContext::default());
        listener.handle_read(TaggedPacket { now, transport, message: AttributedPacket::new(packet) }).unwrap();
        let block = Block { ssrc: 7, fraction_lost: 64, lost: -2, highest: 70_000, jitter: 480, ..Block::default() };
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Some(block), None]);
        assert!(listener.poll_read().is_some() && listener.poll_read().is_none());
    }
}
