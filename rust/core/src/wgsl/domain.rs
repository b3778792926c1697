//! Walks over the domain of a Group: fewer axes where they compose, and index expressions over the rest.
//! Depends on `group` and `source`. Invariant: merged or not, every index of the domain reaches the same element.

use smallvec::SmallVec;

use super::source::{Source, too_large};
use crate::error::Result;
use crate::group::{Affine, Group, Guard, Instr};

/// Calls `visit` with every affine function of the Group.
fn each_affine<'a>(group: &'a mut Group, visit: &mut dyn FnMut(&'a mut Affine)) {
    for value in &mut group.values {
        match &mut value.instr {
            Instr::Load { access, .. } => {
                visit(&mut access.index);
                access.guards.iter_mut().for_each(|guard| visit(&mut guard.position));
            }
            Instr::Index { index } | Instr::Random { index, .. } => visit(index),
            Instr::Inside { guards } => guards.iter_mut().for_each(|guard| visit(&mut guard.position)),
            Instr::Scalar { .. }
            | Instr::Pointwise { .. }
            | Instr::Cast { .. }
            | Instr::Check { .. }
            | Instr::Reduce { .. } => {}
        }
    }
    group.stores.iter_mut().for_each(|store| visit(&mut store.index));
}

/// The Group over as few axes as its indices allow: axes of size 1 go, neighbours that compose become one.
///
/// # Errors
/// When an index exceeds 32 bits.
pub(super) fn merged(group: &Group) -> Result<Group> {
    let mut group = group.clone();
    let (outer, inner) = (group.outer.clone(), group.inner.clone());
    let mut affines = Vec::new();
    each_affine(&mut group, &mut |affine| affines.push(affine));
    let mut strides = vec![SmallVec::<[i64; 4]>::new(); affines.len()];
    let merged_outer = merge(&outer, 0, &affines, &mut strides);
    let mut merged_inner = merge(&inner, outer.len(), &affines, &mut strides);
    if merged_inner.is_empty() && !inner.is_empty() {
        // Still a reduction, over one element.
        merged_inner.push(1);
        strides.iter_mut().for_each(|all| all.push(0));
    }
    let fits = |number: i64| i32::try_from(number).is_ok();
    let sizes: SmallVec<[usize; 4]> = merged_outer.iter().chain(&merged_inner).copied().collect();
    for (affine, strides) in affines.into_iter().zip(strides) {
        let (mut low, mut high) = (affine.offset.constant, affine.offset.constant);
        for (&size, &stride) in sizes.iter().zip(&strides) {
            let span = stride.saturating_mul(size.saturating_sub(1) as i64);
            low = low.saturating_add(span.min(0));
            high = high.saturating_add(span.max(0));
        }
        if !fits(low) || !fits(high) || !strides.iter().all(|&stride| fits(stride)) {
            return Err(too_large());
        }
        affine.strides = strides;
    }
    if [&merged_outer, &merged_inner].into_iter().any(|part| part.iter().product::<usize>() > i32::MAX as usize) {
        return Err(too_large());
    }
    (group.outer, group.inner) = (merged_outer, merged_inner);
    Ok(group)
}

/// Merges the axes `first..first + sizes.len()`; appends what remains of each affine's strides.
pub(super) fn merge(
    sizes: &[usize],
    first: usize,
    affines: &[&mut Affine],
    strides: &mut [SmallVec<[i64; 4]>],
) -> SmallVec<[usize; 4]> {
    if sizes.contains(&0) {
        strides.iter_mut().for_each(|all| all.push(0));
        return SmallVec::from_slice(&[0]);
    }
    let mut merged: SmallVec<[usize; 4]> = SmallVec::new();
    for (axis, &size) in sizes.iter().enumerate().filter(|&(_, &size)| size != 1) {
        let stride = |affine: &Affine| affine.strides.get(first + axis).copied().unwrap_or(0);
        let composes = !merged.is_empty()
            && affines
                .iter()
                .zip(&*strides)
                .all(|(a, all)| *all.last().expect("one per merged axis") == stride(a) * size as i64);
        for (affine, all) in affines.iter().zip(strides.iter_mut()) {
            if composes {
                all.pop();
            }
            all.push(stride(affine));
        }
        let before = if composes { merged.pop().unwrap_or(1) } else { 1 };
        merged.push(before * size);
    }
    merged
}

/// Which elements an invocation works on, and how they get their coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// One.
    Single,
    /// `FOUR` neighbours along the last axis.
    Along,
    /// `FOUR` neighbours of the walk, which may lie in several rows.
    Apart,
}

/// Elements that an invocation takes together.
pub(super) const FOUR: usize = 4;

impl Spread {
    /// How many elements there are.
    pub(super) fn lanes(self) -> usize {
        if self == Spread::Single { 1 } else { FOUR }
    }

    /// Whether an affine function over the outer axes with these strides differs between the elements.
    pub(super) fn differs(self, strides: &[i64]) -> bool {
        match self {
            Spread::Single => false,
            Spread::Along => strides.last().is_some_and(|&stride| stride != 0),
            Spread::Apart => strides.iter().any(|&stride| stride != 0),
        }
    }
}

/// Some axes of a domain, walked in row-major order by the number `flat`.
pub(super) struct Walk {
    sizes: SmallVec<[usize; 4]>,
    /// The shader's variable that counts the walk, a `u32`; where an invocation takes several elements, one for each.
    flat: &'static str,
    /// Prefix of the variables that hold coordinates.
    coordinate: &'static str,
    /// Size parameters of all axes but the first, once they are asked for.
    parameters: Vec<String>,
    spread: Spread,
}

impl Walk {
    pub(super) fn new(sizes: &[usize], flat: &'static str, coordinate: &'static str) -> Self {
        Self { sizes: SmallVec::from_slice(sizes), flat, coordinate, parameters: Vec::new(), spread: Spread::Single }
    }

    fn flat(&self, lane: usize) -> String {
        if self.spread == Spread::Single { self.flat.to_owned() } else { format!("{}_{lane}", self.flat) }
    }

    fn coordinate(&self, axis: usize, lane: usize) -> String {
        let name = self.coordinate;
        match self.spread {
            Spread::Single => format!("{name}{axis}"),
            Spread::Along if axis + 1 < self.sizes.len() => format!("{name}{axis}_0"),
            Spread::Along | Spread::Apart => format!("{name}{axis}_{lane}"),
        }
    }

    /// The common factor where `strides` walk row-major without gaps.
    fn factor(&self, strides: &[i64]) -> Option<i64> {
        let factor = *strides.last()?;
        let mut expected = factor;
        for (&size, &stride) in self.sizes.iter().zip(strides).rev() {
            if stride != expected {
                return None;
            }
            expected = stride * size as i64;
        }
        Some(factor)
    }

    /// Declares the coordinates.
    pub(super) fn open(&mut self, source: &mut Source<'_>) {
        if self.sizes.len() < 2 {
            return;
        }
        if self.parameters.is_empty() {
            self.parameters = self.sizes[1..].iter().map(|&size| source.size(size)).collect();
        }
        for lane in 0..self.spread.lanes() {
            let last = self.sizes.len() - 1;
            if lane > 0 && self.spread == Spread::Along {
                let (own, first) = (self.coordinate(last, lane), self.coordinate(last, 0));
                source.line(format!("let {own} = {first} + {lane};"));
                continue;
            }
            let mut rest = self.flat(lane);
            for axis in (1..=last).rev() {
                let size = &self.parameters[axis - 1];
                let own = self.coordinate(axis, lane);
                source.line(format!("let {own} = i32({rest} % {size});"));
                source.line(format!("let rest_{own} = {rest} / {size};"));
                rest = format!("rest_{own}");
            }
            source.line(format!("let {} = i32({rest});", self.coordinate(0, lane)));
        }
    }

    /// Appends the terms of an index, for one of the invocation's elements.
    pub(super) fn terms(
        &self,
        strides: &[i64],
        lane: usize,
        parameters: &mut dyn FnMut(usize, i64) -> String,
        terms: &mut Vec<String>,
    ) {
        let mut push = |variable: String, axis: usize, stride: i64| match stride {
            0 => {}
            1 => terms.push(variable),
            _ => terms.push(format!("{variable} * {}", parameters(axis, stride))),
        };
        match self.factor(strides) {
            Some(factor) => push(format!("i32({})", self.flat(lane)), self.sizes.len() - 1, factor),
            None => {
                for (axis, &stride) in strides.iter().enumerate() {
                    push(self.coordinate(axis, lane), axis, stride);
                }
            }
        }
    }
}

/// The parameters of an index's strides, once they are asked for.
type StrideNames = Vec<Option<String>>;

/// Both walks of a Group, and the stride parameters that its indices share.
pub(super) struct Domain {
    outer: Walk,
    inner: Walk,
    vectors: Vec<(SmallVec<[i64; 4]>, StrideNames)>,
    guards: Vec<(Guard, Lanes)>,
}

/// A text for each of the invocation's elements, or one for all.
pub(super) type Lanes = SmallVec<[String; FOUR]>;

impl Domain {
    /// Rows are counted by `row`, elements by `element`.
    pub(super) fn new(group: &Group) -> Self {
        Self {
            outer: Walk::new(&group.outer, "row", "r"),
            inner: Walk::new(&group.inner, "element", "e"),
            vectors: Vec::new(),
            guards: Vec::new(),
        }
    }

    /// Says which elements an invocation works on; rows of several are `row_0`, ….
    pub(super) fn spread_rows(&mut self, spread: Spread) {
        self.outer.spread = spread;
        self.guards.clear();
    }

    /// Which elements an invocation works on.
    pub(super) fn spread(&self) -> Spread {
        self.outer.spread
    }

    /// Whether the invocation's elements lie next to each other where an index over rows has these strides.
    pub(super) fn is_together(&self, strides: &[i64]) -> bool {
        match self.outer.spread {
            Spread::Single => false,
            Spread::Along => strides.last() == Some(&1),
            Spread::Apart => self.outer.factor(strides) == Some(1),
        }
    }

    /// Declares the coordinates of `row`.
    pub(super) fn open_row(&mut self, source: &mut Source<'_>) {
        self.outer.open(source);
    }

    /// Declares the coordinates of `element`.
    pub(super) fn open_element(&mut self, source: &mut Source<'_>) {
        self.inner.open(source);
    }

    /// The values of an affine function as `i32` expressions, and the parameter where it starts; `argument` is what it indexes.
    pub(super) fn indices(
        &mut self,
        source: &mut Source<'_>,
        affine: &Affine,
        argument: Option<usize>,
    ) -> (Lanes, Option<String>) {
        let split = self.outer.sizes.len();
        let known = match self.vectors.iter().position(|(strides, _)| *strides == affine.strides) {
            Some(known) => known,
            None => {
                self.vectors.push((affine.strides.clone(), vec![None; affine.strides.len()]));
                self.vectors.len() - 1
            }
        };
        let names = &mut self.vectors[known].1;
        let start = source.start(argument, &affine.offset);
        let differs = self.outer.spread.differs(&affine.strides[..split]);
        let lanes = if differs { FOUR } else { 1 };
        let texts = (0..lanes).map(|lane| {
            let mut terms: Vec<String> = start.iter().cloned().collect();
            for (walk, first, strides) in
                [(&self.outer, 0, &affine.strides[..split]), (&self.inner, split, &affine.strides[split..])]
            {
                let mut name =
                    |axis: usize, stride: i64| names[first + axis].get_or_insert_with(|| source.number(stride)).clone();
                walk.terms(strides, lane, &mut name, &mut terms);
            }
            if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") }
        });
        let texts = texts.collect();
        (texts, start)
    }

    /// Whether all guards hold, as expressions.
    pub(super) fn inside(&mut self, source: &mut Source<'_>, guards: &[Guard]) -> Lanes {
        let conditions: Vec<Lanes> = guards
            .iter()
            .map(|guard| {
                if let Some((_, texts)) = self.guards.iter().find(|(known, _)| known == guard) {
                    return texts.clone();
                }
                let positions = self.indices(source, &guard.position, None).0;
                let size = source.size(guard.size);
                // A negative position becomes a number that no size reaches.
                let texts: Lanes = positions.iter().map(|position| format!("u32({position}) < {size}")).collect();
                self.guards.push((guard.clone(), texts.clone()));
                texts
            })
            .collect();
        let lanes = conditions.iter().map(|texts| texts.len()).max().unwrap_or(1);
        let joined = |lane: usize| {
            let texts: Vec<&str> = conditions.iter().map(|texts| texts[lane.min(texts.len() - 1)].as_str()).collect();
            if texts.is_empty() { "true".to_owned() } else { texts.join(" && ") }
        };
        (0..lanes).map(joined).collect()
    }
}
