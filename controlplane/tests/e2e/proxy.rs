//! Providers reached through an HTTP CONNECT proxy, as behind many a firewall: a small one is made here.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::harness::{
    Sandbox, Setup,
    certificates::{Authority, Validity},
    gateway::{chat, model_line},
    probe::Baseline,
};

/// What the proxy answers to CONNECT.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Connects,
    /// 407, whoever asks.
    WantsOther,
    Garbage,
    ClosesAtOnce,
}

/// A CONNECT proxy that reaches every host at the loopback, and notes the heads it got.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let proxy = Self {
            address: listener.local_addr().expect("its address"),
            heads: Arc::default(),
        };
        let heads = proxy.heads.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let heads = heads.clone();
                thread::spawn(move || serve(client, manner, &heads));
            }
        });
        proxy
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("heads").clone()
    }
}

fn serve(mut client: TcpStream, manner: Manner, heads: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    // One byte at a time: what follows the head belongs to the tunnel.
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let port = head
        .split(' ')
        .nth(1)
        .and_then(|target| target.rsplit_once(':')?.1.parse::<u16>().ok());
    heads.lock().expect("heads").push(head);
    let answer: &[u8] = match manner {
        Manner::Connects => b"HTTP/1.1 200 Connection established\r\nvia: 1.1 test\r\n\r\n",
        Manner::WantsOther => {
            b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n"
        }
        Manner::Garbage => b"\0\0 what?\r\n\r\n",
        Manner::ClosesAtOnce => return,
    };
    let Some(Ok(provider)) = port.map(|port| TcpStream::connect(("127.0.0.1", port))) else {
        return;
    };
    if client.write_all(answer).is_err() || manner != Manner::Connects {
        return;
    }
    let (client_reads, provider_writes) = (
        client.try_clone().expect("cloned"),
        provider.try_clone().expect("cloned"),
    );
    let up = thread::spawn(move || pump(client_reads, provider_writes));
    pump(provider, client);
    let _ = up.join();
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn through(proxy: &Proxy, base_url: &str, more: &str, tls: &str) -> Setup {
    let mut setup = Setup::to(proxy.address);
    setup.providers = format!(
        "  openai: {{ dialect: openai, base_url: \"{base_url}\", credential: env:TOLLGATE_TEST_UPSTREAM, \
         connections: {{ idle_timeout: 1s }}, proxy: {{ url: \"http://{}\"{more} }}{tls} }}\n",
        proxy.address
    );
    setup.models = model_line("openai/*", &["openai"]);
    setup
        .environment
        .push(("TOLLGATE_TEST_PROXY".to_owned(), "user:pass word".to_owned()));
    setup
}

#[test]
fn a_provider_is_reached_through_a_proxy_that_resolves_its_name() {
    let (sandbox, proxy) = (Sandbox::start(), Proxy::start(Manner::Connects));
    // Only the proxy knows this name.
    let base_url = format!("http://provider.invalid:{}", sandbox.address.port());
    let gateway = through(&proxy, &base_url, ", credential: env:TOLLGATE_TEST_PROXY", "").start();
    for more in ["", r#","stream":true"#] {
        gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", more))
            .expect(200);
    }
    let head = proxy.heads().first().expect("a head").to_ascii_lowercase();
    let target = format!("connect provider.invalid:{} http/1.1\r\n", sandbox.address.port());
    assert!(head.starts_with(&target), "{head}");
    assert!(
        head.contains(&format!("\r\nhost: provider.invalid:{}\r\n", sandbox.address.port())),
        "{head}"
    );
    // base64 of "user:pass word"
    assert!(
        proxy.heads()[0].contains("Basic dXNlcjpwYXNzIHdvcmQ="),
        "{}",
        proxy.heads()[0]
    );
    let arrival = sandbox.last_arrival().to_string();
    assert!(
        !arrival.contains("proxy-authorization") && !arrival.contains("dXNlcjpwYXNz"),
        "{arrival}"
    );
}

#[test]
fn tls_goes_through_the_tunnel_end_to_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "root");
    let files = authority.issue("provider", &["provider.invalid"], Validity::Current);
    let (certificate, key) = (files.certificate.display().to_string(), files.key.display().to_string());
    let sandbox = Sandbox::with(&["--tls-cert", &certificate, "--tls-key", &key]);
    let proxy = Proxy::start(Manner::Connects);
    let base_url = format!("https://provider.invalid:{}", sandbox.address.port());
    let tls = format!(", tls: {{ ca: \"file:{}\" }}", authority.root("root").display());
    let mut setup = through(&proxy, &base_url, "", &tls);
    setup.providers = setup.providers.replace("idle_timeout: 1s", "idle_timeout: 60s");
    let gateway = setup.start();
    for _ in 0..3 {
        gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
            .expect(200);
    }
    assert!(proxy.heads()[0].starts_with("CONNECT provider.invalid:"));
    assert!(proxy.heads().len() <= 2, "the tunnel is kept between requests");
}

#[test]
fn hosts_named_in_no_proxy_are_called_directly() {
    let (sandbox, proxy) = (Sandbox::start(), Proxy::start(Manner::Connects));
    let base_url = format!("http://{}", sandbox.address);
    let gateway = through(&proxy, &base_url, ", no_proxy: [ \"127.0.0.0/8\" ]", "").start();
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
    assert!(proxy.heads().is_empty(), "{:?}", proxy.heads());
}

#[test]
fn a_proxy_that_refuses_or_misbehaves_is_a_502_and_leaks_nothing() {
    let sandbox = Sandbox::start();
    for manner in [Manner::WantsOther, Manner::Garbage, Manner::ClosesAtOnce] {
        let proxy = Proxy::start(manner);
        let gateway = through(
            &proxy,
            &format!("http://provider.invalid:{}", sandbox.address.port()),
            "",
            "",
        )
        .start();
        let baseline = Baseline::of(gateway.dataplane_pid());
        for _ in 0..10 {
            let answer = gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""));
            assert!(matches!(answer.status, 502 | 503), "{answer:?}");
            assert!(answer.text().contains("openai"), "{}", answer.text());
        }
        baseline.assert_restored(4 * 1024);
    }
    assert_eq!(sandbox.arrivals().len(), 0);
}
