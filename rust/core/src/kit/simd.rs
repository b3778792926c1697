//! The choice of the vector path, and the device by which a loop is written once and compiled for every path.
//! Depends on nothing. Invariant: a path other than `Portable` is only ever entered on a processor that has its instructions.
//!
//! A loop is a `Kernel`: plain data whose `run` is generic over a `Machine` and `#[inline(always)]` down to its arithmetic. `launch` calls
//! it inside a function compiled with the features of the chosen path, and LLVM vectorises it there.

use std::env::consts::ARCH;
use std::sync::OnceLock;

/// What the arithmetic of a loop may ask of the path that it is compiled for.
pub trait Machine: Copy + 'static {
    /// Whether `fma32` and `fma64` round once.
    const FUSED: bool;
    /// Whether a loop in place should have few results at a time: for small registers, of which a chunk's results take too many.
    const SHORT: bool = false;
    /// a · b + c: rounded once where the processor has the instruction, else twice.
    fn fma32(a: f32, b: f32, c: f32) -> f32;
    /// a · b + c, as `fma32`.
    fn fma64(a: f64, b: f64, c: f64) -> f64;
}

/// A loop with its arguments.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// Whether LLVM makes worse code of it with 512-bit vectors than with 256-bit ones.
    const NARROW: bool = false;
    /// The loop; must be `#[inline(always)]`, like everything that it calls per element.
    fn run<M: Machine>(self) -> Self::Output;
}

/// Instructions that every processor of the architecture has: SSE2 on x86-64, NEON on 64-bit ARM.
#[derive(Clone, Copy)]
pub struct PortableMachine;

impl Machine for PortableMachine {
    const FUSED: bool = cfg!(target_arch = "aarch64");
    #[inline(always)]
    fn fma32(a: f32, b: f32, c: f32) -> f32 {
        if Self::FUSED { a.mul_add(b, c) } else { a * b + c }
    }
    #[inline(always)]
    fn fma64(a: f64, b: f64, c: f64) -> f64 {
        if Self::FUSED { a.mul_add(b, c) } else { a * b + c }
    }
}

/// Instructions with a fused multiply-add.
#[derive(Clone, Copy)]
pub struct FusedMachine;

impl Machine for FusedMachine {
    const FUSED: bool = true;
    #[inline(always)]
    fn fma32(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn fma64(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
}

/// As `FusedMachine`, for registers of 128 bits.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy)]
pub struct NeonMachine;

#[cfg(target_arch = "aarch64")]
impl Machine for NeonMachine {
    const FUSED: bool = true;
    const SHORT: bool = true;
    #[inline(always)]
    fn fma32(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn fma64(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
}

/// Declares the paths, worst first: architecture, variant, the variant for narrow kernels, name, machine, compiler features and the test for
/// them.
macro_rules! paths {
    ($($arch:literal $variant:ident $narrow:ident $name:literal $machine:ident $features:literal $detected:expr;)*) => {
        /// A set of vector instructions that the loops of this library are compiled for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Path {
            /// What every processor of the architecture has.
            Portable,
            $(
                #[doc = concat!("Compiled with ", $features, ".")]
                #[cfg(target_arch = $arch)]
                $variant,
            )*
        }

        /// The names of the paths of all architectures, and these.
        const OF_ARCHITECTURES: &[(&str, &str)] = &[$(($name, $arch)),*];

        impl Path {
            /// Every path that this processor can take, worst first.
            pub fn available() -> Vec<Path> {
                #[allow(unused_mut, reason = "an architecture may have no path of its own")]
                let mut paths = vec![Path::Portable];
                $(
                    #[cfg(target_arch = $arch)]
                    if $detected {
                        paths.push(Path::$variant);
                    }
                )*
                paths
            }

            /// The path for kernels that 512-bit vectors do not suit; its instructions are among this one's.
            const fn narrow(self) -> Path {
                match self {
                    Path::Portable => Path::Portable,
                    $(
                        #[cfg(target_arch = $arch)]
                        Path::$variant => Path::$narrow,
                    )*
                }
            }

            /// The name that `ADRET_CPU` takes.
            pub const fn name(self) -> &'static str {
                match self {
                    Path::Portable => "portable",
                    $(
                        #[cfg(target_arch = $arch)]
                        Path::$variant => $name,
                    )*
                }
            }
        }

        /// Runs a kernel compiled for `path`.
        ///
        /// # Safety
        /// `path` is one of `Path::available()`.
        #[inline]
        pub unsafe fn launch_on<K: Kernel>(path: Path, kernel: K) -> K::Output {
            match if K::NARROW { path.narrow() } else { path } {
                Path::Portable => kernel.run::<PortableMachine>(),
                $(
                    #[cfg(target_arch = $arch)]
                    Path::$variant => {
                        #[target_feature(enable = $features)]
                        fn run<K: Kernel>(kernel: K) -> K::Output {
                            kernel.run::<$machine>()
                        }
                        // SAFETY: the caller vouches that the processor has these features.
                        unsafe { run(kernel) }
                    }
                )*
            }
        }
    };
}

paths! {
    "x86_64" Avx2 Avx2 "avx2" FusedMachine "avx2,fma,f16c"
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
    // The first processors with AVX-512 slow down when they use it; those with VBMI2 do not.
    "x86_64" Avx512 Avx2 "avx512" FusedMachine "avx512f,avx512vl,avx512bw,avx512dq,avx512cd,avx512vbmi2,avx2,fma,f16c"
        Path::has_avx512();
    "aarch64" Neon Neon "neon" NeonMachine "neon" std::arch::is_aarch64_feature_detected!("neon");
}

#[cfg(target_arch = "x86_64")]
impl Path {
    fn has_avx512() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("bmi2")
    }
}

/// The features of this processor that vector code asks for, of those that the compiler knows.
pub fn features() -> Vec<&'static str> {
    macro_rules! found {
        ($detected:ident: $($name:tt)*) => {
            [$(($name, $detected!($name))),*].into_iter().filter(|feature| feature.1).map(|feature| feature.0).collect()
        };
    }
    #[cfg(target_arch = "x86_64")]
    return found!(is_x86_feature_detected: "sse4.2" "avx" "f16c" "fma" "avx2" "avxvnni" "avx512f" "avx512vl" "avx512bw"
        "avx512dq" "avx512cd" "avx512vbmi2" "avx512vnni" "avx512bf16" "avx512fp16");
    #[cfg(target_arch = "aarch64")]
    return {
        use std::arch::is_aarch64_feature_detected;
        found!(is_aarch64_feature_detected: "neon" "fp16" "dotprod" "bf16" "i8mm" "sve" "sve2")
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    Vec::new()
}

static CHOSEN: OnceLock<(Path, Option<String>)> = OnceLock::new();

/// The path in use: what `ADRET_CPU` names, else the best that the processor has. Chosen once.
#[inline]
pub fn path() -> Path {
    CHOSEN.get_or_init(|| choose(std::env::var("ADRET_CPU").ok().as_deref())).0
}

/// What is wrong with `ADRET_CPU`, if something is; the best path is in use then.
pub fn path_error() -> Option<String> {
    path();
    CHOSEN.get().and_then(|(_, error)| error.clone())
}

/// Runs a kernel on the path in use.
#[inline]
pub fn launch<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: `path` answers with an available path only.
    unsafe { launch_on(path(), kernel) }
}

fn choose(asked: Option<&str>) -> (Path, Option<String>) {
    let available = Path::available();
    let best = available[available.len() - 1];
    match asked.map(str::trim).filter(|name| !name.is_empty()) {
        None => (best, None),
        Some(name) => match available.iter().find(|path| path.name() == name) {
            Some(&path) => (path, None),
            None => {
                let names: Vec<&str> = available.iter().map(|path| path.name()).collect();
                let names = names.join(", ");
                let used = best.name();
                let elsewhere = OF_ARCHITECTURES.iter().find(|(path, arch)| *path == name && *arch != ARCH);
                let reason =
                    elsewhere.map_or(String::new(), |(_, arch)| format!(", which is one of {arch} (this is {ARCH})"));
                (
                    best,
                    Some(format!(
                        "ADRET_CPU: this processor has no path {name:?}{reason}; {used} is used. Choose one of: {names}."
                    )),
                )
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_forces_a_path_or_explains() {
        assert_eq!(choose(Some("portable")), (Path::Portable, None));
        assert_eq!(choose(None).0, choose(Some("")).0);
        let (path, error) = choose(Some("mmx"));
        assert_eq!(path, choose(None).0);
        assert!(error.unwrap().contains("\"mmx\""));
    }

    #[test]
    fn paths_of_other_architectures_are_explained() {
        for &(name, arch) in OF_ARCHITECTURES {
            let (path, error) = choose(Some(name));
            if arch == ARCH {
                assert!(error.is_none() || path == choose(None).0);
                assert_eq!(error.is_none(), path.name() == name);
            } else {
                assert_eq!(path, choose(None).0);
                assert!(error.unwrap().contains(&format!("which is one of {arch} (this is {ARCH})")));
            }
        }
    }
}
