//! Streams and timers of WASI whose work counts as the guest's own. A guest hardly uses fuel while the host works for it:
//! one instruction asks for a megabyte to be written, or for sixty thousand timers to be looked at. So a backtest would
//! take minutes for a call that may use a second.

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::{
    DynPollable, StreamError, StreamResult,
    bindings::sync::io::{
        poll,
        streams::{self, InputStream, OutputStream},
    },
};

use super::context::StrategyContext;
use crate::guest::Guest;

/// Fuel for one call of the host: a call takes about a microsecond, and a unit of fuel about a nanosecond.
const FUEL_PER_CALL_OF_THE_HOST: usize = 1000;

/// Fuel for looking at one timer.
const FUEL_PER_TIMER: usize = 200;

/// Replaces the streams and timers of [`wasmtime_wasi`] by those that count.
pub(super) fn replace_io(linker: &mut Linker<StrategyContext>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    poll::add_to_linker::<_, HasCounted>(linker, counted)?;
    streams::add_to_linker::<_, HasCounted>(linker, counted)?;
    linker.allow_shadowing(false);
    Ok(())
}

struct HasCounted;

impl HasData for HasCounted {
    type Data<'a> = Counted<'a>;
}

/// The resources of a guest, and its allowance.
struct Counted<'a> {
    guest: &'a mut Guest,
    table: &'a mut ResourceTable,
}

fn counted(context: &mut StrategyContext) -> Counted<'_> {
    let (guest, table) = context.guest_and_table();
    Counted { guest, table }
}

impl Counted<'_> {
    fn spend(&mut self, units: usize) -> wasmtime::Result<()> {
        self.guest.spend(units.saturating_add(FUEL_PER_CALL_OF_THE_HOST))
    }

    fn spend_on_bytes(&mut self, bytes: u64) -> StreamResult<()> {
        self.spend(usize::try_from(bytes).unwrap_or(usize::MAX)).map_err(StreamError::Trap)
    }
}

impl poll::Host for Counted<'_> {
    fn poll(&mut self, timers: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.spend(timers.len().saturating_mul(FUEL_PER_TIMER))?;
        self.table.poll(timers)
    }
}

impl poll::HostPollable for Counted<'_> {
    fn ready(&mut self, timer: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.spend(FUEL_PER_TIMER)?;
        self.table.ready(timer)
    }

    fn block(&mut self, timer: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.spend(FUEL_PER_TIMER)?;
        self.table.block(timer)
    }

    fn drop(&mut self, timer: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(self.table, timer)
    }
}

impl streams::Host for Counted<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        self.table.convert_stream_error(error)
    }
}

impl streams::HostOutputStream for Counted<'_> {
    fn drop(&mut self, stream: Resource<OutputStream>) -> wasmtime::Result<()> {
        streams::HostOutputStream::drop(self.table, stream)
    }

    fn check_write(&mut self, stream: Resource<OutputStream>) -> StreamResult<u64> {
        self.spend_on_bytes(0)?;
        self.table.check_write(stream)
    }

    fn write(&mut self, stream: Resource<OutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.spend_on_bytes(bytes.len() as u64)?;
        self.table.write(stream, bytes)
    }

    fn blocking_write_and_flush(&mut self, stream: Resource<OutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.spend_on_bytes(bytes.len() as u64)?;
        self.table.blocking_write_and_flush(stream, bytes)
    }

    fn blocking_write_zeroes_and_flush(&mut self, stream: Resource<OutputStream>, len: u64) -> StreamResult<()> {
        self.spend_on_bytes(len)?;
        self.table.blocking_write_zeroes_and_flush(stream, len)
    }

    fn subscribe(&mut self, stream: Resource<OutputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        self.spend(0)?;
        streams::HostOutputStream::subscribe(self.table, stream)
    }

    fn write_zeroes(&mut self, stream: Resource<OutputStream>, len: u64) -> StreamResult<()> {
        self.spend_on_bytes(len)?;
        self.table.write_zeroes(stream, len)
    }

    fn flush(&mut self, stream: Resource<OutputStream>) -> StreamResult<()> {
        self.spend_on_bytes(0)?;
        self.table.flush(stream)
    }

    fn blocking_flush(&mut self, stream: Resource<OutputStream>) -> StreamResult<()> {
        self.spend_on_bytes(0)?;
        self.table.blocking_flush(stream)
    }

    fn splice(&mut self, to: Resource<OutputStream>, from: Resource<InputStream>, len: u64) -> StreamResult<u64> {
        self.spend_on_bytes(len)?;
        self.table.splice(to, from, len)
    }

    fn blocking_splice(
        &mut self,
        to: Resource<OutputStream>,
        from: Resource<InputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        self.spend_on_bytes(len)?;
        self.table.blocking_splice(to, from, len)
    }
}

/// There is nothing to read, so the length that is asked for costs nothing.
impl streams::HostInputStream for Counted<'_> {
    fn drop(&mut self, stream: Resource<InputStream>) -> wasmtime::Result<()> {
        streams::HostInputStream::drop(self.table, stream)
    }

    fn read(&mut self, stream: Resource<InputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.spend_on_bytes(0)?;
        self.table.read(stream, len)
    }

    fn blocking_read(&mut self, stream: Resource<InputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.spend_on_bytes(0)?;
        self.table.blocking_read(stream, len)
    }

    fn skip(&mut self, stream: Resource<InputStream>, len: u64) -> StreamResult<u64> {
        self.spend_on_bytes(0)?;
        self.table.skip(stream, len)
    }

    fn blocking_skip(&mut self, stream: Resource<InputStream>, len: u64) -> StreamResult<u64> {
        self.spend_on_bytes(0)?;
        self.table.blocking_skip(stream, len)
    }

    fn subscribe(&mut self, stream: Resource<InputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        self.spend(0)?;
        streams::HostInputStream::subscribe(self.table, stream)
    }
}
