//! From a destination to a connection that may carry a request: pool, addresses, CONNECT, TLS.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    rc::Rc,
    sync::Arc,
};

use tollgate_engine::{Input, Tick, exchange::UpstreamFault, outputs::AttemptId, snapshot::Endpoint};
use tollgate_wire::{head::Method, http1::read};

use super::{Owner, Rest, Route, Stage, Up, Whose};
use crate::{
    downstream::Active,
    shard::{Shard, Timer, drive::Followup, slab::Id},
    sys::socket,
    tls::session::TlsSession,
};

impl Shard {
    /// Finds or begins a connection for an attempt.
    pub fn dial(&mut self, whose: Whose, active: &mut Active, attempt: AttemptId, endpoint: u16, fresh: bool) {
        // The exchange names endpoints of its own snapshot; when a newer one is in force its routes may differ.
        let route = self.route_for(active, endpoint);
        let Some(route) = route else {
            self.followups
                .push_back(Followup::Failed(attempt, UpstreamFault::Connect));
            return;
        };
        let owner = Owner { whose, attempt };
        if !fresh {
            while let Some(id) = self.pools.take(route.pool) {
                let Some(up) = self.ups.get_mut(id) else { continue };
                up.stage = Stage::Open;
                up.owner = Some(owner);
                up.reused = true;
                up.asked = false;
                up.answered = false;
                up.rest = Rest::Head;
                up.deadline = None;
                active.attempts.push((attempt, id));
                self.followups.push_back(Followup::Connected(attempt));
                return;
            }
        }
        let host = route.hop().0.to_owned();
        let id = self.ups.insert(Up::new(route, owner));
        active.attempts.push((attempt, id));
        if let Some(addresses) = self.addresses(&host, id)
            && let Err(fault) = self.try_connect(id, addresses)
        {
            self.ups.remove(id);
            active.attempts.retain(|(known, _)| *known != attempt);
            self.followups.push_back(Followup::Failed(attempt, fault));
        }
    }

    fn route_for(&self, active: &Active, endpoint: u16) -> Option<Rc<Route>> {
        let running = self.running.as_ref()?;
        let pinned = running.pin();
        let snapshot = &active.exchange.pinned()?.snapshot;
        if Arc::ptr_eq(snapshot, &pinned.snapshot) {
            return running.route(endpoint);
        }
        let wanted = snapshot.endpoints.get(endpoint as usize)?;
        let same = |e: &Endpoint| e.fingerprint == wanted.fingerprint && e.provider == wanted.provider;
        let index = pinned.snapshot.endpoints.iter().position(same)?;
        running.route(index as u16)
    }

    /// Goes on with a connection that waited for its name.
    pub fn connect_up(&mut self, id: Id, addresses: Vec<IpAddr>) {
        if self.ups.get(id).is_none() {
            return;
        }
        let fault = if addresses.is_empty() {
            Err(UpstreamFault::Resolve)
        } else {
            self.try_connect(id, addresses)
        };
        if let Err(fault) = fault {
            self.fail_up(id, fault);
        }
    }

    /// Connects to the first address for which a socket can be made; the others stay untried.
    fn try_connect(&mut self, id: Id, mut untried: Vec<IpAddr>) -> Result<(), UpstreamFault> {
        let now = self.clock.now();
        let Some(up) = self.ups.get_mut(id) else { return Ok(()) };
        while !untried.is_empty() {
            // Each address gets its share of the connect timeout, so that a black hole does not use all of it.
            let share_ms = up.route.connect_ms / untried.len() as u64;
            let address = SocketAddr::new(untried.remove(0), up.route.hop().1);
            let Ok(socket) = socket::stream(&address) else { continue };
            let fd = socket.as_raw_fd();
            let under_way = up.under_way();
            if let Some(former) = up.socket.replace(socket) {
                self.ring.close(former, Self::up_token(id), under_way);
            }
            up.deadline = (!untried.is_empty()).then(|| now.plus_ms(share_ms));
            up.stage = Stage::Connecting { untried };
            self.ring.connect(fd, &address, Self::up_token(id));
            self.arm_up(id);
            return Ok(());
        }
        Err(UpstreamFault::Connect)
    }

    fn try_next_address(&mut self, id: Id) {
        let Some(up) = self.ups.get_mut(id) else { return };
        let Stage::Connecting { untried } = &mut up.stage else {
            return;
        };
        let untried = std::mem::take(untried);
        if let Err(fault) = self.try_connect(id, untried) {
            self.fail_up(id, fault);
        }
    }

    pub fn up_connected(&mut self, id: Id, result: io::Result<()>) {
        let Some(up) = self.ups.get_mut(id) else { return };
        let Stage::Connecting { .. } = up.stage else { return };
        match result {
            Ok(()) => {}
            // The former address's connect, ended by closing its socket.
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => return,
            Err(_) => return self.try_next_address(id),
        }
        up.deadline = None;
        up.receiving = true;
        if let Some(socket) = &up.socket {
            self.ring.receive(socket.as_raw_fd(), Self::up_token(id));
        }
        if up.route.proxy.is_some() {
            self.ask_for_tunnel(id);
        } else {
            self.secure(id);
        }
    }

    /// CONNECT (RFC 9110 §9.3.6).
    fn ask_for_tunnel(&mut self, id: Id) {
        let Some(up) = self.ups.get_mut(id) else { return };
        let route = Rc::clone(&up.route);
        let authority = format!("{}:{}", route.host, route.port);
        up.out
            .extend_from_slice(format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").as_bytes());
        if let Some(authorization) = route.proxy.as_ref().and_then(|proxy| proxy.authorization.as_deref()) {
            up.out.extend_from_slice(b"proxy-authorization: ");
            up.out.extend_from_slice(authorization);
            up.out.extend_from_slice(b"\r\n");
        }
        up.out.extend_from_slice(b"\r\n");
        up.stage = Stage::Tunnelling;
        self.dirty_up(id);
    }

    /// The proxy's answer to CONNECT.
    pub fn read_tunnel(&mut self, id: Id, data: &[u8]) {
        let Some(up) = self.ups.get_mut(id) else { return };
        up.input.extend_from_slice(data);
        match read::response(&up.input, Method::Other, &read::Limits::default(), &mut up.head) {
            Ok(read::Progress::Incomplete) => {}
            // Bytes behind the head would be the provider's, and it does not speak first.
            Ok(read::Progress::Complete) if up.head.status / 100 == 2 && up.input.len() == up.head.len => {
                up.input.clear();
                self.secure(id);
            }
            Ok(read::Progress::Complete) => {
                let status = up.head.status;
                self.fail_up(id, UpstreamFault::Proxy(status));
            }
            Err(_) => self.fail_up(id, UpstreamFault::Proxy(0)),
        }
    }

    /// TLS when the route has it; then the connection is open.
    fn secure(&mut self, id: Id) {
        let Some(up) = self.ups.get_mut(id) else { return };
        let Some((config, name)) = up.route.tls.clone() else {
            return self.open(id);
        };
        match TlsSession::client(config, name) {
            Ok(session) => {
                up.tls = Some(Box::new(session));
                up.stage = Stage::Handshaking;
                self.dirty_up(id);
            }
            Err(_) => self.fail_up(id, UpstreamFault::Tls("TLS could not be started")),
        }
    }

    pub fn open(&mut self, id: Id) {
        let Some(up) = self.ups.get_mut(id) else { return };
        up.stage = Stage::Open;
        up.asked = false;
        let Some(owner) = up.owner else { return };
        self.drive_owner(owner, Input::Connected(owner.attempt));
    }

    /// Feeds the exchange whose attempt this is.
    pub fn drive_owner(&mut self, owner: Owner, input: Input<'_>) {
        match owner.whose {
            Whose::Client(id) => {
                if let Some(active) = self.downs.get_mut(id).and_then(|down| down.active.take()) {
                    self.drive(id, active, input);
                }
            }
            Whose::Detached(id) => self.drive_detached(id, input),
        }
    }

    /// What an exchange holds, between two feeds.
    pub fn active_of(&mut self, whose: Whose) -> Option<&mut Active> {
        match whose {
            Whose::Client(id) => self.downs.get_mut(id)?.active.as_deref_mut(),
            Whose::Detached(id) => self.detached.get_mut(id)?.active.as_deref_mut(),
        }
    }

    /// The attempt failed: its connection is closed and its exchange told.
    pub fn fail_up(&mut self, id: Id, fault: UpstreamFault) {
        let Some(owner) = self.ups.get_mut(id).and_then(|up| up.owner.take()) else {
            return self.drop_up(id);
        };
        self.drop_up(id);
        if let Some(active) = self.active_of(owner.whose) {
            active.attempts.retain(|(_, up)| *up != id);
        }
        self.drive_owner(owner, Input::UpstreamFailed(owner.attempt, fault));
    }

    /// Closes a connection now. Its exchange is not told.
    pub fn drop_up(&mut self, id: Id) {
        let Some(up) = self.ups.remove(id) else { return };
        let under_way = up.under_way();
        if matches!(up.stage, Stage::Idle) {
            self.pools.forget(up.route.pool, id);
        }
        if let Some(socket) = up.socket {
            self.ring.close(socket, Self::up_token(id), under_way);
        }
    }

    /// After a panic: the client's exchange may be lost, so its connection ends too.
    pub fn drop_up_and_client(&mut self, id: Id) {
        let owner = self.ups.get(id).and_then(|up| up.owner);
        self.drop_up(id);
        match owner.map(|owner| owner.whose) {
            Some(Whose::Client(id)) => self.drop_down(id),
            Some(Whose::Detached(id)) => self.drop_detached(id),
            None => {}
        }
    }

    pub fn arm_up(&mut self, id: Id) {
        let Some(up) = self.ups.get_mut(id) else { return };
        let Some(due) = up.deadline else { return };
        if up.armed_at.is_none_or(|armed| armed > due) {
            up.armed_at = Some(due);
            self.wheel.arm(due, Timer::Up(id));
        }
    }

    pub fn up_timer(&mut self, id: Id, now: Tick) {
        let Some(up) = self.ups.get_mut(id) else { return };
        if up.armed_at.is_some_and(|armed| armed > now) {
            return;
        }
        up.armed_at = None;
        match (&up.stage, up.deadline) {
            (_, Some(deadline)) if deadline > now => self.arm_up(id),
            (Stage::Idle | Stage::Trailing { .. }, Some(_)) => self.drop_up(id),
            (Stage::Connecting { .. }, Some(_)) => self.try_next_address(id),
            _ => {}
        }
    }
}
