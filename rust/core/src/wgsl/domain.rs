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

/// Some axes of a domain, walked in row-major order by the number `flat`.
pub(super) struct Walk {
    sizes: SmallVec<[usize; 4]>,
    /// The shader's variable that counts the walk, a `u32`.
    flat: &'static str,
    /// Prefix of the variables that hold coordinates.
    coordinate: &'static str,
    /// Size parameters of all axes but the first, once they are asked for.
    parameters: Vec<String>,
}

impl Walk {
    pub(super) fn new(sizes: &[usize], flat: &'static str, coordinate: &'static str) -> Self {
        Self { sizes: SmallVec::from_slice(sizes), flat, coordinate, parameters: Vec::new() }
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
        let (flat, name) = (self.flat, self.coordinate);
        let mut rest = flat.to_owned();
        for axis in (1..self.sizes.len()).rev() {
            let size = &self.parameters[axis - 1];
            source.line(format!("let {name}{axis} = i32({rest} % {size});"));
            source.line(format!("let {name}_rest{axis} = {rest} / {size};"));
            rest = format!("{name}_rest{axis}");
        }
        source.line(format!("let {name}0 = i32({rest});"));
    }

    /// Appends the terms of an index.
    pub(super) fn terms(
        &self,
        strides: &[i64],
        parameters: &mut dyn FnMut(usize, i64) -> String,
        terms: &mut Vec<String>,
    ) {
        let mut push = |variable: String, axis: usize, stride: i64| match stride {
            0 => {}
            1 => terms.push(variable),
            _ => terms.push(format!("{variable} * {}", parameters(axis, stride))),
        };
        match self.factor(strides) {
            Some(factor) => push(format!("i32({})", self.flat), self.sizes.len() - 1, factor),
            None => {
                for (axis, &stride) in strides.iter().enumerate() {
                    push(format!("{}{axis}", self.coordinate), axis, stride);
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
    guards: Vec<(Guard, String)>,
}

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

    /// Declares the coordinates of `row`.
    pub(super) fn open_row(&mut self, source: &mut Source<'_>) {
        self.outer.open(source);
    }

    /// Declares the coordinates of `element`.
    pub(super) fn open_element(&mut self, source: &mut Source<'_>) {
        self.inner.open(source);
    }

    /// The value of an affine function as an `i32` expression; `argument` is what it indexes.
    pub(super) fn index(&mut self, source: &mut Source<'_>, affine: &Affine, argument: Option<usize>) -> String {
        let split = self.outer.sizes.len();
        let known = match self.vectors.iter().position(|(strides, _)| *strides == affine.strides) {
            Some(known) => known,
            None => {
                self.vectors.push((affine.strides.clone(), vec![None; affine.strides.len()]));
                self.vectors.len() - 1
            }
        };
        let names = &mut self.vectors[known].1;
        let mut terms: Vec<String> = source.start(argument, &affine.offset).into_iter().collect();
        for (walk, first, strides) in
            [(&self.outer, 0, &affine.strides[..split]), (&self.inner, split, &affine.strides[split..])]
        {
            let mut name =
                |axis: usize, stride: i64| names[first + axis].get_or_insert_with(|| source.number(stride)).clone();
            walk.terms(strides, &mut name, &mut terms);
        }
        if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") }
    }

    /// Whether all guards hold, as an expression.
    pub(super) fn inside(&mut self, source: &mut Source<'_>, guards: &[Guard]) -> String {
        let conditions: Vec<String> = guards
            .iter()
            .map(|guard| {
                if let Some((_, text)) = self.guards.iter().find(|(known, _)| known == guard) {
                    return text.clone();
                }
                let position = self.index(source, &guard.position, None);
                let size = source.size(guard.size);
                // A negative position becomes a number that no size reaches.
                let text = format!("u32({position}) < {size}");
                self.guards.push((guard.clone(), text.clone()));
                text
            })
            .collect();
        if conditions.is_empty() { "true".to_owned() } else { conditions.join(" && ") }
    }
}
