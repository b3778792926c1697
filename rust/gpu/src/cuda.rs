//! The CUDA driver, loaded when it is first needed, and memory that it shares with the graphics interface.
//! Depends on libloading. Invariant: a file descriptor has one owner: CUDA after an import that succeeded, this file before.

use std::ffi::{c_int, c_uint, c_ulonglong, c_void};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use adret_core::error::{Error, ErrorKind, Result};
use libloading::Library;

/// The driver's library, where `ADRET_CUDA_LIBRARY` names no other one.
const LIBRARY: &str = "libcuda.so.1";

/// The driver's code for exhausted memory.
const OUT_OF_MEMORY: c_int = 2;

type Handle = *mut c_void;

/// What external memory is: a file descriptor of memory made for one buffer.
#[repr(C)]
struct MemoryDescriptor {
    kind: c_uint,
    file: Union,
    size: c_ulonglong,
    flags: c_uint,
    _reserved: [c_uint; 16],
}

/// Which part of external memory is mapped.
#[repr(C)]
struct BufferDescriptor {
    offset: c_ulonglong,
    size: c_ulonglong,
    flags: c_uint,
    _reserved: [c_uint; 16],
}

/// A union in C, as long as two pointers and laid out like them.
#[repr(C, align(8))]
struct Union([c_int; 4]);

const OPAQUE_FILE: c_uint = 1;
const DEDICATED: c_uint = 1;

macro_rules! functions {
    ($($name:ident = $symbol:literal ($($argument:ty),*);)*) => {
        /// The functions of the driver that are used here.
        struct Functions { $($name: unsafe extern "C" fn($($argument),*) -> c_int,)* }

        impl Functions {
            /// # Safety
            /// The library has the driver's functions under the driver's names.
            unsafe fn load(library: &Library) -> std::result::Result<Functions, libloading::Error> {
                // SAFETY: the types are those of the driver's header; the caller vouches for the library.
                unsafe { Ok(Functions { $($name: *library.get(concat!($symbol, "\0").as_bytes())?,)* }) }
            }
        }
    };
}

functions! {
    start = "cuInit"(c_uint);
    count = "cuDeviceGetCount"(*mut c_int);
    device = "cuDeviceGet"(*mut c_int, c_int);
    uuid = "cuDeviceGetUuid"(*mut [u8; 16], c_int);
    retain = "cuDevicePrimaryCtxRetain"(*mut Handle, c_int);
    release = "cuDevicePrimaryCtxRelease_v2"(c_int);
    push = "cuCtxPushCurrent_v2"(Handle);
    pop = "cuCtxPopCurrent_v2"(*mut Handle);
    synchronize = "cuCtxSynchronize"();
    import = "cuImportExternalMemory"(*mut Handle, *const c_void);
    map = "cuExternalMemoryGetMappedBuffer"(*mut c_ulonglong, Handle, *const c_void);
    free = "cuMemFree_v2"(c_ulonglong);
    destroy = "cuDestroyExternalMemory"(Handle);
    copy = "cuMemcpyDtoD_v2"(c_ulonglong, c_ulonglong, usize);
}

/// A device of CUDA's with its primary context, which is that of every CUDA library in the process.
pub(crate) struct Cuda {
    functions: Functions,
    device: c_int,
    /// The device's place in CUDA's list.
    pub(crate) number: c_int,
    context: Handle,
    /// Never unloaded: the driver has threads of its own.
    _library: ManuallyDrop<Library>,
}

// SAFETY: the driver's functions may be called from any thread; each call here names its context first.
unsafe impl Send for Cuda {}
// SAFETY: as above.
unsafe impl Sync for Cuda {}

impl Cuda {
    /// The CUDA device with this UUID, whatever its place in either interface's list.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn open(uuid: [u8; 16]) -> std::result::Result<Arc<Cuda>, String> {
        let path = std::env::var("ADRET_CUDA_LIBRARY").unwrap_or_else(|_| LIBRARY.to_owned());
        // SAFETY: loads the system's driver, or what the user named in its place; both are trusted to be CUDA's interface.
        let (library, functions) = unsafe {
            let library = Library::new(&path).map_err(|error| format!("there is no CUDA driver ({error})"))?;
            let functions =
                Functions::load(&library).map_err(|error| format!("the CUDA driver is too old ({error})"))?;
            (ManuallyDrop::new(library), functions)
        };
        let told = |error: Error| error.message;
        // SAFETY: every pointer is that of a local variable of the function's type.
        unsafe {
            check("cuInit", (functions.start)(0)).map_err(told)?;
            let mut count = 0;
            check("cuDeviceGetCount", (functions.count)(&mut count)).map_err(told)?;
            for number in 0..count {
                let (mut device, mut found, mut context) = (0, [0; 16], std::ptr::null_mut());
                check("cuDeviceGet", (functions.device)(&mut device, number)).map_err(told)?;
                check("cuDeviceGetUuid", (functions.uuid)(&mut found, device)).map_err(told)?;
                if found == uuid {
                    let retained = (functions.retain)(&mut context, device);
                    check("cuDevicePrimaryCtxRetain", retained).map_err(told)?;
                    return Ok(Arc::new(Cuda { functions, device, number, context, _library: library }));
                }
            }
            Err(format!("none of CUDA's {count} devices is this adapter (their UUIDs differ)"))
        }
    }

    /// Runs calls in the device's context, whatever the thread's own is.
    fn within<T>(&self, calls: impl FnOnce(&Functions) -> Result<T>) -> Result<T> {
        // SAFETY: the context is retained as long as `self` lives; what is pushed is popped.
        unsafe {
            check("cuCtxPushCurrent", (self.functions.push)(self.context))?;
            let outcome = calls(&self.functions);
            let mut own = std::ptr::null_mut();
            check("cuCtxPopCurrent", (self.functions.pop)(&mut own))?;
            outcome
        }
    }

    /// Maps memory of `size` bytes, made for one buffer, into CUDA's addresses.
    ///
    /// # Errors
    /// What the driver reports.
    pub(crate) fn import(self: &Arc<Self>, file: OwnedFd, size: u64) -> Result<Mapped> {
        let descriptor = MemoryDescriptor {
            kind: OPAQUE_FILE,
            file: Union([file.as_raw_fd(), 0, 0, 0]),
            size,
            flags: DEDICATED,
            _reserved: [0; 16],
        };
        let whole = BufferDescriptor { offset: 0, size, flags: 0, _reserved: [0; 16] };
        self.within(|functions| {
            let (mut memory, mut address) = (std::ptr::null_mut(), 0);
            // SAFETY: the descriptors have the layout of the driver's header, and the results are local variables. The file is given up
            // only where the driver has taken it.
            unsafe {
                let imported = (functions.import)(&mut memory, (&raw const descriptor).cast());
                check("cuImportExternalMemory", imported)?;
                let _ = file.into_raw_fd();
                let mapped = (functions.map)(&mut address, memory, (&raw const whole).cast());
                if let Err(error) = check("cuExternalMemoryGetMappedBuffer", mapped) {
                    (functions.destroy)(memory);
                    return Err(error);
                }
            }
            Ok(Mapped { cuda: Arc::clone(self), memory, address })
        })
    }

    /// Copies between CUDA's addresses, and waits for the end.
    ///
    /// # Errors
    /// What the driver reports.
    ///
    /// # Safety
    /// Both ranges of `bytes` bytes are allocated.
    pub(crate) unsafe fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // The copy joins the default stream, which the producer made wait for its work.
        self.within(|functions| {
            // SAFETY: the caller vouches for the ranges.
            unsafe {
                check("cuMemcpyDtoD", (functions.copy)(to, from, bytes))?;
                check("cuCtxSynchronize", (functions.synchronize)())
            }
        })
    }

    /// Waits for everything that runs on the device, whoever started it.
    ///
    /// # Errors
    /// What the driver reports.
    pub(crate) fn synchronize(&self) -> Result<()> {
        // SAFETY: the function takes nothing.
        self.within(|functions| check("cuCtxSynchronize", unsafe { (functions.synchronize)() }))
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // SAFETY: retained once, by `open`. At the end of the process the driver may be gone: it says so, and nothing follows from it.
        unsafe { (self.functions.release)(self.device) };
    }
}

/// Memory as CUDA sees it; unmapped when dropped, on any thread.
pub(crate) struct Mapped {
    cuda: Arc<Cuda>,
    memory: Handle,
    /// CUDA's address of the first byte.
    pub(crate) address: u64,
}

// SAFETY: handles of the driver may be used on any thread.
unsafe impl Send for Mapped {}
// SAFETY: as above; nothing changes through a shared reference.
unsafe impl Sync for Mapped {}

impl Drop for Mapped {
    fn drop(&mut self) {
        // CUDA's work on the memory ends first; the mapping goes before the memory. A driver that is gone has freed both.
        let _ = self.cuda.within(|functions| {
            // SAFETY: address and handle came from `import`, and are given back once.
            unsafe {
                (functions.synchronize)();
                (functions.free)(self.address);
                (functions.destroy)(self.memory);
            }
            Ok(())
        });
    }
}

fn check(name: &str, code: c_int) -> Result<()> {
    match code {
        0 => Ok(()),
        OUT_OF_MEMORY => Err(Error::new(
            ErrorKind::OutOfMemory,
            format!("gpu: CUDA has no memory left ({name}). Free arrays of the libraries that use it."),
        )),
        code => Err(Error::device(format!("gpu: CUDA failed: {name} returned {code}. Share through the CPU instead."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_have_the_sizes_of_the_header() {
        assert_eq!(size_of::<MemoryDescriptor>(), 104);
        assert_eq!(
            (std::mem::offset_of!(MemoryDescriptor, file), std::mem::offset_of!(MemoryDescriptor, size)),
            (8, 24)
        );
        assert_eq!(size_of::<BufferDescriptor>(), 88);
    }
}
