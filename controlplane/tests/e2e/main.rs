//! The product as its users meet it: real processes, real sockets, the programs as they were built.
//!
//! One binary, one module per theme. A test starts its own providers and its own gateway on free loopback ports, asserts
//! what the client got, and that nothing leaked. Nothing here may know how the planes are made: only the contract.

mod harness;

mod accounts;
mod affected;
mod basics;
mod beside;
mod bodies;
mod bounded;
mod budgets;
mod bytes;
mod cached;
mod choosing;
mod clocks;
mod cluster;
mod config;
mod counted;
mod crowd;
mod cuts;
mod disks;
mod drain;
mod early;
mod edge;
mod embedder;
mod faults;
mod framing;
mod generations;
mod gone;
mod kafka;
mod kafka_secure;
mod keys;
mod ledger;
mod less;
mod limits;
mod lists;
mod meaning;
mod near;
mod overload;
mod planes;
mod postgres;
mod pressure;
mod priced_anew;
mod prices;
mod proxy;
mod read_only;
mod reconciled;
mod repeats;
mod restored;
mod routing;
mod sdk;
mod second;
mod shared_keys;
mod spent;
mod state;
mod streams;
mod tls;
mod usage;
mod warm;
mod webhooks;
