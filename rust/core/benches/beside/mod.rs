//! Measures a case in turns: a sample of the engine for criterion, then as many calls of NumPy in a process of its own.
//! Depends on criterion and, where there is one, on a Python with NumPy. Invariant: both do the same work on the same shapes, and a
//! machine that is busy is busy for both.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};

use adret_core::backend::Device;
use adret_core::dtype::DType;
use adret_core::error::Result;
use adret_core::evaluate::evaluate;
use adret_core::graph::Tensor;
use adret_core::ops::random;

/// One row: a name, what NumPy computes of `x` and `y`, the shapes of both, and the same in the engine.
pub(crate) type Case = (&'static str, &'static str, &'static [&'static [usize]], fn(&[Tensor]) -> Result<Tensor>);

/// The threads of the other library may spin for a while after a call; nobody is measured meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// A process that runs NumPy.
pub(crate) struct NumPy {
    process: Child,
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl NumPy {
    /// Starts the first Python that has NumPy: `ADRET_BENCH_PYTHON`, the checkout's, the system's.
    pub(crate) fn start() -> Option<NumPy> {
        // Run as a test, a bench only shows that it works.
        if !std::env::args().any(|argument| argument == "--bench") {
            return None;
        }
        let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv");
        let found = match std::env::var("ADRET_BENCH_PYTHON") {
            Ok(python) => NumPy::run(&python),
            Err(_) => [environment.join("bin/python"), environment.join("Scripts/python.exe"), "python3".into()]
                .iter()
                .find_map(|python| NumPy::run(&python.to_string_lossy())),
        };
        if found.is_none() {
            println!("No Python with NumPy was found: no ratios. Set ADRET_BENCH_PYTHON to one.");
        }
        found
    }

    fn run(python: &str) -> Option<NumPy> {
        let mut process = Command::new(python)
            .args(["-c", include_str!("numpy.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let (words, answers) = (process.stdin.take()?, BufReader::new(process.stdout.take()?));
        let mut numpy = NumPy { process, words, answers };
        numpy.prepare("x + x", &[&[1]]).ok()?;
        numpy.time(1).ok().map(|_| numpy)
    }

    fn prepare(&mut self, expression: &str, shapes: &[&[usize]]) -> std::io::Result<()> {
        let sizes = |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
        let shapes: Vec<String> = shapes.iter().map(|shape| sizes(shape)).collect();
        writeln!(self.words, "case\t{expression}\t{}", shapes.join("\t"))
    }

    /// Seconds of that many calls.
    fn time(&mut self, calls: u64) -> std::io::Result<f64> {
        writeln!(self.words, "{calls}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim().parse().map_err(std::io::Error::other)
    }
}

impl Drop for NumPy {
    fn drop(&mut self) {
        // A process that is gone already needs no end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Measures a family of cases.
pub(crate) fn measure(criterion: &mut Criterion, family: &str, cases: &[Case], numpy: &mut Option<NumPy>) {
    let mut group = criterion.benchmark_group(family);
    group.sampling_mode(SamplingMode::Flat).sample_size(15);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for case in cases {
        measure_case(&mut group, case, numpy);
    }
    group.finish();
}

fn measure_case(group: &mut BenchmarkGroup<'_, WallTime>, case: &Case, numpy: &mut Option<NumPy>) {
    let &(name, expression, shapes, function) = case;
    let input = |(key, shape): (usize, &&[usize])| {
        random::uniform(shape, 0.0, 1.0, DType::F32, Device::Cpu, key as u64, 0).expect("shapes of benches are sound")
    };
    let inputs: Vec<Tensor> = shapes.iter().enumerate().map(input).collect();
    evaluate(&inputs, &|| false).expect("memory for a bench");
    if let Some(numpy) = numpy {
        numpy.prepare(expression, shapes).expect("NumPy's process runs");
    }
    let mut turns: Vec<(u64, f64)> = Vec::new();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|calls| {
            let start = Instant::now();
            for _ in 0..calls {
                let result = function(&inputs).expect("cases of benches are sound");
                evaluate(&[result], &|| false).expect("memory for a bench");
            }
            let passed = start.elapsed();
            if let Some(numpy) = numpy {
                sleep(PAUSE);
                turns.push((calls, numpy.time(calls).expect("NumPy's process runs") / passed.as_secs_f64()));
                sleep(PAUSE);
            }
            passed
        });
    });
    report(turns);
}

/// Prints the ratio of the turns that count: those of the measurement, whose calls are the most.
fn report(mut turns: Vec<(u64, f64)>) {
    let Some(most) = turns.iter().map(|&(calls, _)| calls).max() else { return };
    turns.retain(|&(calls, _)| calls * 4 >= most);
    let mut ratios: Vec<f64> = turns.into_iter().map(|(_, ratio)| ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |part: f64| ratios[((ratios.len() - 1) as f64 * part).round() as usize];
    println!("{:24}NumPy: {:.2} times as long [{:.2} {:.2}]\n", "", at(0.5), at(0.25), at(0.75));
}
