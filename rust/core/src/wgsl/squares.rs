//! Squares of a product that workgroups make: tiles of both operands in workgroup memory, sums in registers. Depends on `source`.
//! Invariant: an invocation holds `each` rows and columns of sums; rows and columns beyond the product are brought as 0 and not stored.

use super::source::Source;
use super::types::Type;
use crate::plan::Caps;

/// Bytes of workgroup memory that every device has.
const WORKGROUP_BYTES: usize = 16384;

/// Workgroups from which on a GPU is busy.
pub(crate) const ENOUGH: usize = 128;

/// A square of the result that a workgroup makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Square {
    /// Rows and columns.
    pub(crate) side: usize,
    /// Rows and columns of one invocation: a multiple of 4, or 1.
    pub(crate) each: usize,
    /// Terms of the sums that lie in workgroup memory at a time.
    pub(crate) depth: usize,
}

/// The squares, largest first. The last is the plain one, which the others are tested against.
const SQUARES: [Square; 4] = [
    Square { side: 128, each: 8, depth: 8 },
    Square { side: 64, each: 4, depth: 16 },
    Square { side: 32, each: 4, depth: 16 },
    Square { side: 16, each: 1, depth: 16 },
];

impl Square {
    /// The largest that leaves no invocation idle for most of its work, and keeps the device busy if one does, for `batches` products of
    /// `m` rows and `n` columns.
    pub(crate) fn of(m: usize, n: usize, batches: usize, caps: &Caps) -> Square {
        if let Some(forced) = SQUARES.into_iter().find(|square| caps.tile == Some(square.side as u32)) {
            return forced;
        }
        let least = m.min(n);
        let fits = |square: &Square| least >= square.side && square.count(m, n, batches) >= ENOUGH;
        let small = || SQUARES.into_iter().find(|square| square.side < 64 && least > square.side / 2);
        SQUARES.into_iter().find(fits).or_else(small).unwrap_or(SQUARES[3])
    }

    /// Invocations of a workgroup.
    pub(crate) fn invocations(self) -> usize {
        (self.side / self.each).pow(2)
    }

    /// Squares of all products.
    pub(crate) fn count(self, m: usize, n: usize, batches: usize) -> usize {
        m.div_ceil(self.side) * n.div_ceil(self.side) * batches
    }

    /// Elements of a tile that each invocation brings.
    pub(crate) fn loads(self) -> usize {
        self.side * self.depth / self.invocations()
    }

    /// Tiles of each operand: the next is brought while one is multiplied, where both fit what every device has.
    pub(crate) fn turns(self, kind: Type) -> usize {
        let bytes = 2 * self.side * self.depth * kind.bytes();
        if self.each >= 4 && 2 * bytes <= WORKGROUP_BYTES { 2 } else { 1 }
    }

    fn held(self, kind: Type) -> String {
        if self.each >= 4 { format!("vec4<{}>", kind.name()) } else { kind.name().to_owned() }
    }

    /// Elements of a vector of a tile.
    pub(crate) fn per(self) -> usize {
        if self.each >= 4 { 4 } else { 1 }
    }

    /// Workgroup memory for the tiles of both operands.
    pub(crate) fn tiles(self, source: &mut Source<'_>, kind: Type, turns: usize) -> [String; 2] {
        let words = (turns * self.side * self.depth / self.per()) as u32;
        ["a", "b"].map(|name| source.workgroup_named(&format!("tile_{name}"), &self.held(kind), words))
    }

    /// Declares the invocation's place `x`, `y` in the square, and its sums.
    pub(crate) fn open_sums(self, source: &mut Source<'_>, kind: Type) {
        let across_lanes = self.side / self.each;
        source.line(format!("let x = lane % {across_lanes}u;"));
        source.line(format!("let y = lane / {across_lanes}u;"));
        for row in 0..self.each {
            for block in 0..self.each.div_ceil(4) {
                let zero = if self.each >= 4 { format!("{}()", self.held(kind)) } else { kind.zero().to_owned() };
                source.line(format!("var sum_{row}_{block} = {zero};"));
            }
        }
    }

    /// Puts `value` into a tile at `place`, for the tile's term `term`.
    pub(crate) fn put(self, source: &mut Source<'_>, tile: &str) {
        self.put_at(source, tile, "", "term", "value");
    }

    /// The same for a value of any name and term, into the tile that begins `from` vectors on.
    pub(crate) fn put_at(self, source: &mut Source<'_>, tile: &str, from: &str, term: &str, value: &str) {
        if self.per() == 4 {
            source.line(format!("{tile}[{from}{term} * {}u + place / 4u][place % 4u] = {value};", self.side / 4));
        } else {
            source.line(format!("{tile}[{from}{term} * {}u + place] = {value};", self.side));
        }
    }

    /// Adds the products of both tiles to the sums, with barriers around.
    pub(crate) fn multiply(self, source: &mut Source<'_>, tiles: &[String; 2]) {
        source.line("workgroupBarrier();");
        self.add(source, tiles, "");
        source.line("workgroupBarrier();");
    }

    /// The same without barriers, on the tiles that begin `from` vectors on: nothing, or an expression that ends with a plus.
    pub(crate) fn add(self, source: &mut Source<'_>, [tile_a, tile_b]: &[String; 2], from: &str) {
        let (wide, blocks) = (self.side / self.per(), self.each.div_ceil(4));
        for term in 0..self.depth {
            for block in 0..blocks {
                source.line(format!("let a{term}_{block} = {tile_a}[{from}{}u + y * {blocks}u];", term * wide + block));
                source.line(format!("let b{term}_{block} = {tile_b}[{from}{}u + x * {blocks}u];", term * wide + block));
            }
            for row in 0..self.each {
                let part = if self.per() == 4 { format!(".{}", ["x", "y", "z", "w"][row % 4]) } else { String::new() };
                for block in 0..blocks {
                    let sum = format!("sum_{row}_{block}");
                    source.line(format!("{sum} = {sum} + a{term}_{}{part} * b{term}_{block};", row / 4));
                }
            }
        }
    }

    /// Opens a block for each four neighbours of a row of finished sums, one after the other: `down`, `along` of the first and the vector
    /// `sum` are known within. Closed by one brace.
    pub(crate) fn open_fours(self, source: &mut Source<'_>, kind: Type) {
        let (each, blocks) = (self.each, self.each.div_ceil(4));
        source.line(format!("var sums: array<{}, {}>;", self.held(kind), each * blocks));
        for row in 0..each {
            for block in 0..blocks {
                source.line(format!("sums[{}] = sum_{row}_{block};", row * blocks + block));
            }
        }
        source.line(format!("for (var number = 0u; number < {}u; number = number + 1u) {{", each * blocks));
        source.line(format!("let down = tile_row + y * {each}u + number / {blocks}u;"));
        source.line(format!("let along = tile_column + x * {each}u + number % {blocks}u * 4u;"));
        source.line("var sum = sums[number];");
    }

    /// Opens a block for each finished sum, one after the other: `down`, `along` and `sum` are known within. Closed by one brace.
    pub(crate) fn open_results(self, source: &mut Source<'_>, kind: Type) {
        let (each, blocks) = (self.each, self.each.div_ceil(4));
        if self.per() == 4 {
            source.line(format!("var sums: array<{}, {}>;", self.held(kind), each * blocks));
            for row in 0..each {
                for block in 0..blocks {
                    source.line(format!("sums[{}] = sum_{row}_{block};", row * blocks + block));
                }
            }
            source.line(format!("for (var number = 0u; number < {}u; number = number + 1u) {{", each * each));
            source.line(format!("let down = tile_row + y * {each}u + number / {each}u;"));
            source.line(format!("let along = tile_column + x * {each}u + number % {each}u;"));
            source.line("var sum = sums[number / 4u][number % 4u];");
        } else {
            source.line("{");
            source.line("let down = tile_row + y;");
            source.line("let along = tile_column + x;");
            source.line("var sum = sum_0_0;");
        }
    }
}
