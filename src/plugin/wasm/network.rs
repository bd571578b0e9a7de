//! TCP of components: `wasi:sockets` with a lookup of names that resolves granted ones only.
//!
//! WASI checks addresses, the policy speaks of names. So the names a component resolves are kept with their addresses, and a
//! connection to an address is allowed when one of its names is granted with this port, or the address itself is. Every
//! address is checked against the special ones twice: when it is resolved and when it is connected to. Nobody listens, nothing
//! is sent without a connection.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::{
    WasiCtxBuilder,
    p2::{
        DynPollable, Network as NetworkResource, SocketError,
        bindings::sockets::{
            ip_name_lookup::{self, ResolveAddressStream},
            network::{self, ErrorCode, IpAddress},
        },
    },
    sockets::{SocketAddrUse, WasiSocketsCtxView},
};

use super::state::State;
use crate::{
    addresses::Refused,
    hosts::{Host, TcpTarget},
    limits::MAX_RESOLVED,
    reach::Reach,
};

/// How a refused connection or lookup looks to a plugin: Rust's, C's and WASI's words for it.
const REFUSED: [&str; 6] = [
    "ermission denied",
    "(os error 2)",
    "access-denied",
    "access denied",
    "AccessDenied",
    "failed to lookup address",
];

/// The network of one store.
#[derive(Debug)]
pub(super) struct Network {
    reach: Arc<Reach>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The names an address was found under.
    names: HashMap<IpAddr, BTreeSet<Host>>,
    /// Why something was refused last, and whether in the present call.
    denied: Option<String>,
    denied_now: bool,
}

/// Lookups that are under way, by their resource.
pub(super) type Lookups = HashMap<u32, Lookup>;

/// One lookup of a name.
#[derive(Debug)]
pub(super) struct Lookup {
    host: Host,
    /// It gave an address that may be used.
    usable: bool,
    refused: Option<Refused>,
}

impl Network {
    pub(super) fn new(reach: Arc<Reach>) -> Arc<Self> {
        Arc::new(Self {
            reach,
            known: Mutex::default(),
        })
    }

    /// Gives a component this network.
    pub(super) fn open(self: &Arc<Self>, wasi: &mut WasiCtxBuilder) {
        let network = Arc::clone(self);
        // What is not granted is refused where it is used, because there it is known what it was.
        wasi.allow_tcp(true)
            .allow_udp(false)
            .allow_ip_name_lookup(true)
            .socket_addr_check(move |address, purpose| {
                let allowed = match purpose {
                    SocketAddrUse::TcpConnect => network.connects(address),
                    // What every connection does on its way.
                    SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
                    SocketAddrUse::TcpListen
                    | SocketAddrUse::TcpAccept
                    | SocketAddrUse::UdpBind
                    | SocketAddrUse::UdpSend
                    | SocketAddrUse::UdpReceive => false,
                };
                Box::pin(std::future::ready(allowed))
            });
    }

    /// Before each call.
    pub(super) fn begin_call(&self) {
        self.known().denied_now = false;
    }

    /// The refusal of the present call that an error of the plugin comes from: the plugin knows only that it was refused.
    pub(super) fn refusal_behind(&self, message: &str) -> Option<String> {
        let known = self.known();
        known
            .denied
            .clone()
            .filter(|_| known.denied_now && REFUSED.iter().any(|said| message.contains(said)))
    }

    /// What was refused in the present call.
    pub(super) fn refused_now(&self) -> Option<String> {
        let known = self.known();
        known.denied.clone().filter(|_| known.denied_now)
    }

    fn connects(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let port = address.port();
        let names = self.known().names.get(&ip).cloned().unwrap_or_default();
        let mut refusal = None;
        for host in names {
            let target = TcpTarget { host, port };
            let checked = self.reach.tcp(&target).and_then(|opened| {
                let refused = |refused| {
                    self.reach
                        .tcp_refused(&target.host, &target.to_string(), &refused)
                };
                opened.check(ip).map_err(refused)
            });
            match checked {
                Ok(()) => return true,
                Err(error) => refusal = Some(error),
            }
        }
        let host = Host::Address(ip);
        match self.reach.tcp(&TcpTarget { host, port }) {
            Ok(_) => true,
            Err(error) => {
                self.deny(refusal.unwrap_or(error).message);
                false
            }
        }
    }

    fn deny(&self, why: String) {
        let mut known = self.known();
        known.denied = Some(why);
        known.denied_now = true;
    }

    fn remember(&self, host: &Host, address: IpAddr) {
        let mut known = self.known();
        if known.names.len() >= MAX_RESOLVED {
            known.names.clear();
        }
        known.names.entry(address).or_default().insert(host.clone());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Replaces the lookup of names, which is in the linker already.
pub(super) fn shadow_lookup(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let shadowed = ip_name_lookup::add_to_linker::<State, Names>(linker, State::names);
    linker.allow_shadowing(false);
    shadowed
}

/// Marks the view below.
struct Names;

impl HasData for Names {
    type Data<'a> = NamesView<'a>;
}

/// WASI's own lookup, and what it may be asked.
pub(super) struct NamesView<'a> {
    pub(super) sockets: WasiSocketsCtxView<'a>,
    pub(super) network: &'a Network,
    pub(super) lookups: &'a mut Lookups,
}

impl ip_name_lookup::Host for NamesView<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<NetworkResource>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        let Ok(host) = Host::parse(&name) else {
            return Err(ErrorCode::InvalidArgument.into());
        };
        // An address is checked when it is connected to.
        if let Host::Name(_) = host
            && let Err(error) = self.network.reach.resolve(&host)
        {
            self.network.deny(error.message);
            return Err(ErrorCode::AccessDenied.into());
        }
        let stream = ip_name_lookup::Host::resolve_addresses(&mut self.sockets, network, name)?;
        let lookup = Lookup {
            host,
            usable: false,
            refused: None,
        };
        self.lookups.insert(stream.rep(), lookup);
        Ok(stream)
    }
}

impl ip_name_lookup::HostResolveAddressStream for NamesView<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let Some(lookup) = self.lookups.get_mut(&stream.rep()) else {
            return Err(ErrorCode::InvalidState.into());
        };
        loop {
            let again = Resource::new_borrow(stream.rep());
            let next =
                ip_name_lookup::HostResolveAddressStream::resolve_next_address(&mut self.sockets, again)?;
            let Some(found) = next else { break };
            let address = ip(found).to_canonical();
            let Host::Name(_) = lookup.host else {
                lookup.usable = true;
                return Ok(Some(found));
            };
            let opened = self.network.reach.resolve(&lookup.host);
            match opened.map(|opened| opened.check(address)) {
                Ok(Ok(())) => {
                    lookup.usable = true;
                    self.network.remember(&lookup.host, address);
                    return Ok(Some(found));
                }
                Ok(Err(refused)) => lookup.refused = Some(refused),
                Err(_) => return Err(ErrorCode::AccessDenied.into()),
            }
        }
        match lookup.refused.take() {
            Some(refused) if !lookup.usable => {
                let reach = &self.network.reach;
                let error = reach.tcp_refused(&lookup.host, &lookup.host.to_string(), &refused);
                self.network.deny(error.message);
                Err(ErrorCode::AccessDenied.into())
            }
            _ => Ok(None),
        }
    }

    fn subscribe(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        ip_name_lookup::HostResolveAddressStream::subscribe(&mut self.sockets, stream)
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.lookups.remove(&stream.rep());
        ip_name_lookup::HostResolveAddressStream::drop(&mut self.sockets, stream)
    }
}

impl network::HostNetwork for NamesView<'_> {
    fn drop(&mut self, network: Resource<NetworkResource>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets, network)
    }
}

impl network::Host for NamesView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        network::Host::convert_error_code(&mut self.sockets, error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        network::Host::network_error_code(&mut self.sockets, error)
    }
}

fn ip(address: IpAddress) -> IpAddr {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => Ipv4Addr::new(a, b, c, d).into(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => Ipv6Addr::new(a, b, c, d, e, f, g, h).into(),
    }
}
