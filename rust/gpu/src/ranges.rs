//! Between which numbers indices lie, where that is known before a run. Depends on `places`.
//! Invariant: a range that is given holds whatever the device computes; what is not known is `None`.

use adret_core::backend::Bindings;
use adret_core::plan::{IndexCheck, Origin, Place, Plan, Work};

use crate::places::Places;

/// What is known of a run's whole numbers: those that the processor uploaded, and what kernels hand on of them.
pub(crate) struct Ranges<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) places: &'a Places,
    pub(crate) bindings: &'a Bindings<'a>,
}

impl Ranges<'_> {
    /// Whether the numbers that a kernel checks are known to pass.
    pub(crate) fn hold(&self, kernel: usize, check: &IndexCheck) -> bool {
        check.holds(|origin| self.of(kernel, origin))
    }

    /// The smallest and the largest number. A temporary's maker comes before whoever reads it, so this ends.
    fn of(&self, kernel: usize, origin: Origin) -> Option<(i64, i64)> {
        match origin {
            Origin::Slot(slot) => Some((self.bindings.slots[slot] as i64, self.bindings.slots[slot] as i64)),
            Origin::Below(limit) => Some((0, i64::try_from(limit).ok()? - 1)),
            Origin::Argument(argument) => match self.plan.kernels[kernel].arguments[argument].place {
                Place::Input(input) => self.bindings.inputs[input].0.integers(),
                Place::Temporary(temporary) => self.made(kernel, temporary),
                Place::Output(_) => None,
            },
        }
    }

    /// The numbers in a temporary that `reader` reads.
    fn made(&self, reader: usize, temporary: usize) -> Option<(i64, i64)> {
        let (maker, argument) = self.places.maker(temporary).filter(|(maker, _)| *maker < reader)?;
        let Work::Group(group) = &self.plan.kernels[maker].work else { return None };
        let mut stores = group.stores.iter().filter(|store| store.argument == argument);
        let (store, None) = (stores.next()?, stores.next()) else { return None };
        let ranges = group.origins(store.value)?.into_iter().map(|origin| self.of(maker, origin));
        ranges.reduce(|all, next| {
            let ((low, high), (least, most)) = (all?, next?);
            Some((low.min(least), high.max(most)))
        })?
    }
}
