//! The formulas of recurrent units as lines of a shader. Depends on `kit::recurrent` and `wgsl`.
//! Invariant: every intermediate value has a name of its own and is computed once.

use std::cell::RefCell;
use std::rc::Rc;

use crate::code::Code;
use crate::dtype::DType;
use crate::kit::recurrent::{Back, Cell, Number, Step, Unit, of_unit};
use crate::wgsl::{Type, function};

/// A shader's lines so far.
pub(super) struct Formulas(Rc<Lines>);

struct Lines {
    dtype: DType,
    made: RefCell<Vec<String>>,
}

/// What a step gives, by the names of variables.
pub(super) struct Done {
    pub(super) saved: Vec<String>,
    pub(super) h: String,
    pub(super) memory: String,
}

/// What a step back reads, besides what was saved.
pub(super) struct Going {
    /// Gradients of h and of the memory after the step.
    pub(super) h: String,
    pub(super) memory: String,
    /// The memory before and after it.
    pub(super) before: String,
    pub(super) after: String,
}

/// What it gives: gradients of what the inputs give, of the last gate's product where that is another, and of the memory.
pub(super) struct Gone {
    pub(super) given: Vec<String>,
    pub(super) own: Option<String>,
    pub(super) memory: String,
}

/// A variable.
#[derive(Clone)]
struct Variable {
    lines: Rc<Lines>,
    name: String,
}

impl Formulas {
    pub(super) fn new(dtype: DType) -> Self {
        Self(Rc::new(Lines { dtype, made: RefCell::default() }))
    }

    /// The lines, in order.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.made.borrow().clone()
    }

    fn variable(&self, name: &str) -> Variable {
        Variable { lines: Rc::clone(&self.0), name: name.to_owned() }
    }

    /// A step: see `Unit`. `own` are the products with the weight.
    pub(super) fn forward(&mut self, unit: Unit, given: &[String], own: &[String], memory: &str) -> Done {
        let gate = |number: usize| self.variable(&given[number]).plus(&self.variable(&own[number]));
        let (saved, h, memory) = match unit {
            Unit::RnnTanh => {
                let h = gate(0).squashed();
                (Vec::new(), h.clone(), h)
            }
            Unit::RnnRelu => {
                let sum = gate(0);
                let h = sum.where_positive(&sum);
                (Vec::new(), h.clone(), h)
            }
            Unit::Lstm => {
                let [i, f, o] = [0, 1, 3].map(|number| gate(number).apply(Code::Sigmoid));
                let g = gate(2).squashed();
                let c = f.times(&self.variable(memory)).plus(&i.times(&g));
                let h = o.times(&c.squashed());
                (vec![i, f, g, o], h, c)
            }
            Unit::Gru => {
                let [r, z] = [0, 1].map(|number| gate(number).apply(Code::Sigmoid));
                let own = self.variable(&own[2]);
                let n = self.variable(&given[2]).plus(&r.times(&own)).squashed();
                let h = n.plus(&z.times(&self.variable(memory).minus(&n)));
                (vec![r, z, n, own], h.clone(), h)
            }
        };
        Done { saved: saved.into_iter().map(|value| value.name).collect(), h: h.name, memory: memory.name }
    }

    /// The gradient of a step.
    pub(super) fn backward(&mut self, unit: Unit, saved: &[String], going: &Going) -> Gone {
        of_unit!(unit, self.gone(saved, going))
    }

    fn gone<C: Cell<G, S>, const G: usize, const S: usize>(&self, saved: &[String], going: &Going) -> Gone {
        let Back { given, own, memory } = C::backward(Step {
            saved: std::array::from_fn::<_, S, _>(|block| self.variable(&saved[block])),
            of_saved: None,
            before: self.variable(&going.before),
            after: self.variable(&going.after),
            h: self.variable(&going.h),
            memory: self.variable(&going.memory),
        });
        Gone { given: given.map(|value| value.name).to_vec(), own: own.map(|value| value.name), memory: memory.name }
    }
}

impl Variable {
    fn made(&self, text: &str) -> Self {
        let mut made = self.lines.made.borrow_mut();
        let name = format!("f{}", made.len());
        made.push(format!("let {name} = {text};"));
        Self { lines: Rc::clone(&self.lines), name }
    }

    fn apply(&self, code: Code) -> Self {
        self.made(&function(code, self.lines.dtype, &[&self.name]))
    }

    fn with(&self, code: Code, other: &Self) -> Self {
        self.made(&function(code, self.lines.dtype, &[&self.name, &other.name]))
    }
}

impl Number for Variable {
    fn plus(&self, other: &Self) -> Self {
        self.with(Code::Add, other)
    }
    fn minus(&self, other: &Self) -> Self {
        self.with(Code::Sub, other)
    }
    fn times(&self, other: &Self) -> Self {
        self.with(Code::Mul, other)
    }
    fn rest(&self) -> Self {
        self.made(&format!("{} - {}", Type::of(self.lines.dtype).one(), self.name))
    }
    fn squashed(&self) -> Self {
        self.apply(Code::Tanh)
    }
    fn where_positive(&self, by: &Self) -> Self {
        let zero = Type::of(self.lines.dtype).zero();
        let below = function(Code::LessEqual, self.lines.dtype, &[&by.name, zero]);
        self.made(&format!("select({}, {zero}, {below})", self.name))
    }
}
