//! The partial order of pieces while they are made: who reads what whom stores. Depends on `cluster`.
//! Invariant: a piece stands higher than all that read from it, directly or through others, so most questions end at once.

use std::cell::RefCell;

use super::cluster::find;

/// A graph without cycles that grows and whose nodes merge.
#[derive(Debug, Default)]
pub(super) struct Order {
    merged_into: Vec<usize>,
    /// Pieces that read what a piece stores, and the reverse; some may have been merged since.
    readers: Vec<Vec<usize>>,
    sources: Vec<Vec<usize>>,
    heights: Vec<usize>,
    /// Pieces seen by a question carry its number.
    seen: RefCell<(Vec<usize>, usize)>,
}

impl Order {
    /// A new piece that nobody reads.
    pub(super) fn open(&mut self) {
        self.merged_into.push(self.readers.len());
        self.readers.push(Vec::new());
        self.sources.push(Vec::new());
        self.heights.push(0);
        self.seen.get_mut().0.push(0);
    }

    fn find(&self, piece: usize) -> usize {
        find(&self.merged_into, piece)
    }

    /// Who reads what a piece stores.
    pub(super) fn readers(&self, piece: usize) -> impl Iterator<Item = usize> {
        self.readers[piece].iter().map(|&reader| self.find(reader))
    }

    /// Notes that `reader` reads what `piece` stores; the order stays without cycles.
    pub(super) fn connect(&mut self, piece: usize, reader: usize) {
        if !self.readers[piece].contains(&reader) {
            self.readers[piece].push(reader);
            self.sources[reader].push(piece);
            self.raise(piece, self.heights[reader] + 1);
        }
    }

    /// Makes `other` part of `piece`, neither of which reaches the other through a third.
    pub(super) fn merge(&mut self, piece: usize, other: usize) {
        self.merged_into[other] = piece;
        let (readers, sources) = (std::mem::take(&mut self.readers[other]), std::mem::take(&mut self.sources[other]));
        self.readers[piece].extend(readers);
        self.sources[piece].extend(sources);
        let within = |list: &mut Vec<usize>, merged: &[usize]| list.retain(|&p| find(merged, p) != piece);
        within(&mut self.readers[piece], &self.merged_into);
        within(&mut self.sources[piece], &self.merged_into);
        let height = self.readers(piece).map(|reader| self.heights[reader] + 1).max().unwrap_or(0);
        self.heights[piece] = self.heights[piece].max(self.heights[other]);
        self.raise(piece, height);
        for source in self.sources[piece].clone() {
            self.raise(self.find(source), self.heights[piece] + 1);
        }
    }

    /// Lifts a piece, and what it reads from.
    fn raise(&mut self, piece: usize, height: usize) {
        let mut stack = vec![(piece, height)];
        while let Some((piece, height)) = stack.pop() {
            if self.heights[piece] < height {
                self.heights[piece] = height;
                stack.extend(self.sources[piece].iter().map(|&source| (self.find(source), height + 1)));
            }
        }
    }

    /// Whether `to` is one of `from`, or reads, directly or through others, what one of them stores.
    pub(super) fn reaches(&self, from: &[usize], to: usize) -> bool {
        let mut seen = self.seen.borrow_mut();
        seen.1 += 1;
        let question = seen.1;
        let mut stack: Vec<usize> = from.iter().map(|&piece| self.find(piece)).collect();
        while let Some(piece) = stack.pop() {
            if piece == to {
                return true;
            }
            if self.heights[piece] > self.heights[to] && std::mem::replace(&mut seen.0[piece], question) != question {
                stack.extend(self.readers(piece));
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    fn chain(pieces: usize) -> Order {
        let mut order = Order::default();
        (0..pieces).for_each(|_| order.open());
        (1..pieces).for_each(|piece| order.connect(piece, piece - 1));
        order
    }

    #[test]
    fn what_is_stored_reaches_its_readers_and_not_back() {
        let order = chain(5);
        assert!(order.reaches(&[4], 0));
        assert!(!order.reaches(&[0], 4));
        assert!(order.reaches(&[2], 2));
    }

    #[test]
    fn a_merged_piece_stands_above_the_readers_of_both() {
        let mut order = chain(3);
        (0..3).for_each(|_| order.open());
        // 5 -> 4 -> 3, and 3 becomes part of 2: now 5 reaches 0.
        order.connect(4, 3);
        order.connect(5, 4);
        order.merge(2, 3);
        assert!(order.reaches(&[5], 0));
        assert!(order.reaches(&[4], 2));
        assert!(!order.reaches(&[1], 5));
    }
}
