//! Lines on their way to standard error. A reader that stops reading must never stop the program: lines wait in a
//! bounded queue, a thread writes them, and what does not fit is dropped and counted.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;

/// Enough for half a minute of a daemon that logs every window, and less memory than one answer of the API.
const MOST_LINES: usize = 4096;
const MOST_BYTES: usize = 1 << 20;
/// Wait before another write to a descriptor that somebody made non-blocking.
const AGAIN: Duration = Duration::from_millis(20);

/// A queue of lines and the thread that writes them. A clone shares both.
#[derive(Clone, Debug)]
pub(crate) struct Lines(Arc<SharedLines>);

#[derive(Debug, Default)]
struct SharedLines {
    queue: Mutex<Queue>,
    arrived: Condvar,
    drained: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The thread holds a line that is not in `lines` any more.
    writing: bool,
    /// A wait for the reader was in vain, and nothing has been written since.
    stuck: bool,
    dropped: u64,
    reported: u64,
    counter: Option<IntCounter>,
}

impl Queue {
    fn drop_lines(&mut self, count: u64) {
        self.dropped += count;
        if let Some(counter) = &self.counter {
            counter.inc_by(count);
        }
    }

    fn is_drained(&self) -> bool {
        self.lines.is_empty() && !self.writing
    }
}

impl Lines {
    /// Lines that a thread of their own writes to `out`; `report` is called with the number of lines that were dropped,
    /// once lines are written again. Without a thread (none can be started) nothing is written at all.
    pub(super) fn new(out: impl Write + Send + 'static, report: fn(u64)) -> Self {
        let lines = Self(Arc::default());
        let shared = lines.0.clone();
        let thread = thread::Builder::new().name("log".to_owned()).stack_size(256 << 10);
        // If it fails, every line is dropped and counted: only the metric can show it.
        let _ = thread.spawn(move || shared.write_to(out, report));
        lines
    }

    /// Queues a line. The oldest make room: when a process ends, its last lines matter most.
    pub(crate) fn push(&self, line: Vec<u8>) {
        let mut queue = self.0.lock();
        while queue.lines.len() >= MOST_LINES || queue.bytes + line.len() > MOST_BYTES {
            let Some(oldest) = queue.lines.pop_front() else { break };
            queue.bytes -= oldest.len();
            queue.drop_lines(1);
        }
        queue.bytes += line.len();
        queue.lines.push_back(line);
        drop(queue);
        self.0.arrived.notify_one();
    }

    /// Waits at most `patience` until everything is written, or not at all after a wait in vain. Returns `true` if
    /// everything is written.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let mut queue = self.0.lock();
        if queue.stuck && !queue.is_drained() {
            return false;
        }
        let waited = self.0.drained.wait_timeout_while(queue, patience, |queue| !queue.is_drained());
        queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        queue.stuck = !queue.is_drained();
        !queue.stuck
    }

    /// Counts dropped lines in `counter`, including earlier ones.
    pub(super) fn count_dropped_in(&self, counter: IntCounter) {
        let mut queue = self.0.lock();
        counter.inc_by(queue.dropped);
        queue.counter = Some(counter);
    }
}

impl Write for &Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SharedLines {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut out: impl Write, report: fn(u64)) {
        // After a line that was cut off, the next must not be glued to it.
        let mut torn = false;
        loop {
            let mut line = self.next();
            if torn {
                line.insert(0, b'\n');
            }
            let (written, failed) = write_all(&mut out, &line);
            torn = failed && (written > usize::from(torn) || torn && written == 0);
            let mut queue = self.lock();
            queue.writing = false;
            queue.stuck &= failed;
            if failed {
                queue.drop_lines(1);
            }
            let mut dropped = 0;
            if queue.lines.is_empty() {
                if !failed {
                    dropped = queue.dropped - queue.reported;
                    queue.reported = queue.dropped;
                }
                self.drained.notify_all();
            }
            drop(queue);
            if dropped > 0 {
                report(dropped);
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let empty = |queue: &mut Queue| queue.lines.is_empty();
        let waited = self.arrived.wait_while(self.lock(), empty);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        let line = queue.lines.pop_front().unwrap_or_default();
        queue.bytes -= line.len();
        queue.writing = true;
        line
    }
}

/// How many bytes were written, and whether the rest could not be.
fn write_all(out: &mut impl Write, line: &[u8]) -> (usize, bool) {
    let mut written = 0;
    while let Some(rest) = line.get(written..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return (written, true),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(_) => return (written, true),
        }
    }
    (written, false)
}

#[cfg(test)]
mod tests {
    use crate::clock::monotonic;
    use std::sync::mpsc;

    use super::*;

    /// A reader that accepts one write for each permit.
    struct Gate {
        permits: mpsc::Receiver<io::Result<()>>,
        taken: mpsc::Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Without a sender the gate is open.
            self.permits.recv().unwrap_or(Ok(()))?;
            self.taken.send(String::from_utf8(bytes.to_vec()).unwrap()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (mpsc::Sender<io::Result<()>>, mpsc::Receiver<String>, Gate) {
        let (permit, permits) = mpsc::channel();
        let (taken, lines) = mpsc::channel();
        (permit, lines, Gate { permits, taken })
    }

    static REPORTED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

    #[test]
    fn a_reader_that_stops_costs_old_lines_and_never_time() {
        let (permit, taken, gate) = gate();
        let lines = Lines::new(gate, |dropped| REPORTED.lock().unwrap().push(dropped));
        lines.push(b"first".to_vec());
        let began = monotonic();
        // The thread holds it now, so it is not the oldest in the queue.
        while !lines.0.lock().writing {
            assert!(began.elapsed() < Duration::from_secs(20));
            thread::yield_now();
        }
        for number in 0..100_000 {
            lines.push(format!("line {number}").into_bytes());
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert!(!lines.flush(Duration::from_millis(1)));
        let waiting = u64::try_from(lines.0.lock().lines.len()).unwrap();
        assert!(waiting <= 4096);
        let counter = IntCounter::new("dropped", "Dropped.").unwrap();
        lines.count_dropped_in(counter.clone());
        // The reader comes back.
        drop(permit);
        assert_eq!(taken.recv_timeout(Duration::from_secs(20)).as_deref(), Ok("first"));
        let rest: Vec<String> =
            (0..waiting).map(|_| taken.recv_timeout(Duration::from_secs(20)).unwrap()).collect();
        assert_eq!(rest.last().unwrap(), "line 99999");
        assert!(lines.flush(Duration::from_secs(20)));
        lines.push(b"once more".to_vec());
        assert_eq!(taken.recv_timeout(Duration::from_secs(20)).as_deref(), Ok("once more"));
        assert_eq!(*REPORTED.lock().unwrap(), [counter.get()], "reported once");
        assert_eq!(counter.get(), 100_000 - waiting);
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let (_permit, _taken, gate) = gate();
        let lines = Lines::new(gate, |_| ());
        for _ in 0..100 {
            lines.push(vec![b'x'; 100_000]);
        }
        let queue = lines.0.lock();
        assert!(queue.bytes <= MOST_BYTES && queue.dropped >= 89, "{} {}", queue.bytes, queue.dropped);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_the_next_line_is_tried() {
        let (permit, taken, gate) = gate();
        let lines = Lines::new(gate, |_| ());
        lines.push(b"lost\n".to_vec());
        permit.send(Err(io::Error::from(ErrorKind::StorageFull))).unwrap();
        assert!(lines.flush(Duration::from_secs(20)));
        assert_eq!(lines.0.lock().dropped, 1);
        drop(permit);
        lines.push(b"kept\n".to_vec());
        assert_eq!(taken.recv_timeout(Duration::from_secs(20)).as_deref(), Ok("kept\n"));
    }

    /// Accepts five bytes, then none for one write, then all.
    struct Cutting(Vec<u8>, usize, mpsc::Sender<Vec<u8>>);

    impl Write for Cutting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            let count = match self.1 {
                1 => 5,
                2 => return Err(io::Error::from(ErrorKind::StorageFull)),
                _ => bytes.len(),
            };
            self.0.extend(&bytes[..count]);
            self.2.send(self.0.clone()).unwrap();
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_cut_spoils_no_other() {
        let (sent, seen) = mpsc::channel();
        let lines = Lines::new(Cutting(Vec::new(), 0, sent), |_| ());
        lines.push(b"cut in its middle\n".to_vec());
        lines.push(b"whole\n".to_vec());
        assert!(lines.flush(Duration::from_secs(20)));
        assert_eq!(seen.try_iter().last().unwrap(), b"cut i\nwhole\n");
    }
}
