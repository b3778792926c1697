//! Decides what shares a kernel: clusters of pointwise work and reductions, products with epilogues, routines of their own.
//! Depends on `snapshot`, `cluster` and `map`. Invariant: the kernels and what they read from each other form no cycle.
//!
//! Entries are placed from users to inputs, so that every user of an entry has its kernel when the entry is placed. An
//! entry is either *inlined* into the clusters that use it, computed where it is needed, or has a *home*: the kernel that
//! stores it. Inlined and stored in the same cluster at once is the common case of an output inside a fused expression.

use smallvec::SmallVec;

use super::Options;
use super::cluster::{Cluster, ClusterStore, Fused, MAX_CHAIN_ROW, Piece, find};
use super::map::IndexMap;
use super::partial::Order;
use super::room::{Change, Limits};
use super::snapshot::{Snapshot, Source};
use super::strided::Strided;
use crate::dtype::DType;
use crate::graph::{Lowering, Pointwise, View};
use crate::shape::Shape;

/// Steps that one cluster may hold, and tensors that it may read: a tile's values stay in the first-level cache.
const MAX_STEPS: usize = 96;
const MAX_OPERANDS: usize = 20;
/// Steps that may be repeated in several clusters, one below the other.
const MAX_REPEATED: usize = 4;
/// Clusters that a user of the same entry is tried to be merged with.
const MAX_TRIED: usize = 4;
/// How many times the elements of an entry a piece must meet for the entry to count for little beside it.
const MUCH_MORE: usize = 8;
/// Work of the products that the commit phase may hold, which cannot be interrupted: some tens of milliseconds.
const MAX_COMMIT_FLOPS: f64 = 2e10;

#[derive(Clone, Debug)]
struct Use {
    piece: usize,
    map: IndexMap,
    /// How many users in a row are computed more than once.
    repeated: usize,
}

struct Fuser<'a> {
    snapshot: &'a Snapshot,
    options: Options,
    limits: Limits,
    pieces: Vec<Piece>,
    merged_into: Vec<usize>,
    order: Order,
    home: Vec<Option<usize>>,
    uses: Vec<Vec<Use>>,
    /// Pieces that need the entry in memory whatever happens.
    readers: Vec<Vec<usize>>,
    in_memory: Vec<bool>,
    /// Views that must lie in memory row-major.
    contiguous: Vec<bool>,
    /// Whether computing the entry anew involves a dear function.
    dear: Vec<bool>,
    /// Work of the products that wait for the commit phase.
    committed: f64,
}

/// Places every entry.
pub(super) fn fuse(snapshot: &Snapshot, options: Options, limits: Limits) -> Fused {
    let count = snapshot.entries.len();
    let mut fuser = Fuser {
        snapshot,
        options,
        limits,
        pieces: Vec::new(),
        merged_into: Vec::new(),
        order: Order::default(),
        home: vec![None; count],
        uses: vec![Vec::new(); count],
        readers: vec![Vec::new(); count],
        in_memory: vec![false; count],
        contiguous: vec![false; count],
        dear: Vec::with_capacity(count),
        committed: 0.0,
    };
    for entry in 0..count {
        let below =
            snapshot.entries[entry].inputs.iter().any(|input| matches!(input, Source::Entry(e, _) if fuser.dear[*e]));
        fuser.dear.push(match snapshot.lowering(entry) {
            Lowering::View(_) => below,
            Lowering::Pointwise(work) => below || !is_cheap(&work),
            _ => false,
        });
    }
    for &(entry, _) in &snapshot.outputs {
        fuser.in_memory[entry] = true;
        fuser.contiguous[entry] = true;
    }
    for entry in (0..count).rev() {
        fuser.place(entry);
    }
    Fused { pieces: fuser.pieces, home: fuser.home, merged_into: fuser.merged_into }
}

fn is_cheap(work: &Pointwise) -> bool {
    match work {
        Pointwise::Code(code) => code.is_cheap(),
        Pointwise::Random { .. } => false,
        Pointwise::Cast | Pointwise::Scalar | Pointwise::Index | Pointwise::Check { .. } => true,
    }
}

impl Fuser<'_> {
    fn place(&mut self, entry: usize) {
        match self.snapshot.lowering(entry) {
            Lowering::View(view) => self.place_view(entry, &view),
            Lowering::Pointwise(work) => self.place_pointwise(entry, &work),
            Lowering::Reduce { axes, .. } => self.place_reduce(entry, &axes),
            Lowering::Matmul => self.place_matmul(entry),
            Lowering::Structured(_) => {
                let piece = self.open(Piece::Structured { entry });
                self.settle(entry, piece);
                self.require_operands(entry, piece);
            }
            Lowering::Transfer(_) => unreachable!("transfers are done before planning"),
        }
    }

    fn shape(&self, entry: usize) -> &Shape {
        &self.snapshot.entries[entry].node.outputs[0].meta.shape
    }

    fn open(&mut self, piece: Piece) -> usize {
        self.pieces.push(piece);
        self.merged_into.push(self.pieces.len() - 1);
        self.order.open();
        self.pieces.len() - 1
    }

    fn find(&self, piece: usize) -> usize {
        find(&self.merged_into, piece)
    }

    fn cluster(&mut self, piece: usize) -> Option<&mut Cluster> {
        match &mut self.pieces[piece] {
            Piece::Cluster(cluster) | Piece::Matmul { epilogue: Some(cluster), .. } => Some(cluster),
            _ => None,
        }
    }

    fn domain(&mut self, piece: usize) -> SmallVec<[usize; 4]> {
        self.cluster(piece).map(|cluster| cluster.domain.clone()).unwrap_or_default()
    }

    /// Gives an entry its home; everyone who uses it elsewhere reads it from there.
    fn settle(&mut self, entry: usize, piece: usize) {
        self.home[entry] = Some(piece);
        for reader in self.readers_of(entry) {
            if reader != piece {
                self.order.connect(piece, reader);
            }
        }
    }

    fn readers_of(&self, entry: usize) -> SmallVec<[usize; 8]> {
        let mut readers: SmallVec<[usize; 8]> = self.readers[entry].iter().map(|&piece| self.find(piece)).collect();
        readers.extend(self.uses[entry].iter().map(|u| self.find(u.piece)));
        readers.sort_unstable();
        readers.dedup();
        readers
    }

    /// `piece` needs `source` in memory, with any strides.
    fn require(&mut self, source: Source, piece: usize) {
        if let Source::Entry(entry, _) = source {
            self.in_memory[entry] = true;
            self.readers[entry].push(piece);
        }
    }

    fn require_operands(&mut self, entry: usize, piece: usize) {
        for input in self.snapshot.entries[entry].inputs.clone() {
            self.require(input, piece);
        }
    }

    /// Notes that a cluster reads `source` at `map`.
    fn use_in(&mut self, piece: usize, source: Source, map: IndexMap, repeated: usize) {
        if let Some(cluster) = self.cluster(piece) {
            cluster.operands.insert(source);
            if let Source::Leaf(leaf) = source {
                cluster.leaves.push((leaf, map.clone()));
            }
        }
        if let Source::Entry(entry, _) = source
            && !self.uses[entry].iter().any(|u| self.find(u.piece) == piece && u.map == map)
        {
            self.uses[entry].push(Use { piece, map, repeated });
        }
    }

    fn place_view(&mut self, entry: usize, view: &View) {
        let input = self.snapshot.entries[entry].inputs[0];
        let (from, to) = (self.snapshot.meta(input).shape.clone(), self.shape(entry).clone());
        let slots = self.snapshot.entries[entry].slots;
        for u in self.uses[entry].clone() {
            let piece = self.find(u.piece);
            let domain = self.domain(piece);
            match u.map.through(view, &from, &to, slots, &domain) {
                Some(map) => {
                    if let Some(cluster) = self.cluster(piece) {
                        cluster.operands.remove(&Source::Entry(entry, 0));
                    }
                    self.use_in(piece, input, map, u.repeated);
                }
                None => self.require(Source::Entry(entry, 0), piece),
            }
        }
        if !self.in_memory[entry] {
            return;
        }
        let readers = self.readers[entry].clone();
        match Strided::of(self.snapshot, Source::Entry(entry, 0)) {
            Some(strided) if !self.contiguous[entry] || strided.is_contiguous() => {
                if let Source::Entry(base, _) = strided.base {
                    self.in_memory[base] = true;
                    self.readers[base].extend(readers);
                }
            }
            _ => self.copy(entry, view, input),
        }
    }

    /// Stores a view row-major: a cluster that computes nothing else. A reshape that cannot be walked in its own order is walked in its
    /// input's, which is the same.
    fn copy(&mut self, entry: usize, view: &View, input: Source) {
        let shape = self.shape(entry).clone();
        let from = self.snapshot.meta(input).shape.clone();
        let slots = self.snapshot.entries[entry].slots;
        let own = IndexMap::identity(&shape);
        let (domain, source, map, inner) = match own.through(view, &from, &shape, slots, &shape) {
            Some(inner) => (shape, Source::Entry(entry, 0), own, inner),
            None => (from.clone(), input, IndexMap::identity(&from), IndexMap::identity(&from)),
        };
        let cluster = Cluster {
            split: domain.rank(),
            domain: domain.iter().copied().collect(),
            stores: vec![ClusterStore { entry, source, map }],
            ..Cluster::default()
        };
        let piece = self.open(Piece::Cluster(cluster));
        self.settle(entry, piece);
        self.use_in(piece, input, inner, 0);
    }

    /// The uses of an entry in clusters, with pieces resolved.
    fn resolved_uses(&self, entry: usize) -> Vec<Use> {
        let mut uses: Vec<Use> = Vec::new();
        for u in &self.uses[entry] {
            let piece = self.find(u.piece);
            if !uses.iter().any(|known| known.piece == piece && known.map == u.map) {
                uses.push(Use { piece, ..u.clone() });
            }
        }
        uses
    }

    /// Whether a piece may compute an entry that it reads, and store it too.
    fn has_room(&self, piece: usize, entry: usize, stored: bool) -> bool {
        let (cluster, besides) = match &self.pieces[piece] {
            Piece::Cluster(cluster) => (cluster, SmallVec::new()),
            Piece::Matmul { entry, epilogue: Some(cluster) } => (cluster, self.of_product(*entry)),
            _ => return false,
        };
        let own = Source::Entry(entry, 0);
        let more = &self.snapshot.entries[entry].inputs;
        let change = Change { more, gone: Some(own), stored: stored.then_some(own) };
        cluster.steps < MAX_STEPS
            && cluster.operands.len() < MAX_OPERANDS
            && self.limits.allow(self.snapshot, cluster, &change, &besides)
    }

    /// What a product reads and makes.
    fn of_product(&self, entry: usize) -> SmallVec<[Source; 3]> {
        let operands = self.snapshot.entries[entry].inputs.iter().copied();
        operands.chain([Source::Entry(entry, 0)]).collect()
    }

    fn place_pointwise(&mut self, entry: usize, work: &Pointwise) {
        let uses = self.resolved_uses(entry);
        let free = matches!(work, Pointwise::Scalar | Pointwise::Index);
        if !self.in_memory[entry] {
            let join = free || (self.options.fuse && self.may_inline(entry, work, &uses));
            if join {
                let uses = self.resolved_uses(entry);
                let several = uses.len() > 1;
                for u in uses {
                    self.inline_pointwise(entry, u, several);
                }
                return;
            }
            self.in_memory[entry] = true;
        }
        let shape = self.shape(entry).clone();
        if self.options.fuse {
            let uses = self.resolved_uses(entry);
            for u in &uses {
                // Elsewhere in the cluster that makes it, the entry is computed anew: it is not in memory yet.
                let places: Vec<Use> = uses.iter().filter(|other| other.piece == u.piece).cloned().collect();
                let one_place = places.len() == 1;
                let repeats = |place: &Use| place.repeated < MAX_REPEATED;
                if (one_place || (is_cheap(work) && places.iter().all(repeats))) && self.may_store_in(entry, u, &shape)
                {
                    self.store_in(entry, u);
                    for place in places {
                        self.inline_pointwise(entry, place, !one_place);
                    }
                    return;
                }
            }
        }
        let map = IndexMap::identity(&shape);
        let cluster = Cluster { split: shape.rank(), domain: shape.iter().copied().collect(), ..Cluster::default() };
        let piece = self.open(Piece::Cluster(cluster));
        let u = Use { piece, map, repeated: 0 };
        self.store_in(entry, &u);
        self.inline_pointwise(entry, u, false);
    }

    /// Whether everyone who uses the entry may compute it for himself; merges clusters where that lets them share it.
    fn may_inline(&mut self, entry: usize, work: &Pointwise, uses: &[Use]) -> bool {
        let crowded = |fuser: &Self, uses: &[Use]| uses.iter().any(|u| !fuser.has_room(u.piece, entry, false));
        if crowded(self, uses) || !self.readers[entry].is_empty() {
            return false;
        }
        if uses.len() > 1 {
            self.merge_users(uses);
        }
        let uses = self.resolved_uses(entry);
        if !self.limits.is_none() && crowded(self, &uses) {
            return false;
        }
        if uses.len() == 1 {
            return true;
        }
        let is_mask = self.snapshot.entries[entry].node.outputs[0].meta.dtype == DType::Bool;
        (is_cheap(work) || self.is_slight(entry, &uses))
            && !(is_mask && self.dear[entry])
            && uses.iter().all(|u| u.repeated < MAX_REPEATED)
    }

    /// Whether each of several users computes the entry once per row or element of its own, and one of them does so much more work that
    /// nobody should wait for another.
    fn is_slight(&mut self, entry: usize, uses: &[Use]) -> bool {
        let elements = self.shape(entry).elements();
        let mut most = 0;
        for u in uses {
            let domain = self.domain(u.piece);
            let work = domain.iter().product::<usize>();
            if work > elements && u.map.depends_on_axes_from(domain.len().saturating_sub(1)) {
                return false;
            }
            most = most.max(work);
        }
        most >= MUCH_MORE * elements
    }

    /// Merges the clusters that use one entry at the same place, where their domains agree and none waits for another.
    fn merge_users(&mut self, uses: &[Use]) {
        let pairs = (0..uses.len()).flat_map(|later| (0..later.min(MAX_TRIED)).map(move |first| (first, later)));
        for (first, later) in pairs {
            let (a, b) = (self.find(uses[first].piece), self.find(uses[later].piece));
            if a == b || uses[first].map != uses[later].map {
                continue;
            }
            let (Piece::Cluster(x), Piece::Cluster(y)) = (&self.pieces[a], &self.pieces[b]) else { continue };
            let room = x.steps + y.steps <= MAX_STEPS && x.operands.union(&y.operands).count() <= MAX_OPERANDS;
            let operands: SmallVec<[Source; 8]> = y.operands.iter().copied().collect();
            let stores: SmallVec<[Source; 8]> = y.stores.iter().map(|store| Source::Entry(store.entry, 0)).collect();
            let joined = Change { more: &operands, ..Change::default() };
            let room = room && self.limits.allow(self.snapshot, x, &joined, &stores);
            let Some(split) = x.common_split(y).filter(|_| room) else { continue };
            if self.order.reaches(&[a], b) || self.order.reaches(&[b], a) {
                continue;
            }
            let Piece::Cluster(cluster) = std::mem::replace(&mut self.pieces[b], Piece::Merged) else { unreachable!() };
            self.merged_into[b] = a;
            self.order.merge(a, b);
            let into = self.cluster(a).expect("a is a cluster");
            into.split = split;
            into.stores.extend(cluster.stores);
            into.leaves.extend(cluster.leaves);
            into.operands.extend(cluster.operands);
            into.steps += cluster.steps;
        }
    }

    fn inline_pointwise(&mut self, entry: usize, u: Use, several: bool) {
        if let Some(cluster) = self.cluster(u.piece) {
            cluster.steps += 1;
            cluster.operands.remove(&Source::Entry(entry, 0));
        }
        let repeated = if several { u.repeated + 1 } else { u.repeated };
        for input in self.snapshot.entries[entry].inputs.clone() {
            self.use_in(u.piece, input, u.map.clone(), repeated);
        }
    }

    /// Whether a cluster that uses the entry may also store it: it meets every element once, and feeds nobody that it waits for.
    fn may_store_in(&mut self, entry: usize, u: &Use, shape: &Shape) -> bool {
        let room = self.has_room(u.piece, entry, true);
        let covered = self.cluster(u.piece).is_some_and(|cluster| cluster.covered_by(&u.map, shape));
        if !room || !covered || self.must_be_there_before(entry, u.piece) {
            return false;
        }
        let others: Vec<usize> = self.readers_of(entry).into_iter().filter(|&reader| reader != u.piece).collect();
        !self.order.reaches(&others, u.piece)
    }

    /// Whether a piece reads the entry from memory besides, as the operand of a product or in another order.
    fn must_be_there_before(&self, entry: usize, piece: usize) -> bool {
        self.readers[entry].iter().any(|&reader| self.find(reader) == piece)
    }

    fn store_in(&mut self, entry: usize, u: &Use) {
        if let Some(cluster) = self.cluster(u.piece) {
            cluster.stores.push(ClusterStore { entry, source: Source::Entry(entry, 0), map: u.map.clone() });
        }
        self.settle(entry, u.piece);
    }

    fn place_reduce(&mut self, entry: usize, axes: &[usize]) {
        let uses = self.resolved_uses(entry);
        let input = self.snapshot.entries[entry].inputs[0];
        let from = self.snapshot.meta(input).shape.clone();
        let extents: SmallVec<[usize; 4]> = axes.iter().map(|&axis| from[axis]).collect();
        let shape = self.shape(entry).clone();
        if self.options.fuse && !uses.is_empty() {
            if uses.len() > 1 && uses.iter().all(|u| self.row_form(u, &shape, &extents).is_some()) {
                self.merge_users(&uses);
            }
            let uses = self.resolved_uses(entry);
            let is_short = self.delays_much(&uses, from.elements());
            for u in uses.iter().take(if is_short { 0 } else { MAX_TRIED }) {
                let others: Vec<usize> =
                    self.readers_of(entry).into_iter().filter(|&reader| reader != u.piece).collect();
                // Two places in one cluster: the row's own, and one that would need it from memory while it is being made.
                let one_place = uses.iter().all(|other| other.piece != u.piece || other.map == u.map);
                if let Some(split) = self.row_form(u, &shape, &extents)
                    && one_place
                    && self.has_room(u.piece, entry, true)
                    && !self.must_be_there_before(entry, u.piece)
                    && !self.order.reaches(&others, u.piece)
                {
                    let cluster = self.cluster(u.piece).expect("a row form has a cluster");
                    if split == cluster.domain.len() && cluster.inner().is_empty() {
                        cluster.domain.extend(extents.iter().copied());
                    }
                    cluster.split = split;
                    cluster.steps += 1;
                    cluster.operands.remove(&Source::Entry(entry, 0));
                    let first = cluster.split;
                    if self.in_memory[entry] || !others.is_empty() {
                        self.store_in(entry, u);
                    }
                    let map = u.map.unreduced(&from, axes, first);
                    self.use_in(u.piece, input, map, u.repeated);
                    return;
                }
            }
        }
        let mut domain: SmallVec<[usize; 4]> = shape.iter().copied().collect();
        domain.extend(extents);
        let map = IndexMap::identity(&shape);
        let split = shape.rank();
        let piece = self.open(Piece::Cluster(Cluster { split, domain, steps: 1, ..Cluster::default() }));
        self.store_in(entry, &Use { piece, map: map.clone(), repeated: 0 });
        self.use_in(piece, input, map.unreduced(&from, axes, split), 0);
    }

    /// Whether several pieces read a fold of `elements` and one of them does so much more work that it should not wait for whatever else
    /// the fold would be computed with: such as the number of labels that count, by which every element of a gradient is divided.
    fn delays_much(&mut self, uses: &[Use], elements: usize) -> bool {
        let is_one = uses.iter().all(|u| u.piece == uses[0].piece);
        let work = |domain: SmallVec<[usize; 4]>| domain.iter().product::<usize>();
        !is_one && uses.iter().any(|u| work(self.domain(u.piece)) >= MUCH_MORE * elements)
    }

    /// Where a cluster's rows end if it is to fold `extents` into a result that it reads at `u.map`; `None` where it cannot.
    fn row_form(&mut self, u: &Use, shape: &Shape, extents: &[usize]) -> Option<usize> {
        let cluster = match &self.pieces[u.piece] {
            Piece::Cluster(cluster) if !cluster.is_epilogue => cluster,
            _ => return None,
        };
        let domain = &cluster.domain;
        if !cluster.inner().is_empty() {
            let fits = cluster.inner() == extents
                && !u.map.depends_on_axes_from(cluster.split)
                && u.map.covers(shape, &domain[..cluster.split]);
            return fits.then_some(cluster.split);
        }
        // Everything in the cluster happens once per row, after the reduction.
        if u.map.covers(shape, domain) {
            return Some(domain.len());
        }
        // The cluster's last axes are the row, which it walks again.
        let split = domain.len().checked_sub(extents.len())?;
        let length: usize = extents.iter().product();
        let fits = domain[split..] == *extents
            && !u.map.depends_on_axes_from(split)
            && u.map.covers(shape, &domain[..split])
            && length <= MAX_CHAIN_ROW;
        fits.then_some(split)
    }

    fn place_matmul(&mut self, entry: usize) {
        let piece = self.open(Piece::Matmul { entry, epilogue: None });
        self.settle(entry, piece);
        self.require_operands(entry, piece);
        if !self.options.fuse {
            return;
        }
        let shape = self.shape(entry).clone();
        let uses = self.resolved_uses(entry);
        for u in &uses {
            let Piece::Cluster(cluster) = &self.pieces[u.piece] else { continue };
            // Elements beside the own one may not be there yet.
            let own = |other: &Use| other.piece != u.piece || other.map.covers(&shape, &cluster.domain);
            if !cluster.inner().is_empty() || !uses.iter().all(own) || self.must_be_there_before(entry, u.piece) {
                continue;
            }
            let besides = self.of_product(entry);
            if !self.limits.allow(self.snapshot, cluster, &Change::default(), &besides) {
                continue;
            }
            let work = if self.updates_in_place(cluster) { self.work_to_commit(entry, cluster) } else { Some(0.0) };
            let Some(work) = work else { continue };
            let others: Vec<usize> =
                self.order.readers(piece).map(|reader| self.find(reader)).filter(|&p| p != u.piece).collect();
            if self.order.reaches(&others, u.piece) {
                continue;
            }
            let Piece::Cluster(mut cluster) = std::mem::replace(&mut self.pieces[u.piece], Piece::Merged) else {
                unreachable!()
            };
            cluster.is_epilogue = true;
            self.committed += work;
            self.pieces[piece] = Piece::Matmul { entry, epilogue: Some(cluster) };
            self.merged_into[u.piece] = piece;
            self.order.merge(piece, u.piece);
            return;
        }
    }

    /// Floating-point operations of a product that may wait for the commit phase together with work that overwrites leaves: all such
    /// products are short, none multiplies one of these leaves, and what waits with it is no more than its result, which would wait else.
    fn work_to_commit(&self, entry: usize, cluster: &Cluster) -> Option<f64> {
        let inputs = &self.snapshot.entries[entry].inputs;
        let operands = [Strided::of(self.snapshot, inputs[0])?, Strided::of(self.snapshot, inputs[1])?];
        let multiplied = |leaf: usize| {
            let buffer = self.snapshot.leaves[leaf].buffer;
            let is = |source| matches!(source, Source::Leaf(read) if self.snapshot.leaves[read].buffer == buffer);
            operands.iter().any(|operand| is(operand.base))
        };
        let inner = operands[0].shape[operands[0].shape.rank() - 1];
        let work = 2.0 * inner as f64 * self.shape(entry).elements() as f64;
        let waiting = |operand: &Strided| match operand.base {
            Source::Entry(entry, output) => self.snapshot.meta(Source::Entry(entry, output)).shape.elements(),
            Source::Leaf(_) => 0,
        };
        let is_smaller = operands.iter().map(waiting).sum::<usize>() <= self.shape(entry).elements();
        let fits = is_smaller && self.committed + work <= MAX_COMMIT_FLOPS;
        (fits && !cluster.leaves.iter().any(|&(leaf, _)| multiplied(leaf))).then_some(work)
    }

    /// Whether a result of the cluster may take over a leaf's buffer: such work must wait for the commit phase.
    fn updates_in_place(&self, cluster: &Cluster) -> bool {
        cluster.leaves.iter().any(|(leaf, map)| {
            let leaf = &self.snapshot.leaves[*leaf];
            leaf.donatable
                && map.covers(leaf.tensor.shape(), &cluster.domain)
                && cluster.stores.iter().any(|&ClusterStore { entry, .. }| {
                    let meta = &self.snapshot.entries[entry].node.outputs[0].meta;
                    let is_output = self.snapshot.outputs.iter().any(|&(output, _)| output == entry);
                    is_output
                        && meta.dtype == leaf.tensor.dtype()
                        && meta.shape.elements() == leaf.tensor.shape().elements()
                })
        })
    }
}
