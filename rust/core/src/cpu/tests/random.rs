//! Random Groups with random memory: domains, strides, guards, dtypes, folds, results in place.
//! Depends on `naive`. Invariant: a Group follows from its seed.

use smallvec::SmallVec;

use super::naive::Memory;
use crate::code::{Code, Fold};
use crate::dtype::{DType, Scalar};
use crate::group::{Access, Affine, Group, Guard, Instr, Linear, Scope, Store, Value};
use crate::plan::row_major;

/// A generator of numbers: xorshift.
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A Group with what it runs on.
pub(super) struct Case {
    pub(super) group: Group,
    pub(super) memories: Vec<Memory>,
    /// Per argument: whether it is written, and the argument whose memory it takes over.
    pub(super) outputs: Vec<Option<Option<usize>>>,
    pub(super) slots: Vec<u64>,
}

struct Maker {
    numbers: Numbers,
    sizes: Vec<usize>,
    outer: usize,
    case: Case,
    /// Arguments that some load reads with guards or more than once; nothing may take them over.
    taken: Vec<bool>,
}

const DTYPES: [DType; 13] = DType::ALL;

/// A few elements of any dtype, floats small and round enough for all of them; some NaN and infinities.
pub(super) fn elements(numbers: &mut Numbers, dtype: DType, count: usize, specials: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * dtype.size());
    for _ in 0..count {
        let number = numbers.below(2001) as f64 / 250.0 - 4.0;
        let number = match numbers.below(200) {
            0 if specials => f64::NAN,
            1 if specials => f64::INFINITY,
            _ => number,
        };
        let bits = if dtype.is_float() {
            Scalar::Float(number).to_slot(dtype)
        } else {
            Scalar::Int(numbers.below(256) as i128 - 128).to_slot(dtype)
        };
        let mut element = [0u8; 8];
        // SAFETY: one element fits eight bytes.
        unsafe { crate::kit::tiles::store(dtype, 1, (&raw const bits).cast(), element.as_mut_ptr(), 1) };
        bytes.extend_from_slice(&element[..dtype.size()]);
    }
    bytes
}

impl Maker {
    fn linear(&mut self, value: i64) -> Linear {
        let mut linear = Linear::constant(value);
        if self.numbers.chance(30) {
            let part = self.numbers.below(20) as i64;
            self.case.slots.push(part as u64);
            linear.constant -= 2 * part;
            linear.terms.push((self.case.slots.len() - 1, 2));
        }
        linear
    }

    fn push(&mut self, instr: Instr, dtype: DType, scope: Scope) -> usize {
        let stage = 0;
        self.case.group.values.push(Value { instr, dtype, scope, stage });
        self.case.group.values.len() - 1
    }

    /// Strides of memory that holds the axes in some order, some of them reversed, repeated or with gaps.
    fn load(&mut self, dtype: DType, scope: Scope) -> usize {
        let rank = if scope == Scope::Row { self.outer } else { self.sizes.len() };
        let mut order: Vec<usize> = (0..rank).collect();
        if self.numbers.chance(40) && rank > 1 {
            let (a, b) = (self.numbers.below(rank), self.numbers.below(rank));
            order.swap(a, b);
        }
        let repeated = if self.numbers.chance(35) { self.numbers.below(1 << rank) } else { 0 };
        let guarded = if rank > 0 && self.numbers.chance(25) { Some(self.numbers.below(rank)) } else { None };
        let mut strides: SmallVec<[i64; 4]> = SmallVec::from_elem(0, self.sizes.len());
        let (mut step, mut low, mut offset) = (1i64, 0i64, 0i64);
        let mut guards = SmallVec::new();
        for &axis in order.iter().rev() {
            if repeated >> axis & 1 == 1 {
                continue;
            }
            if self.numbers.chance(10) {
                step *= 2;
            }
            let stride = if self.numbers.chance(12) { -step } else { step };
            let mut size = self.sizes[axis];
            strides[axis] = stride;
            if guarded == Some(axis) {
                let before = self.numbers.below(3) as i64;
                size = self.numbers.below(size + 2);
                let mut position =
                    Affine { offset: self.linear(-before), strides: SmallVec::from_elem(0, self.sizes.len()) };
                position.strides[axis] = 1;
                guards.push(Guard { position, size });
                offset -= before * stride;
            }
            low += (stride * (size.max(1) as i64 - 1)).min(0);
            step *= size.max(1) as i64;
        }
        let count = step as usize + 3;
        let specials = self.numbers.chance(20);
        let bytes = elements(&mut self.numbers, dtype, count, specials);
        let index = Affine { offset: self.linear(offset), strides };
        self.case.memories.push(Memory { bytes, first: 1 - low as isize });
        self.taken.push(low != 0 || !guards.is_empty());
        self.case.outputs.push(None);
        let access = Access { index, guards };
        self.push(Instr::Load { argument: self.case.memories.len() - 1, access }, dtype, scope)
    }

    fn affine(&mut self, scope: Scope) -> Affine {
        let rank = if scope == Scope::Row { self.outer } else { self.sizes.len() };
        let mut strides: SmallVec<[i64; 4]> = SmallVec::from_elem(0, self.sizes.len());
        for stride in strides.iter_mut().take(rank) {
            *stride = self.numbers.pick(&[-7, 0, 1, 1, 5, 12]);
        }
        Affine { offset: self.linear(3), strides }
    }

    fn source(&mut self, scope: Scope) -> usize {
        match self.numbers.below(12) {
            0 => {
                let dtype = self.numbers.pick(&DTYPES);
                let slot = if dtype.is_float() { Scalar::Float(1.5) } else { Scalar::Int(3) }.to_slot(dtype);
                self.case.slots.push(slot);
                let slot = self.case.slots.len() - 1;
                self.push(Instr::Scalar { slot }, dtype, Scope::Row)
            }
            1 => {
                let index = self.affine(scope);
                self.push(Instr::Index { index }, DType::I64, scope)
            }
            2 => {
                let mut index = self.affine(scope);
                index.strides.iter_mut().for_each(|stride| *stride = stride.abs());
                self.case.slots.extend([0x1234_5678_9abc, 77]);
                let slots = self.case.slots.len();
                let dtype = if self.numbers.below(2) == 0 { DType::U32 } else { DType::F32 };
                self.push(Instr::Random { index, key: slots - 2, counter: slots - 1, stream: 5 }, dtype, scope)
            }
            3 => {
                let position = self.affine(scope);
                let guards = SmallVec::from_iter([Guard { position, size: 9 }]);
                self.push(Instr::Inside { guards }, DType::Bool, scope)
            }
            _ => {
                let dtype = if self.numbers.chance(50) { DType::F32 } else { self.numbers.pick(&DTYPES) };
                self.load(dtype, scope)
            }
        }
    }

    fn scope(&self, ids: &[usize]) -> Scope {
        ids.iter().map(|&id| self.case.group.values[id].scope).max().unwrap_or(Scope::Row)
    }

    fn dtype(&self, id: usize) -> DType {
        self.case.group.values[id].dtype
    }

    /// The value cast to a dtype, if it has another.
    fn cast(&mut self, id: usize, dtype: DType) -> usize {
        if self.dtype(id) == dtype {
            return id;
        }
        self.push(Instr::Cast { operand: id }, dtype, self.scope(&[id]))
    }

    fn function(&mut self) {
        let count = self.case.group.values.len();
        let first = self.numbers.below(count);
        let dtype = self.dtype(first);
        let code = loop {
            let code = self.numbers.pick(&Code::ALL);
            if code.takes(dtype) {
                break code;
            }
        };
        let mut operands: SmallVec<[usize; 3]> = SmallVec::new();
        for position in 0..code.arity() {
            let id = if position + 1 == code.arity() { first } else { self.numbers.below(count) };
            let wanted = if code == Code::Where && position == 0 { DType::Bool } else { dtype };
            operands.push(self.cast(id, wanted));
        }
        let scope = self.scope(&operands);
        let result = if code.is_predicate() { DType::Bool } else { dtype };
        self.push(Instr::Pointwise { code, operands }, result, scope);
    }

    fn reduce(&mut self) {
        let elements: Vec<usize> = (0..self.case.group.values.len())
            .filter(|&id| self.case.group.values[id].scope == Scope::Element)
            .collect();
        let operand = self.numbers.pick(&elements);
        let folds = [Fold::Sum, Fold::Prod, Fold::Max, Fold::Min, Fold::ArgMax, Fold::ArgMin];
        let length: usize = self.sizes[self.outer..].iter().product();
        let fold = if length == 0 { self.numbers.pick(&folds[..2]) } else { self.numbers.pick(&folds) };
        let is_arg = matches!(fold, Fold::ArgMax | Fold::ArgMin);
        let dtype = if is_arg { DType::I64 } else { self.dtype(operand) };
        self.push(Instr::Reduce { fold, operand }, dtype, Scope::Row);
    }

    fn store(&mut self, value: usize) {
        let group = &self.case.group;
        let (outer, rank) = (self.outer, self.sizes.len());
        let dtype = group.values[value].dtype;
        let zeros = if group.values[value].scope == Scope::Row { rank - outer } else { 0 };
        let mut index = row_major(&self.sizes[..rank - zeros], zeros);
        let count: usize = self.sizes[..rank - zeros].iter().product();
        if self.numbers.chance(15) && rank - zeros > 1 {
            // Column-major.
            let mut step = 1;
            for axis in 0..rank - zeros {
                index.strides[axis] = step;
                step *= self.sizes[axis].max(1) as i64;
            }
        }
        let donor = group.values.iter().find_map(|other| match &other.instr {
            Instr::Load { argument, access } => {
                let same = access.index.strides == index.strides && access.index.offset.terms.is_empty();
                let sound =
                    other.dtype.size() == dtype.size() && !self.taken[*argument] && access.index.offset.constant == 0;
                (same && sound && count > 0).then_some(*argument)
            }
            _ => None,
        });
        let donor = donor.filter(|_| self.numbers.chance(70));
        if let Some(donor) = donor {
            self.taken[donor] = true;
            let memory = self.case.memories[donor].clone();
            self.case.memories.push(memory);
        } else {
            self.case.memories.push(Memory { bytes: vec![0; (count + 2) * dtype.size()], first: 1 });
        }
        self.taken.push(true);
        self.case.outputs.push(Some(donor));
        let argument = self.case.memories.len() - 1;
        self.case.group.stores.push(Store { value, argument, index });
    }
}

/// A random Group over a domain; `inner` empty for elementwise work.
pub(super) fn case(seed: u64, outer: &[usize], inner: &[usize]) -> Case {
    let group = Group {
        outer: SmallVec::from_slice(outer),
        inner: SmallVec::from_slice(inner),
        values: Vec::new(),
        stores: Vec::new(),
    };
    let case = Case { group, memories: Vec::new(), outputs: Vec::new(), slots: Vec::new() };
    let sizes = outer.iter().chain(inner).copied().collect();
    let mut maker = Maker { numbers: Numbers::new(seed), sizes, outer: outer.len(), case, taken: Vec::new() };
    let reduces = !inner.is_empty();
    for _ in 0..1 + maker.numbers.below(3) {
        maker.source(if reduces { Scope::Element } else { Scope::Row });
    }
    if reduces {
        maker.load(DType::F32, Scope::Element);
        if maker.numbers.chance(40) {
            maker.source(Scope::Row);
        }
    }
    for _ in 0..if reduces { 1 + maker.numbers.below(3) } else { 1 } {
        for _ in 0..maker.numbers.below(5) {
            maker.function();
        }
        if reduces {
            maker.reduce();
        }
    }
    for _ in 0..maker.numbers.below(4) {
        maker.function();
    }
    let count = maker.case.group.values.len();
    maker.store(count - 1);
    for _ in 0..maker.numbers.below(3) {
        let value = maker.numbers.below(count);
        maker.store(value);
    }
    maker.case
}
