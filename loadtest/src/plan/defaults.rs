//! What a plan takes for what neither the demand nor a measurement says: each with its value and where it comes from.
//! Every figure that leans on one of them says so.

/// A number with its unit and its origin.
#[derive(Clone, Copy, Debug)]
pub struct Assumed {
    pub value: f64,
    /// With the unit, as it stands in a plan's sources.
    pub what: &'static str,
}

const fn assumed(value: f64, what: &'static str) -> Assumed {
    Assumed { value, what }
}

pub const RESERVED_CORES: u32 = 1;

/// CPU per term of a call's work, for terms that no run exercised. Order: `cost::TERMS`.
pub const TERM_US: [Assumed; 7] = [
    assumed(
        18.8,
        "18.8 µs a call (docs/performance.md: 1.2 KB chat, 64 connections)",
    ),
    assumed(
        14.4,
        "14.4 µs a stream event (docs/performance.md: stream of 100 chunks)",
    ),
    assumed(0.6, "0.6 µs a KB of request (docs/performance.md: 128 KB prompt)"),
    assumed(0.6, "0.6 µs a KB of answer (taken to be as dear as a KB of request)"),
    assumed(40.0, "40 µs a new connection (assumed)"),
    assumed(
        300.0,
        "300 µs a TLS handshake (assumed: one ECDSA P-256 signature and a key exchange)",
    ),
    assumed(1.5, "1.5 µs a TLS record (assumed: AES-GCM on a few hundred bytes)"),
];

pub const CALLS_PER_CONNECTION: Assumed = assumed(100.0, "100 calls a client connection (assumed)");
pub const EVERYTHING_FACTOR: Assumed = assumed(
    1.3,
    "1.3 times the pass-through with every feature on (the budget; features not measured)",
);
pub const TRANSLATED_FACTOR: Assumed = assumed(1.5, "1.5 times the pass-through where dialects differ (the budget)");
pub const HIT_FACTOR: Assumed = assumed(0.6, "0.6 times the pass-through for a cache hit (the budget)");
pub const SCALE_MARGIN: Assumed = assumed(0.10, "10% less than linear over shards (a margin, not a measurement)");

pub const BYTES_PER_TOKEN: Assumed = assumed(4.5, "4.5 bytes a token of JSON-escaped text (assumed)");
pub const HEAD_IN_BYTES: Assumed = assumed(500.0, "500 bytes a request's head and JSON frame (assumed)");
pub const HEAD_OUT_BYTES: Assumed = assumed(800.0, "800 bytes an answer's head and JSON frame (assumed)");
pub const EVENT_BYTES: Assumed = assumed(230.0, "230 bytes a stream event of one token (OpenAI's shape)");
pub const PACKET_BYTES: Assumed = assumed(
    90.0,
    "90 bytes of Ethernet, IP and TCP around a packet, one an event or 1,448 bytes, half acknowledged",
);

pub const BASE_MEMORY: Assumed = assumed(
    32.0 * MIB,
    "32 MiB for both planes, unloaded (docs/performance.md: Memory)",
);
pub const SHARD_MEMORY: Assumed = assumed(
    8.0 * MIB,
    "8 MiB a shard: 2 MiB of receive buffers, a ring, a stack (assumed)",
);
pub const SYSTEM_MEMORY: Assumed = assumed(512.0 * MIB, "512 MiB for the operating system (assumed)");
pub const IDLE_CONNECTION: Assumed = assumed(
    634.0,
    "634 bytes an idle connection (docs/performance.md: Idle connections)",
);
pub const BUSY_CONNECTION: Assumed = assumed(
    32.0 * KIB,
    "32 KiB a call in flight besides its prompt: both sides' buffers (assumed)",
);
pub const KERNEL_SOCKET: Assumed = assumed(
    4.0 * KIB,
    "4 KiB a socket in the kernel, buffers nearly empty (assumed)",
);
pub const TLS_CONNECTION: Assumed = assumed(24.0 * KIB, "24 KiB a TLS connection: keys and record buffers (assumed)");
pub const KEY_BYTES: Assumed = assumed(
    2.0 * KIB,
    "2 KiB a key, in both planes and twice while a configuration is pushed (assumed)",
);
pub const RECORD_BYTES: Assumed = assumed(400.0, "400 bytes a usage record (assumed)");

pub const SPARE_PROVIDER_CONNECTIONS: Assumed = assumed(0.10, "10% of provider connections idle in the pool (assumed)");
pub const SHARD_DESCRIPTORS: Assumed = assumed(64.0, "64 descriptors a shard for itself (assumed)");
pub const PROVIDER_ADDRESSES: Assumed = assumed(8.0, "8 provider addresses (assumed)");
pub const PORTS: Assumed = assumed(
    28_232.0,
    "28,232 local ports to one address (Linux: ip_local_port_range 32768 to 60999)",
);

pub const KIB: f64 = 1024.0;
pub const MIB: f64 = 1024.0 * 1024.0;
pub const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
